"""The metric that decides: which of two networks is the better one, in what is shown and in what is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from snas_nni.errors import SettingError
from snas_nni.files import readable

__all__ = ["ACCURACY", "TASK_METRICS", "DecidingMetric", "metric_of_evaluator", "recorded_metric", "reported_metric"]


@dataclass(frozen=True)
class DecidingMetric:
    """A metric and its direction.

    Attributes:
        name: as in the keys of results: ``validation_<name>`` and ``test_<name>``.
        higher_is_better: the direction.
        percent: whether it is a share of 1, which is shown in percent.
        logged: name under which a training module logs it on validation data, a column of metrics.csv.

    Examples:
        >>> error = DecidingMetric("mean_absolute_error", higher_is_better=False, percent=False)
        >>> error.logged, error.in_words, error.text(0.12345)
        ('val_mean_absolute_error', 'mean absolute error (lower is better)', '0.1235')
        >>> error.is_better(1.0, than=2.0), ACCURACY.is_better(1.0, than=2.0)
        (True, False)
        >>> ACCURACY.text(0.919)
        '91.9%'
    """

    name: str
    higher_is_better: bool = True
    percent: bool = True
    logged: str = ""

    def __post_init__(self) -> None:
        if not self.logged:
            object.__setattr__(self, "logged", f"val_{self.name}")

    @property
    def title(self) -> str:
        """The name in words."""
        return " ".join(_SPELLED.get(word, word) for word in self.name.split("_"))

    @property
    def in_words(self) -> str:
        """The name with the direction."""
        return f"{self.title} ({'higher' if self.higher_is_better else 'lower'} is better)"

    @property
    def validation(self) -> str:
        """Key of the child's value on the validation split, in results."""
        return f"validation_{self.name}"

    @property
    def test(self) -> str:
        """Key of the child's value on the test split, in results."""
        return f"test_{self.name}"

    @property
    def logged_in_training(self) -> str:
        """Column of metrics.csv with its value on training batches."""
        return f"train_{self.logged.removeprefix('val_')}"

    @property
    def selection(self) -> str:
        """What ``SNAS(selection_metric=...)`` takes: the logged name, behind a ``-`` where lower is better."""
        return self.logged if self.higher_is_better else f"-{self.logged}"

    @property
    def optimize_mode(self) -> str:
        """What NNI's tuners call the direction."""
        return "maximize" if self.higher_is_better else "minimize"

    def text(self, value: float) -> str:
        """Write a value as people read it."""
        return f"{value:.1%}" if self.percent else f"{value:.4g}"

    def rank(self, value: float | None) -> float:
        """Return a number that is the larger the better the value is; the lowest of all for none and for NaN."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.higher_is_better else -value

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another one."""
        return self.rank(value) > self.rank(than)

    def gain(self, value: float, over: float) -> float:
        """Return by how much a value is better than another one; negative where it is worse."""
        return value - over if self.higher_is_better else over - value

    def as_document(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: object, where: str = "metric") -> DecidingMetric:
        """Read plain values from a file that may say anything.

        Raises:
            SettingError: names ``where`` and what is wrong there.
        """
        kinds = {"name": str, "higher_is_better": bool, "percent": bool, "logged": str}
        if not isinstance(document, Mapping) or not document.get("name"):
            raise SettingError(f"{where}: must have a name and a direction, not {readable(document)}")
        known = {each.name: document[each.name] for each in fields(cls) if each.name in document}
        for name, value in known.items():
            if not isinstance(value, kinds[name]) or (isinstance(value, str) and len(value) > 100):
                raise SettingError(f"{where}.{name}: cannot be {readable(value)}")
        return cls(**known)


_SPELLED: Final = {"iou": "IoU", "f1": "F1", "auc": "AUC"}

ACCURACY: Final = DecidingMetric("accuracy", logged="val_acc")

TASK_METRICS: Final[Mapping[str, DecidingMetric]] = {
    "classification": ACCURACY,
    "regression": DecidingMetric("mean_absolute_error", higher_is_better=False, percent=False),
    "multi_label": DecidingMetric("f1_score"),
    "segmentation": DecidingMetric("mean_iou"),
    "sequence_labeling": DecidingMetric("token_accuracy"),
}
"""The deciding metric of each task that ``training.task`` may name."""


def metric_of_evaluator(logged: str, mode: str | None) -> DecidingMetric:
    """Return the metric that a user's own Lightning module logs.

    Args:
        logged: name under which its ``validation_step`` logs it.
        mode: ``max`` or ``min``; None: ``min`` for names with loss or error in them, ``max`` for others.
    """
    if logged == ACCURACY.logged and mode != "min":
        return ACCURACY
    lower = mode == "min" or (mode is None and any(word in logged for word in ("loss", "error")))
    return DecidingMetric(logged.removeprefix("val_"), not lower, percent=False, logged=logged)


def reported_metric(*reports: Mapping[str, Any]) -> DecidingMetric:
    """Return the metric that the reports of an NNI trial name, the first that names one; accuracy where none does."""
    for report in reports:
        if "metric" in report:
            return recorded_metric(report, {})
    return ACCURACY


def recorded_metric(summary: Mapping[str, Any], settings: Mapping[str, Any]) -> DecidingMetric:
    """Return the metric that decides in a run, from what its folder says; accuracy where it says nothing.

    Args:
        summary: what summary.json holds; may be empty.
        settings: of the run, nested; may be anything.
    """
    if "metric" in summary:
        try:
            return DecidingMetric.from_document(summary["metric"])
        except SettingError:
            pass  # a report shows what there is
    evaluator, training = settings.get("evaluator"), settings.get("training")
    if isinstance(evaluator, Mapping) and evaluator.get("class_path") and isinstance(evaluator.get("metric"), str):
        mode = evaluator.get("mode")
        return metric_of_evaluator(evaluator["metric"], mode if isinstance(mode, str) else None)
    task = training.get("task") if isinstance(training, Mapping) else None
    return TASK_METRICS.get(task, ACCURACY) if isinstance(task, str) else ACCURACY
