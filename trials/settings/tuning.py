"""What a child can be told that is taught by another network, or trained on by itself after the search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from snas_nni.errors import SettingError
from snas_nni.ranges import check_ranges, ranged

__all__ = ["DistillationSettings", "TuningSettings"]


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """A teacher, whose outputs the network learns beside the labels.

    Args:
        teacher: original (FromModel's), supernet, a run's folder or a.function; null for none
        weights: safetensors or torch file, where the teacher is made by a function
        weight: share of the teacher in the loss, in [0, 1]
        temperature: that both networks' logits are divided by, above 0
        features: modules that learn outputs too, and the teacher's, such as {layer3: layer3}
        feature_weight: of the features in the loss, beside the rest, at least 0
        feature_comparison: of their values, or of attention, which takes any number of channels
    """

    teacher: str | None = None
    weights: str | None = None
    weight: float = ranged(0.5, at_least=0, at_most=1)
    temperature: float = ranged(2.0, above=0)
    features: dict[str, Any] = field(default_factory=dict)
    feature_weight: float = ranged(1.0, at_least=0)
    feature_comparison: Literal["values", "attention"] = "values"

    def __post_init__(self) -> None:
        check_ranges(self, "distillation.")
        names = [*self.features, *self.features.values()]
        # A layer of a Sequential has a number for its name, which YAML reads as one.
        object.__setattr__(self, "features", {str(mine): str(theirs) for mine, theirs in self.features.items()})
        if not all(type(name) is int or (isinstance(name, str) and name) for name in names):
            raise SettingError(
                f"distillation.features is {self.features}; it must give the name of a teacher's module for the name "
                "of each of the network's, such as {layer3: layer3}"
            )
        if self.features and self.teacher is None:
            raise SettingError("distillation.features needs distillation.teacher, the network that they are learned of")


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """Training of the child by itself, after the search.

    Args:
        epochs: passes over the training images; 0 for none
        learning_rate: of the first epoch; null for a fifth of the search's
    """

    epochs: int = ranged(0, at_least=0)
    learning_rate: float | None = ranged(None, above=0, at_most=1e30)

    def __post_init__(self) -> None:
        check_ranges(self, "tuning.")
