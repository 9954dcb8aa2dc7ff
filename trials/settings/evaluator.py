"""What a network is trained for: a task by its name, or a Lightning module of the user's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from snas_nni.files import readable

__all__ = ["EvaluatorSettings", "TaskName", "check_class_weights"]

TaskName = Literal["classification", "regression", "multi_label", "segmentation", "sequence_labeling"]


@dataclass(frozen=True, kw_only=True)
class EvaluatorSettings:
    """A LightningModule of your own, which trains in place of training.task: any loss, metric and optimizer.

    Args:
        class_path: dotted path of its class, which reads self.model; null for none
        init_args: its arguments; classes and in_channels from the data
        metric: what its validation_step logs that decides, such as val_auc
        mode: max or min; null: min where its name has loss or error in it
    """

    class_path: str | None = None
    init_args: dict[str, Any] = field(default_factory=dict)
    metric: str | None = None
    mode: Literal["max", "min"] | None = None

    def __post_init__(self) -> None:
        if self.class_path is not None and not self.metric:
            raise SettingError(
                "evaluator.metric: name what the validation_step of your module logs that decides, such as val_loss"
            )
        if self.class_path is None and (self.metric is not None or self.mode is not None):
            raise SettingError(
                "evaluator.metric and evaluator.mode belong to a module of your own: give evaluator.class_path too. A "
                "training.task has its own metric"
            )


def check_class_weights(value: object) -> None:
    """Refuse what is neither ``balanced`` nor a list of weights.

    Raises:
        SettingError: says so.
    """
    if value is None or value == "balanced":
        return
    numbers = isinstance(value, (list, tuple)) and all(
        isinstance(each, (int, float)) and math.isfinite(each) and each >= 0 for each in value
    )
    if not numbers or not value:
        raise SettingError(
            f"training.class_weights is {readable(value)}, but must be balanced or a list of numbers of at least 0"
        )
