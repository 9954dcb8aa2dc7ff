"""NNI samples of a space, all or some of them."""

import itertools
import math
import random
from typing import Any

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, Choice, OneOf, SubsetOf


def outcomes(choice: Choice) -> list[Any]:
    """Every NNI value that a choice can take."""
    if isinstance(choice, OneOf):
        return [choice.value([k]) for k in range(len(choice.candidates))]
    if isinstance(choice, SubsetOf):
        return [choice.value([k]) for k in range(len(choice.subsets))]
    assert isinstance(choice, AnyOf)
    return [choice.value(gates) for gates in itertools.product((0, 1), repeat=len(choice.candidates))]


def all_or_some_samples(distribution: ArchitectureDistribution, at_most: int, seed: int) -> list[dict[str, Any]]:
    """Every NNI sample of the space, or ``at_most`` random ones."""
    values = {label: outcomes(choice) for label, choice in distribution.choices.items()}
    if math.prod(len(v) for v in values.values()) <= at_most:
        return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    chooser = random.Random(seed)
    return [{label: chooser.choice(v) for label, v in values.items()} for _ in range(at_most)]
