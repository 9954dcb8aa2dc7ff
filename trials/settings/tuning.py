"""What a child can be told that is taught by another network, or trained on by itself after the search."""

from __future__ import annotations

from dataclasses import dataclass

from snas_nni.ranges import check_ranges, ranged

__all__ = ["DistillationSettings", "TuningSettings"]


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """A teacher, whose outputs the network learns beside the labels.

    Args:
        teacher: original (FromModel's), a run's folder or your.own.function; null for none
        weights: safetensors or torch file, where the teacher is made by a function
        weight: share of the teacher in the loss, in [0, 1]
        temperature: that both networks' logits are divided by, above 0
    """

    teacher: str | None = None
    weights: str | None = None
    weight: float = ranged(0.5, at_least=0, at_most=1)
    temperature: float = ranged(2.0, above=0)

    def __post_init__(self) -> None:
        check_ranges(self, "distillation.")


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """Training of the child by itself, after the search.

    Args:
        epochs: passes over the training images; 0 for none
        learning_rate: of the first epoch; null for a fifth of the search's
    """

    epochs: int = ranged(0, at_least=0)
    learning_rate: float | None = ranged(None, above=0)

    def __post_init__(self) -> None:
        check_ranges(self, "tuning.")
