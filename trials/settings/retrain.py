"""Everything a retraining can be told, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from snas_nni.ranges import check_ranges, ranged, require
from trials.settings.evaluator import EvaluatorSettings, TaskName, check_class_weights
from trials.settings.run import BaseRunSettings
from trials.settings.tuning import DistillationSettings

__all__ = ["AugmentationSettings", "ChildSettings", "RetrainSettings", "RetrainTrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class ChildSettings:
    """The network: the architecture's space, at another size if you like.

    Args:
        class_path: your own space's class, which may then be imported; null for the file's
        init_args: arguments that differ from the file's; in_channels and classes come from the data
    """

    class_path: str | None = None
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """Augmentation beyond that of the data settings.

    Args:
        random_resized_crop: side in pixels of random crops of 8 to 100 % of an image; null for none
        colour_jitter: largest change of brightness, contrast, saturation and hue
    """

    random_resized_crop: int | None = ranged(None, at_least=1)
    colour_jitter: tuple[float, float, float, float] = ranged((0.0, 0.0, 0.0, 0.0), at_least=0)

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation.")
        require("augmentation.colour_jitter (hue)", self.colour_jitter[3], at_most=0.5)


@dataclass(frozen=True, kw_only=True)
class RetrainTrainingSettings:
    """How the weights are trained. The recipe has its own defaults, and a run's folder its own task.

    Args:
        task: or regression, multi_label, segmentation, sequence_labeling
        class_weights: in the training loss: a list, or balanced; null for equal ones
        optimizer: a name of torch.optim, such as AdamW, or your.own.Optimizer
        optimizer_args: further arguments of the optimizer
        epochs: passes over the training images, at least 1
        batch_size: images a step and device, at least 2
        learning_rate: of the first epoch, above 0
        schedule: of the learning rate, epoch by epoch: cosine or exponential
        learning_rate_floor: where the cosine ends, in [0, learning_rate]
        learning_rate_decay: factor of the exponential schedule, in (0, 1]
        momentum: in [0, 1)
        weight_decay: at least 0
        gradient_clip: largest gradient norm; null for no limit
        drop_path: share of a cell's edges dropped for an image, reached linearly, in [0, 1)
        auxiliary_weight: of the auxiliary head's loss, at least 0
        label_smoothing: in the training loss, in [0, 1)
        initialisation: of new weights: default (torch's) or fan_out (normal)
        warmup_epochs: first epochs, in which the learning rate rises linearly, before its schedule
        accumulate_batches: batches whose gradients make one step, at least 1
        weight_average: decay of the mean of the weights that is kept, in [0, 1); 0 for none
        mixup: images mixed in pairs, by a share drawn from Beta(mixup, mixup); 0 for none
        cutmix: images with a part of another one, of an area drawn likewise; 0 for none
    """

    task: TaskName = "classification"
    class_weights: list[float] | str | None = None
    optimizer: str = "SGD"
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    epochs: int = ranged(600, at_least=1)
    batch_size: int = ranged(96, at_least=2)  # batch statistics of one image are none
    learning_rate: float = ranged(0.025, above=0, at_most=1e30)
    schedule: Literal["cosine", "exponential"] = "cosine"
    learning_rate_floor: float = ranged(0.0, at_least=0)
    learning_rate_decay: float = ranged(0.97, above=0, at_most=1)
    momentum: float = ranged(0.9, at_least=0, below=1)
    weight_decay: float = ranged(3e-4, at_least=0)
    gradient_clip: float | None = ranged(5.0, above=0)
    drop_path: float = ranged(0.2, at_least=0, below=1)
    auxiliary_weight: float = ranged(0.4, at_least=0)
    label_smoothing: float = ranged(0.0, at_least=0, below=1)
    initialisation: Literal["default", "fan_out"] = "default"
    warmup_epochs: int = ranged(0, at_least=0)
    accumulate_batches: int = ranged(1, at_least=1)
    weight_average: float = ranged(0.0, at_least=0, below=1)
    mixup: float = ranged(0.0, at_least=0)
    cutmix: float = ranged(0.0, at_least=0)

    def __post_init__(self) -> None:
        check_ranges(self, "training.")
        check_class_weights(self.class_weights)
        require("training.learning_rate_floor", self.learning_rate_floor, at_most=self.learning_rate)
        require("training.warmup_epochs", self.warmup_epochs, below=self.epochs)


@dataclass(frozen=True, kw_only=True)
class RetrainSettings(BaseRunSettings):
    """One retraining.

    Args:
        architecture: architecture.json, or mild, moderate or aggressive for the paper's own cells
        recipe: cifar10, imagenet, digits, plain or modern; null for that of the data source
        weights: new, or inherit those beside the architecture
        space: the network
        augmentation: of the images
        training: the weights
        distillation: the teacher
        evaluator: a training of your own
    """

    architecture: str = ""
    recipe: str | None = None
    weights: Literal["new", "inherit"] = "new"
    space: ChildSettings = field(default_factory=ChildSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: RetrainTrainingSettings = field(default_factory=RetrainTrainingSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    evaluator: EvaluatorSettings = field(default_factory=EvaluatorSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentation.random_resized_crop is not None and self.data.crop_padding:
            raise SettingError(
                "data.crop_padding and augmentation.random_resized_crop both crop; set one of them to 0 or null"
            )
