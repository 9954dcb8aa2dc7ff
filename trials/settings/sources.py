"""The data sources that ``data.source`` may name. A new one is a function in a file of its own and an entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SOURCES", "DataSource", "sources_in_words"]


@dataclass(frozen=True)
class DataSource:
    """A built-in source of images.

    Attributes:
        function: dotted path of what gets :class:`~trials.settings.run.DataSettings` and a
            :class:`~trials.progress.Progress` and returns :class:`~trials.data.types.ClassificationData`; imported
            when it is used.
        note: what the help says of it.
        recipe: of a retraining with it; None if it has none of its own.
        of_classes: whether all of it are inputs with a class each, and never targets of another task.
    """

    function: str
    note: str = ""
    recipe: str | None = None
    of_classes: bool = True


SOURCES: Final[dict[str, DataSource]] = {
    "digits": DataSource("trials.data.digits.load_digits", recipe="digits"),
    "folder": DataSource("trials.data.image_folder.load_image_folder"),
    "files": DataSource("trials.data.image_folder.load_image_folder", note="from disk"),
    "tensors": DataSource("trials.in_python.given_data.load_tensors", of_classes=False),
    "cifar10": DataSource("trials.data.cifar.load_cifar", recipe="cifar10"),
    "cifar100": DataSource("trials.data.cifar.load_cifar", recipe="cifar10"),
}


def sources_in_words() -> str:
    """Return the names, with their notes."""
    return ", ".join(f"{name} ({each.note})" if each.note else name for name, each in SOURCES.items())
