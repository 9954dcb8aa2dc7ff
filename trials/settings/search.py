"""Everything a search can be told, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from trials.settings.ranges import require, require_one_of

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
        init_args: its arguments; in_channels and classes come from the data
    """

    class_path: str = "search_spaces.SnasCellSpace"
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The images and their splits.

    Args:
        source: digits, folder, files (not in memory), cifar10, cifar100, your.own.function
        path: folder of the images (not for digits)
        image_size: side in pixels that images of a folder are resized to
        validation_fraction: share of training images held out, in (0, 1)
        split_seed: of that split; equal in all trials, so that they compare
        crop_padding: pixels of padding before a random crop; null for the usual
        horizontal_flip: mirror half of the images; null for the usual
        cutout: side of a square cut out of training images; 0 for none
        corrupt: an image that cannot be read is an error, or skip it
        cache: folder of decoded images; null for the user's cache folder
        download: allow CIFAR to be downloaded
        workers: processes that prepare batches; 0 for none
        options: whatever your own data source wants to be told
    """

    source: str = "digits"
    path: str | None = None
    image_size: int | None = None
    validation_fraction: float = 0.2
    split_seed: int = 0
    crop_padding: int | None = None
    horizontal_flip: bool | None = None
    cutout: int = 0
    corrupt: Literal["error", "skip"] = "error"
    cache: str | None = None
    download: bool = False
    workers: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require("data.image_size", self.image_size, at_least=1)
        require("data.validation_fraction", self.validation_fraction, above=0, below=1)
        require("data.split_seed", self.split_seed, at_least=0)
        require("data.crop_padding", self.crop_padding, at_least=0)
        require("data.cutout", self.cutout, at_least=0)
        require("data.workers", self.workers, at_least=0)
        require_one_of("data.corrupt", self.corrupt, ("error", "skip"))


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The search.

    Args:
        epochs: passes over the training images, at least 1
        batch_size: images a step, at least 2
        initial_temperature: temperature at the start, above 0
        final_temperature: temperature of the last epoch, in (0, initial_temperature]
        temperature_schedule: linear, exponential or cosine
        temperature_interval: lower the temperature every epoch or step
        logits_learning_rate: Adam's, of the logits; null for 35 / steps, at most 0.3; paper 3e-4
        logits_betas: Adam's two decay rates, each in [0, 1)
        logits_weight_decay: Adam's, at least 0
        logits_gradient_clip: largest gradient norm of the logits; null for no limit
        weights_gradient_clip: largest gradient norm of the weights; null for no limit
        warmup_epochs: first epochs that train weights only, less than epochs
        bilevel: train the logits on validation batches, as DARTS does
        sampling: relaxed, or single_path: each step runs one drawn child, much faster
        sample_per_layer: draw each layer's sample separately
        samples_per_step: samples averaged in one step, at least 1
        spread_samples: on several devices, share these samples out
        accumulate_batches: batches whose gradients make one step, at least 1
        skip_tolerance: candidates of so little weight / temperature do not run; [0, 1)
        channels_last: memory order of the images; null for that on a CPU
        initial_logits_std: standard deviation of the initial logits, at least 0
    """

    epochs: int = 50
    batch_size: int = 64
    initial_temperature: float = 1.0
    final_temperature: float = 0.03
    temperature_schedule: Literal["linear", "exponential", "cosine"] = "linear"
    temperature_interval: Literal["epoch", "step"] = "epoch"
    logits_learning_rate: float | None = None
    logits_betas: tuple[float, float] = (0.5, 0.999)
    logits_weight_decay: float = 1e-3
    logits_gradient_clip: float | None = 10.0
    weights_gradient_clip: float | None = 5.0
    warmup_epochs: int = 0
    bilevel: bool = False
    sampling: Literal["relaxed", "single_path"] = "relaxed"
    sample_per_layer: bool = False
    samples_per_step: int = 1
    spread_samples: bool = False
    accumulate_batches: int = 1
    skip_tolerance: float = 5e-4
    channels_last: bool | None = None
    initial_logits_std: float = 0.01

    def __post_init__(self) -> None:
        require("search.epochs", self.epochs, at_least=1)
        require("search.batch_size", self.batch_size, at_least=2)  # batch statistics of one image are none
        require("search.initial_temperature", self.initial_temperature, above=0)
        require("search.final_temperature", self.final_temperature, above=0, at_most=self.initial_temperature)
        require_one_of("search.temperature_schedule", self.temperature_schedule, ("linear", "exponential", "cosine"))
        require_one_of("search.temperature_interval", self.temperature_interval, ("epoch", "step"))
        require("search.logits_learning_rate", self.logits_learning_rate, above=0)
        for beta in self.logits_betas:
            require("search.logits_betas", beta, at_least=0, below=1)
        require("search.logits_weight_decay", self.logits_weight_decay, at_least=0)
        require("search.logits_gradient_clip", self.logits_gradient_clip, above=0)
        require("search.weights_gradient_clip", self.weights_gradient_clip, above=0)
        require("search.warmup_epochs", self.warmup_epochs, at_least=0, below=self.epochs)
        require_one_of("search.sampling", self.sampling, ("relaxed", "single_path"))
        require("search.samples_per_step", self.samples_per_step, at_least=1)
        require("search.accumulate_batches", self.accumulate_batches, at_least=1)
        require("search.skip_tolerance", self.skip_tolerance, at_least=0, below=1)
        require("search.initial_logits_std", self.initial_logits_std, at_least=0)


