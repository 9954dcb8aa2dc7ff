"""Choices, concrete samples, the architecture distribution, polynomials in Z: the base concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

if TYPE_CHECKING:
    from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
    from snas_nni.distribution.choices import AnyOf, Choice, OneOf, SubsetOf
    from snas_nni.distribution.polynomial import Polynomial
    from snas_nni.distribution.sample import ChoiceReader, CurrentSample, Sample
    from snas_nni.distribution.trace import Trace

__all__ = [
    "AnyOf",
    "ArchitectureDistribution",
    "Choice",
    "ChoiceReader",
    "CurrentSample",
    "OneOf",
    "Polynomial",
    "Sample",
    "SubsetOf",
    "Trace",
]

_HOMES = {
    "AnyOf": "choices",
    "ArchitectureDistribution": "architecture_distribution",
    "Choice": "choices",
    "ChoiceReader": "sample",
    "CurrentSample": "sample",
    "OneOf": "choices",
    "Polynomial": "polynomial",
    "Sample": "sample",
    "SubsetOf": "choices",
    "Trace": "trace",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
