"""Everything a retraining can be told, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from trials.settings.ranges import require, require_one_of
from trials.settings.search import DataSettings

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

    random_resized_crop: int | None = None
    colour_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        require("augmentation.random_resized_crop", self.random_resized_crop, at_least=1)
        for amount in self.colour_jitter:
            require("augmentation.colour_jitter", amount, at_least=0)
        require("augmentation.colour_jitter (hue)", self.colour_jitter[3], at_most=0.5)


@dataclass(frozen=True, kw_only=True)
class RetrainTrainingSettings:
    """How the weights are trained: SGD. The recipe has its own defaults.

    Args:
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
    """

    epochs: int = 600
    batch_size: int = 96
    learning_rate: float = 0.025
    schedule: Literal["cosine", "exponential"] = "cosine"
    learning_rate_floor: float = 0.0
    learning_rate_decay: float = 0.97
    momentum: float = 0.9
    weight_decay: float = 3e-4
    gradient_clip: float | None = 5.0
    drop_path: float = 0.2
    auxiliary_weight: float = 0.4
    label_smoothing: float = 0.0
    initialisation: Literal["default", "fan_out"] = "default"

    def __post_init__(self) -> None:
        require("training.epochs", self.epochs, at_least=1)
        require("training.batch_size", self.batch_size, at_least=2)  # batch statistics of one image are none
        require("training.learning_rate", self.learning_rate, above=0)
        require_one_of("training.schedule", self.schedule, ("cosine", "exponential"))
        require("training.learning_rate_floor", self.learning_rate_floor, at_least=0, at_most=self.learning_rate)
        require("training.learning_rate_decay", self.learning_rate_decay, above=0, at_most=1)
        require("training.momentum", self.momentum, at_least=0, below=1)
        require("training.weight_decay", self.weight_decay, at_least=0)
        require("training.gradient_clip", self.gradient_clip, above=0)
        require("training.drop_path", self.drop_path, at_least=0, below=1)
        require("training.auxiliary_weight", self.auxiliary_weight, at_least=0)
        require("training.label_smoothing", self.label_smoothing, at_least=0, below=1)
        require_one_of("training.initialisation", self.initialisation, ("default", "fan_out"))


@dataclass(frozen=True, kw_only=True)
class RetrainSettings:
    """One retraining.

    Args:
        architecture: architecture.json, or mild, moderate or aggressive for the paper's own cells
        recipe: cifar10, imagenet or digits; null for that of the data source
        weights: new, or inherit those beside the architecture
        space: the network
        data: the images
        augmentation: of the images
        training: the weights
        output: folder of the results, new or empty; runs/TIME by default
        resume: output folder of a retraining that was cut off, to go on with its settings
        seed: of weights, batches and drop-path, at least 0
        accelerator: Lightning's: auto, cpu, gpu, ...
        devices: Lightning's: auto or a number
        precision: Lightning's: 32-true, 16-mixed, bf16-mixed, ...
        quiet: print nothing but errors
    """

    architecture: str = ""
    recipe: str | None = None
    weights: Literal["new", "inherit"] = "new"
    space: ChildSettings = field(default_factory=ChildSettings)
    data: DataSettings = field(default_factory=DataSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: RetrainTrainingSettings = field(default_factory=RetrainTrainingSettings)
    output: str | None = None
    resume: str | None = None
    seed: int = 0
    accelerator: str = "auto"
    devices: int | str = "auto"
    precision: str = "32-true"
    quiet: bool = False

    def __post_init__(self) -> None:
        require_one_of("weights", self.weights, ("new", "inherit"))
        require("seed", self.seed, at_least=0, below=2**32)
        if self.augmentation.random_resized_crop is not None and self.data.crop_padding:
            raise SettingError(
                "data.crop_padding and augmentation.random_resized_crop both crop; set one of them to 0 or null"
            )