@dataclass(frozen=True, kw_only=True)
class ResourceSettings:
    """What the child may cost: a penalty during the search, and upper bounds that the child meets.

    Args:
        penalty: the paper's resource constraint, none, mild, moderate or aggressive
        penalty_weight: in place of the level's weight, at least 0; null for the level's
        max_params: bound on parameters; null for none
        max_macs: bound on multiply-accumulates for one input; null for none
        max_memory_access: bound on elements read and written for one input; null for none
        max_latency_ms: bound on milliseconds by the latency table; null for none
        target: the child shall also not cost much less than the bounds
        tolerance: how much less is not much, a share in (0, 1)
        latency_table: JSON file of measured latencies; null to measure on this machine
    """

    penalty: Literal["none", "mild", "moderate", "aggressive"] = "none"
    penalty_weight: float | None = None
    max_params: float | None = None
    max_macs: float | None = None
    max_memory_access: float | None = None
    max_latency_ms: float | None = None
    target: bool = False
    tolerance: float = 0.05
    latency_table: str | None = None

    def __post_init__(self) -> None:
        require_one_of("resources.penalty", self.penalty, ("none", "mild", "moderate", "aggressive"))
        require("resources.penalty_weight", self.penalty_weight, at_least=0)
        if self.penalty == "none" and self.penalty_weight is not None:
            raise SettingError("resources.penalty_weight is set, but resources.penalty is none; choose a level")
        for name in ("max_params", "max_macs", "max_memory_access", "max_latency_ms"):
            require(f"resources.{name}", getattr(self, name), above=0)
        require("resources.tolerance", self.tolerance, above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the weights are trained: SGD with a cosine learning rate.

    Args:
        learning_rate: of the first epoch, above 0
        learning_rate_floor: of the last epoch, in [0, learning_rate]
        momentum: in [0, 1)
        weight_decay: at least 0
        label_smoothing: in the training loss, in [0, 1)
        auxiliary_weight: of the auxiliary head's loss, at least 0
    """

    learning_rate: float = 0.025
    learning_rate_floor: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.4

    def __post_init__(self) -> None:
        require("training.learning_rate", self.learning_rate, above=0)
        require("training.learning_rate_floor", self.learning_rate_floor, at_least=0, at_most=self.learning_rate)
        require("training.momentum", self.momentum, at_least=0, below=1)
        require("training.weight_decay", self.weight_decay, at_least=0)
        require("training.label_smoothing", self.label_smoothing, at_least=0, below=1)
        require("training.auxiliary_weight", self.auxiliary_weight, at_least=0)


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """What is kept so that a search that was cut off can go on.

    Args:
        keep: how many of the newest checkpoints stay, at least 1
        every_steps: one after so many batches too, not only after each epoch; null for none
    """

    keep: int = 2
    every_steps: int | None = None

    def __post_init__(self) -> None:
        require("checkpoint.keep", self.keep, at_least=1)
        require("checkpoint.every_steps", self.every_steps, at_least=1)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One search run.

    Args:
        space: the model space
        data: the images
        search: the search
        resources: the child's cost
        training: the weights
        checkpoint: of the state
        output: folder of the results, new or empty; runs/TIME by default
        resume: output folder of a search that was cut off, to go on in it with its settings
        seed: of weights, logits, samples and batches, at least 0
        accelerator: Lightning's: auto, cpu, gpu, ...
        devices: Lightning's: auto or a number
        precision: Lightning's: 32-true, 16-mixed, bf16-mixed, ...
        quiet: print nothing but errors
    """

    space: SpaceSettings = field(default_factory=SpaceSettings)
    data: DataSettings = field(default_factory=DataSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    output: str | None = None
    resume: str | None = None
    seed: int = 0
    accelerator: str = "auto"
    devices: int | str = "auto"
    precision: str = "32-true"
    quiet: bool = False

    def __post_init__(self) -> None:
        require("seed", self.seed, at_least=0, below=2**32)
