"""The search methods that are compared, each behind the same few questions.

NNI's three run as they ship; what they are given is what SNAS is given too.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.strategy import DARTS, GumbelDARTS, RandomOneShot
from torch import Tensor, nn

from snas_nni import SNAS
from snas_nni.distribution.choices import Choice, choice_of
from snas_nni.distribution.concrete import entropy
from trials.runs.components import strategy_arguments
from trials.settings.search import SearchSettings

__all__ = ["Method", "make_method", "uniform_sample"]

Sample = dict[str, Any]


class Method(ABC):
    """One search of one space.

    Attributes:
        strategy: NNI's or this project's one-shot strategy, new.
        bilevel: whether a step takes a batch for the weights and one for the logits.
    """

    strategy: Any
    bilevel = True

    @abstractmethod
    def entropy(self) -> float:
        """Entropy of the architecture distribution, in nats."""

    @abstractmethod
    def samples(self, count: int) -> list[Sample]:
        """What the search found: one sample; for random sampling ``count`` of them."""

    def probable(self, count: int) -> list[Sample]:
        """The most probable children, the first one first; what the search found where the method has no others."""
        return self.samples(1)

    def child(self, sample: Sample) -> nn.Module:
        """The child with the supernet's weights, a copy: NNI's own derivation, which keeps the chosen candidates."""
        return copy.deepcopy(self.strategy.supernet.freeze(sample))

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of the supernet, run as the search runs it; draws from torch's generator."""
        logits: Tensor = self.strategy.supernet(inputs)
        return logits


class _Snas(Method):
    """This project's; the sampled Z of its last epoch's temperature."""

    def __init__(self, space: ModelSpace, search: SearchSettings, seed: int) -> None:
        self.strategy = SNAS(**strategy_arguments(search), seed=seed)
        self.bilevel = search.bilevel

    def entropy(self) -> float:
        return sum(self.strategy.distribution.entropies().values())

    def samples(self, count: int) -> list[Sample]:
        return [self.strategy.chosen_sample()]

    def probable(self, count: int) -> list[Sample]:
        return self.strategy.selection().candidates(count)

    def child(self, sample: Sample) -> nn.Module:
        _, child = self.strategy.derive()
        return child

    def predict(self, inputs: Tensor) -> Tensor:
        distribution = self.strategy.distribution
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        with distribution.use(distribution.draw(self.strategy.settings.temperature(1.0), generator)):
            return super().predict(inputs)


class _Darts(Method):
    """NNI's DARTS: the supernet is the mixture by softmax."""

    kind: Any = DARTS

    def __init__(self, space: ModelSpace, search: SearchSettings, seed: int) -> None:
        self.strategy = self.kind(
            arc_learning_rate=search.logits_learning_rate,
            gradient_clip_val=search.weights_gradient_clip,
            warmup_epochs=search.warmup_epochs,
        )

    def entropy(self) -> float:
        with torch.no_grad():
            return sum(float(entropy(logits)) for logits in self.strategy._arch_parameters.values())

    def samples(self, count: int) -> list[Sample]:
        return [self.strategy.oneshot_module.export()]


class _GumbelDarts(_Darts):
    """NNI's GumbelDARTS: the supernet is a mixture drawn anew in every module, at NNI's own temperatures."""

    kind = GumbelDARTS


class _Random(Method):
    """NNI's RandomOneShot trains a supernet by one uniformly drawn path a batch; children are drawn uniformly too."""

    bilevel = False

    def __init__(self, space: ModelSpace, search: SearchSettings, seed: int) -> None:
        self.strategy = RandomOneShot()
        self._choices = [choice_of(mutable) for mutable in space.simplify().values()]
        self._seed = seed

    def entropy(self) -> float:
        rows = [choice.rows(torch.zeros(choice.logits_shape)) for choice in self._choices]
        return sum(float(entropy(row).sum()) for row in rows)

    def samples(self, count: int) -> list[Sample]:
        generator = torch.Generator().manual_seed(self._seed)
        return [uniform_sample(self._choices, generator) for _ in range(count)]

    def predict(self, inputs: Tensor) -> Tensor:
        self.strategy.oneshot_module.resample()
        return super().predict(inputs)


def uniform_sample(choices: Iterable[Choice], generator: torch.Generator) -> Sample:
    """Draw every choice uniformly and independently."""
    sample = {}
    for choice in choices:
        rows, categories = choice.rows(torch.zeros(choice.logits_shape)).shape
        sample[choice.label] = choice.value(torch.randint(categories, (rows,), generator=generator).tolist())
    return sample


_KINDS: dict[str, type[Any]] = {"snas": _Snas, "darts": _Darts, "gumbel_darts": _GumbelDarts, "random": _Random}


def make_method(name: str, space: ModelSpace, search: SearchSettings, seed: int) -> Method:
    """Make a method for a space that is not a supernet yet.

    Args:
        name: one of ``trials.bench.settings.METHODS``.
        space: that will be searched.
        search: settings; NNI's methods take those that they have a counterpart of.
        seed: of what the method draws itself.
    """
    method: Method = _KINDS[name](space, search, seed)
    return method
