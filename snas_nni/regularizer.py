"""What is added to the task loss: the interface of a term."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snas_nni.errors import SettingError

if TYPE_CHECKING:  # so that the interface is there without torch
    from torch import Tensor

    from snas_nni.cost_model import CostModel
    from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
    from snas_nni.distribution.sample import Sample

__all__ = ["Regularizer", "RegularizerTerm", "as_regularizer", "name_of"]


@dataclass(frozen=True)
class RegularizerTerm:
    """What a regularizer adds to the loss of a step.

    Attributes:
        value: a scalar tensor, differentiable with respect to the logits.
        read: the weights that it was computed from, by label, shape ``(K,)`` each: telemetry reads from their
            gradients what the term holds for and against each label. Empty if it shall not.
        through_sample: whether these come from the step's sample, as ``sample.mean_weights()``, rather than from the
            distribution, as ``distribution.expected_weights(label)``.
    """

    value: Tensor
    read: Mapping[str, Tensor] = field(default_factory=dict)
    through_sample: bool = False


class Regularizer(ABC):
    """A term added to the task loss, such as a resource penalty.

    Derive from it for a term that has costs, numbers to log or a state; all hooks but the call may stay as they are.
    A plain function of (distribution, sample, step) that returns a scalar tensor is a regularizer too.

    Attributes:
        name: in the log, ``penalty/<name>``; the type's name and the position among the regularizers if empty.
        costs: names of the costs that it asks for. They are counted, or measured, before the first step.

    Examples:
        >>> class LowEntropy(Regularizer):
        ...     name = "entropy"
        ...     def __call__(self, distribution, sample, step):
        ...         rows = [distribution.rows_of(label).log_softmax(-1) for label in distribution.choices]
        ...         return 1e-3 * sum(-(row.exp() * row).sum() for row in rows)
        >>> from snas_nni import SNAS, SnasCellSpace
        >>> strategy = SNAS(regularizers=[LowEntropy()], initial_logits_std=0)
        >>> supernet = strategy.mutate_model(SnasCellSpace(channels=2, cells=3))
        >>> distribution = strategy.distribution
        >>> term = LowEntropy()(distribution, distribution.draw(temperature=1.0), step=0)
        >>> round(float(term), 4)  # 28 choices among 8, all uniform: 0.028 ln 8
        0.0582
    """

    name: str = ""
    costs: Collection[str] = ()

    @abstractmethod
    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> RegularizerTerm | Tensor:
        """Return the term of a step, or only its value: a scalar, differentiable with respect to the logits.

        Args:
            distribution: logits, probabilities, entropies.
            sample: the Z that the forward pass of this step ran with.
            step: number of finished search steps.
        """

    def prepare(self, cost_model: CostModel) -> None:  # noqa: B027  a hook
        """Learn what the candidates cost; called once, before the first step."""

    def unread(self) -> Sequence[Tensor]:
        """Return scalars of the step whose numbers it wants: they come to the host together with the loss."""
        return ()

    def learn(self, numbers: Sequence[float]) -> None:  # noqa: B027  a hook
        """Get the numbers of what :meth:`unread` returned, after the loss is known and before the backward pass."""

    def metrics(self, distribution: ArchitectureDistribution) -> dict[str, float]:
        """Return numbers to log at the end of an epoch."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  a hook
        """Go on from a checkpoint."""


class _Function(Regularizer):
    """A plain function as a regularizer without any hook."""

    def __init__(self, function: Callable[..., RegularizerTerm | Tensor]) -> None:
        self.function = function

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> RegularizerTerm | Tensor:
        return self.function(distribution, sample, step)


_HOOKS = ("name", "costs", "prepare", "unread", "learn", "metrics", "state_dict", "load_state_dict")


def as_regularizer(term: Regularizer | Callable[..., RegularizerTerm | Tensor]) -> Regularizer:
    """Return a regularizer as it is, and a plain function as one.

    Raises:
        SettingError: it is neither, or an object with hooks that would never be called.
    """
    if isinstance(term, Regularizer):
        return term
    kind = type(term).__name__
    if not callable(term):
        raise SettingError(f"regularizers: {kind} is not a regularizer. Give a snas_nni.Regularizer, or a function.")
    unheard = [hook for hook in _HOOKS if hasattr(term, hook)]
    if unheard:
        raise SettingError(
            f"regularizers: {kind} has {', '.join(unheard)}, which only a snas_nni.Regularizer is asked for. "
            f"Derive {kind} from it."
        )
    return _Function(term)


def name_of(term: Regularizer, position: int) -> str:
    """Return the name of a regularizer in the log.

    Args:
        term: the regularizer.
        position: among those of the search, from 0.
    """
    return term.name or f"{type(term.function if isinstance(term, _Function) else term).__name__}_{position}"
