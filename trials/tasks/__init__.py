"""What networks are trained for: the targets, the loss and the metric that decides, one file for each task."""

from trials.tasks.classification import Classification
from trials.tasks.multi_label import MultiLabel
from trials.tasks.regression import Regression
from trials.tasks.segmentation import Segmentation
from trials.tasks.sequence_labeling import SequenceLabeling
from trials.tasks.task import Task

__all__ = ["TASKS", "Classification", "MultiLabel", "Regression", "Segmentation", "SequenceLabeling", "Task"]

TASKS: dict[str, type[Task]] = {
    each.name: each for each in (Classification, Regression, MultiLabel, Segmentation, SequenceLabeling)
}
"""By the names that ``training.task`` may have."""
