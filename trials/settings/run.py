"""What every run can be told, a search as well as a retraining: its data, its folder, its machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from snas_nni.errors import SettingError
from snas_nni.files import readable
from snas_nni.ranges import check_ranges, ranged, require

__all__ = ["LOGGERS", "BaseRunSettings", "DataSettings", "logger_names"]

LOGGERS: Final[Mapping[str, str]] = {"tensorboard": "tensorboard", "csv": "", "mlflow": "mlflow", "wandb": "wandb"}
"""The loggers that ``logger`` may name, each with the extra that brings its package; none for Lightning's own."""


def logger_names(text: str) -> list[str]:
    """Return the loggers that a setting such as ``csv,mlflow`` names, each once.

    Raises:
        SettingError: there is none of that name.
    """
    names = list(dict.fromkeys(each.strip() for each in text.split(",")))
    for name in names:
        if name not in LOGGERS:
            raise SettingError(f"logger: there is no {readable(name)!r}; there are {', '.join(LOGGERS)}")
    return names


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The images and their splits.

    {SOURCES} is filled in where the meanings are shown.

    Args:
        source: {SOURCES}, my_data.load
        path: folder of the images (not for digits)
        image_size: side in pixels that images of a folder are resized to
        validation_fraction: share of training images held out, in (0, 1)
        split_seed: of that split; equal in all trials, so that they compare
        mean: subtracted from each channel, a list; bytes count as 0 to 1; null to measure
        std: each channel is divided by it, a list, above 0; null to measure
        augmentation: random changes of training images: auto (the usual), none, shift, mirror
        crop_padding: pixels of padding before a random crop; null for the usual
        horizontal_flip: mirror half of the images; null for the usual
        cutout: side of a square cut out of training images; 0 for none
        corrupt: an image that cannot be read is an error, or skip it
        max_pixels: width times height of the largest image of a folder; 1 to 178956970
        cache: folder of decoded images; null for the user's cache folder
        download: allow CIFAR to be downloaded
        workers: processes that prepare batches; 0 for none
        options: whatever your own data source wants to be told
    """

    source: str = "digits"
    path: str | None = None
    image_size: int | None = ranged(None, at_least=1)
    validation_fraction: float = ranged(0.2, above=0, below=1)
    split_seed: int = ranged(0, at_least=0)
    mean: list[float] | None = None
    std: list[float] | None = None
    augmentation: Literal["auto", "none", "shift", "mirror"] = "auto"
    crop_padding: int | None = ranged(None, at_least=0)
    horizontal_flip: bool | None = None
    cutout: int = ranged(0, at_least=0)
    corrupt: Literal["error", "skip"] = "error"
    max_pixels: int = ranged(64_000_000, at_least=1, at_most=178_956_970)  # Pillow refuses larger ones
    cache: str | None = None
    download: bool = False
    workers: int = ranged(0, at_least=0)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_ranges(self, "data.")
        _check_normalization(self.mean, self.std)


def _check_normalization(mean: list[float] | None, std: list[float] | None) -> None:
    """Refuse one without the other, other numbers of them, and what a channel cannot be divided by.

    Raises:
        SettingError: names the key and what it must be.
    """
    for key, values in (("data.mean", mean), ("data.std", std)):
        if values is None:
            continue
        if (
            not isinstance(values, (list, tuple))
            or not values
            or any(type(each) not in (int, float) for each in values)
        ):
            raise SettingError(f"{key} is {readable(values)}, but must be a list of one number for each channel")
        for each in values:
            require(f"{key}, a number of it,", each, at_least=-_LARGEST, at_most=_LARGEST)
    if (mean is None) != (std is None):
        given, left = ("data.mean", "data.std") if std is None else ("data.std", "data.mean")
        raise SettingError(f"{given} is given without {left}; give both, as the network was trained with")
    if mean is not None and std is not None and len(mean) != len(std):
        raise SettingError(
            f"data.mean has {len(mean)} and data.std {len(std)} numbers, but both must have one for each channel"
        )
    for each in std or ():
        require("data.std, a number of it,", each, above=0)
        require("data.std, a number of it,", each, at_least=1 / _LARGEST)


_LARGEST: Final = 1e30  # float32 goes to 3.4e38, and a normalized value should not get there


@dataclass(frozen=True, kw_only=True)
class BaseRunSettings:
    """One run.

    Args:
        data: the images
        output: where the results go, a folder, new or empty; runs/TIME by default
        resume: output folder of a run that was cut off, to go on in it with its settings
        seed: of weights, samples, batches and all else that is drawn, at least 0
        accelerator: Lightning's: auto, cpu, gpu, ...
        devices: Lightning's: auto or a number
        precision: Lightning's: 32-true, 64-true, bf16-mixed, bf16-true, 16-mixed, 16-true
        logger: tensorboard,csv,mlflow,wandb or some of them; null for the first, if installed
        quiet: print nothing but errors
    """

    before: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What a run did before there was a setting for it, where that is not the setting's default, by group. A run that
    an earlier version began goes on as that version would have gone on."""

    data: DataSettings = field(default_factory=DataSettings)
    output: str | None = None
    resume: str | None = None
    seed: int = ranged(0, at_least=0, below=2**32)
    accelerator: str = "auto"
    devices: int | str = "auto"
    precision: str = "32-true"
    logger: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.logger is not None:
            logger_names(self.logger)
