"""Children drawn without regard to probabilities: every candidate as often as the others."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from snas_nni.distribution.choices import AnyOf, Choice, SubsetOf

__all__ = ["random_children"]

Samples = list[dict[str, Any]]


def random_children(
    choices: Mapping[str, Choice], count: int, seed: int, known: Sequence[Mapping[str, Any]] = ()
) -> Samples:
    """Return different children, every candidate of every label equally probable; fewer where there are fewer.

    Args:
        choices: of the space.
        count: how many.
        seed: of the draws.
        known: samples that are not drawn again.
    """
    generator = random.Random(seed)
    seen = {_key(sample) for sample in known}
    found: Samples = []
    for _ in range(50 * count):
        if len(found) == count:
            break
        sample = {label: _drawn(choice, generator) for label, choice in choices.items()}
        if _key(sample) not in seen:
            seen.add(_key(sample))
            found.append(sample)
    return found


def _drawn(choice: Choice, generator: random.Random) -> Any:
    if isinstance(choice, AnyOf):
        return choice.value([generator.randrange(2) for _ in choice.candidates])
    outcomes = choice.subsets if isinstance(choice, SubsetOf) else choice.candidates
    return choice.value([generator.randrange(len(outcomes))])


def _key(sample: Mapping[str, Any]) -> str:
    return repr(sorted(sample.items()))
