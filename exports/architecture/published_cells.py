"""The cells that the SNAS paper published, as architecture files that come with this package."""

from __future__ import annotations

from importlib import resources
from typing import Final

from exports.architecture.files import from_text
from exports.architecture.record import Architecture
from exports.errors import ArchitectureFileError
from snas_nni.files import readable

__all__ = ["PUBLISHED", "published"]

PUBLISHED: Final = ("mild", "moderate", "aggressive")
"""Names of the paper's three levels of resource constraint, from the largest network to the smallest."""


def published(level: str) -> Architecture:
    """Return the architecture that SNAS found under a level of resource constraint (paper, section 3).

    Its arguments are those of the paper's retraining on CIFAR-10, 20 cells and 36 channels, without auxiliary
    head. It has no weights: build it with ``weights=False``, or train it with ``snas-nni retrain``.

    Args:
        level: ``mild``, ``moderate`` or ``aggressive``.

    Raises:
        ArchitectureFileError: there is no such level.
    """
    if level not in PUBLISHED:
        raise ArchitectureFileError(
            "(name)", f"no cells are published as {readable(repr(level))}", f"Give one of {', '.join(PUBLISHED)}"
        )
    return from_text(resources.files("exports").joinpath("published", f"{level}.json").read_bytes())
