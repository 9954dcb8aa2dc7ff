"""Everything a search can be told, with its default and its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import snas_nni.one_shot.settings
from snas_nni.errors import SettingError
from snas_nni.one_shot.temperature import Shape
from snas_nni.ranges import check_ranges, ranged, require
from trials.settings.costs.bounds import given_bounds, with_cost_bounds
from trials.settings.costs.latency import LatencySettings
from trials.settings.evaluator import EvaluatorSettings, TaskName, check_class_weights
from trials.settings.run import BaseRunSettings, DataSettings
from trials.settings.tuning import DistillationSettings, TuningSettings

__all__ = [
    "CheckpointSettings",
    "DataSettings",
    "ResourceSettings",
    "RunSettings",
    "SearchSettings",
    "SpaceSettings",
    "TrainingSettings",
]


@dataclass(frozen=True, kw_only=True)
class SpaceSettings:
    """The model space that is searched.

    Args:
        class_path: dotted path of a ModelSpace class, also your own
        init_args: its arguments; those for channels and classes come from the data
    """

    class_path: str = "search_spaces.SnasCellSpace"
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchSettings(snas_nni.one_shot.settings.SearchSettings):
    """The search.

    Args:
        epochs: passes over the training images, at least 1
        batch_size: images a step, at least 2
    """

    key_prefix: ClassVar[str] = "search."

    epochs: int = ranged(50, at_least=1)
    batch_size: int = ranged(64, at_least=2)  # batch statistics of one image are none
    temperature_schedule: Shape = "linear"  # and no function: a file must not name one

    def __post_init__(self) -> None:
        super().__post_init__()
        require("search.warmup_epochs", self.warmup_epochs, below=self.epochs)
        longest = self.epochs - self.warmup_epochs
        if self.initial_logits == "random":
            require("search.settle_epochs", self.settle_epochs, below=longest)
        else:  # which are logits to choose by without a search
            require("search.settle_epochs", self.settle_epochs, at_most=longest)


@dataclass(frozen=True, kw_only=True)
@with_cost_bounds
class ResourceSettings:
    """What the child may cost: a penalty during the search, and upper bounds that the child meets.

    Args:
        penalty: the paper's resource constraint, none, mild, moderate or aggressive
        penalty_weight: in place of the level's weight, at least 0; null for the level's
        (a bound for each cost)
        sweep: search for every bound on a cost, such as params or params:1k:5k; null for none
        max_live_peak: bound on activations alive at once in the exported child; null for none
        max_int8_loss: bound on validation accuracy lost at 8 bits, such as 0.01; null for none
        target: look first for a child that does not cost much less than the bounds
        tolerance: how much less is not much, a share in (0, 1)
        fill: give a child that costs less than the budget larger candidates, if any fit
        exclude: take what no child within the bounds has out of the search before it begins
        pull: the cost that the search is held back by, expected, sampled or both
        latency_table: JSON file of measured latencies; null to measure on this machine
    """

    penalty: Literal["none", "mild", "moderate", "aggressive"] = "none"
    penalty_weight: float | None = ranged(None, at_least=0)
    sweep: str | None = None
    max_live_peak: float | None = ranged(None, above=0)
    max_int8_loss: float | None = ranged(None, at_least=0, below=1)
    target: bool = False
    tolerance: float = ranged(0.05, above=0, below=1)
    fill: bool = False
    exclude: bool = True
    pull: Literal["expected", "sampled", "both"] = "both"
    latency_table: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "resources.")
        if self.penalty == "none" and self.penalty_weight is not None:
            raise SettingError("resources.penalty_weight is set, but resources.penalty is none; choose a level")
        given_bounds(self)  # refuses what is no bound


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the weights are trained: for what, by which optimizer, with a cosine learning rate.

    Args:
        task: or regression, multi_label, segmentation, sequence_labeling
        class_weights: in the training loss: a list, or balanced; null for equal ones
        optimizer: a name of torch.optim, such as AdamW, or your.own.Optimizer
        optimizer_args: further arguments of the optimizer
        learning_rate: of the first epoch, above 0; by default 0.001 with others than SGD
        learning_rate_floor: of the last epoch, in [0, learning_rate]
        momentum: in [0, 1)
        weight_decay: at least 0
        label_smoothing: in the training loss, in [0, 1)
        auxiliary_weight: of the auxiliary head's loss, at least 0
    """

    task: TaskName = "classification"
    class_weights: list[float] | str | None = None
    optimizer: str = "SGD"
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = ranged(0.025, above=0, at_most=1e30)
    learning_rate_floor: float = ranged(0.001, at_least=0)
    momentum: float = ranged(0.9, at_least=0, below=1)
    weight_decay: float = ranged(3e-4, at_least=0)
    label_smoothing: float = ranged(0.0, at_least=0, below=1)
    auxiliary_weight: float = ranged(0.4, at_least=0)

    def __post_init__(self) -> None:
        check_ranges(self, "training.")
        check_class_weights(self.class_weights)
        require("training.learning_rate_floor", self.learning_rate_floor, at_most=self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """What is kept so that a search that was cut off can go on.

    Args:
        keep: how many of the newest checkpoints stay, at least 1
        every_steps: one after so many batches too, not only after each epoch; null for none
    """

    keep: int = ranged(2, at_least=1)
    every_steps: int | None = ranged(None, at_least=1)

    def __post_init__(self) -> None:
        check_ranges(self, "checkpoint.")


@dataclass(frozen=True, kw_only=True)
class RunSettings(BaseRunSettings):
    """One search run.

    Args:
        space: the model space
        search: the search
        resources: the child's cost
        latency: the clock
        training: the weights
        evaluator: a training of your own
        distillation: the teacher
        tuning: of the child, after the search
        checkpoint: of the state
    """

    before: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "search": {"settle_epochs": 0, "settle_learning_rate": 0.0},
        "resources": {"exclude": False, "pull": "expected"},
        "latency": {"clock": "pytorch"},
    }

    space: SpaceSettings = field(default_factory=SpaceSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    latency: LatencySettings = field(default_factory=LatencySettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluator: EvaluatorSettings = field(default_factory=EvaluatorSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
