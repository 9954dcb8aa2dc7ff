"""What a search in a loop of one's own keeps between two epochs, and how it goes on from that, equal to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SnasError
from snas_nni.one_shot.evidence.batches import Batches, generators_of
from snas_nni.one_shot.evidence.settling import Settling
from snas_nni.one_shot.loop.regularization import Regularization
from snas_nni.one_shot.loop.step import SearchStep
from snas_nni.one_shot.resume_state import random_state, set_random_state
from snas_nni.resources.cost_source import CostSource

__all__ = ["LoopCheckpoint"]


class Searched(Protocol):
    """The parts of a search that its steps change."""

    supernet: Any
    distribution: ArchitectureDistribution
    optimizer: torch.optim.Optimizer
    logits_optimizer: torch.optim.Optimizer
    search_step: SearchStep
    regularization: Regularization
    settling: Settling
    costs: CostSource | None
    metrics: dict[str, float]
    seed: int


class LoopCheckpoint:
    """Takes the state of a search, and puts it back.

    Args:
        search: whose they are.
        train: its training batches; what their generators draw goes on as well.
    """

    def __init__(self, search: Searched, train: Any) -> None:
        self._search = search
        self._train = train
        self._random: Mapping[str, Any] | None = None

    def state_dict(self, epochs: int, metrics: Mapping[str, float]) -> dict[str, Any]:
        """What a file keeps; tensors and plain values.

        Args:
            epochs: that are done.
            metrics: of the last one.
        """
        search = self._search
        return {
            "epochs": epochs,
            "supernet": search.supernet.state_dict(),
            "distribution": search.distribution.state_dict(),
            "optimizer": search.optimizer.state_dict(),
            "logits_optimizer": search.logits_optimizer.state_dict(),
            "search_step": search.search_step.number,
            "regularizers": search.regularization.state_dict(),
            "settling": search.settling.state_dict(),
            "costs": search.costs.state_dict() if search.costs is not None else {},
            "metrics": dict(metrics),
            "generator": search.distribution.generator.get_state(),
            "loader": [each.get_state() for each in generators_of(self._train)],
            "random": random_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Put all of it back, but for random states, which wait for :meth:`begin`; return the epochs that are done.

        Raises:
            SnasError: it is not of a search of this space, with this optimizer and these regularizers.
        """
        search = self._search
        try:
            search.supernet.load_state_dict(state["supernet"])
            search.distribution.load_state_dict(state["distribution"])
            search.optimizer.load_state_dict(state["optimizer"])
            search.logits_optimizer.load_state_dict(state["logits_optimizer"])
            search.regularization.load_state_dict(state["regularizers"])
            search.settling.load_state_dict(state["settling"])
            search.search_step.number = state["search_step"]
            if search.costs is not None:
                search.costs.load_state_dict(state["costs"])
            search.metrics = dict(state["metrics"])
            epochs = int(state["epochs"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise SnasError(f"this state is not of such a search: {error}") from error
        self._random = {name: state[name] for name in ("random", "generator", "loader")}
        return epochs

    def begin(self) -> None:
        """Before the first step after a state was loaded: count costs, and let all draws go on from there."""
        state, search = self._random, self._search
        if state is None:
            return
        if search.regularization.waiting:  # the search may settle before there is a batch
            for batch in Batches(self._train, 1).seeded(search.seed):
                search.regularization.prepare(batch)
        search.distribution.generator.set_state(state["generator"])
        for generator, drawn in zip(generators_of(self._train), state["loader"], strict=True):
            generator.set_state(drawn)
        set_random_state(state["random"])
        self._random = None
