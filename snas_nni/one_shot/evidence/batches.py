"""Looking at a search's batches beside the search: afterwards its loaders go on as if nobody had asked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snas_nni.one_shot.lightning_compat import validation_loaders
from snas_nni.resumable_loader import ResumableLoader

__all__ = [
    "Batches",
    "examples_in",
    "generators_of",
    "held_out",
    "training_batches",
    "undisturbed_loader",
    "validation_batches",
]


@dataclass(frozen=True)
class Batches:
    """The first batches of a loader.

    Attributes:
        loader: any iterable of batches.
        limit: how many at most; None for all.
    """

    loader: Any
    limit: int | None = None

    def seeded(self, seed: int) -> Iterator[Any]:
        """Iterate with what the loader draws decided by ``seed``; torch's global generator is left seeded."""
        with undisturbed_loader(self.loader):
            torch.manual_seed(seed)
            yield from itertools.islice(self.loader, self.limit)


@contextmanager
def undisturbed_loader(loader: Any) -> Iterator[None]:
    """Let a block iterate a loader from its start without leaving a trace in its position and its generators."""
    if isinstance(loader, ResumableLoader):
        with loader.undisturbed():
            yield
        return
    generators = generators_of(loader)
    states = [generator.get_state() for generator in generators]
    keeps = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")  # torchdata's loader, for one
    position = loader.state_dict() if keeps else None
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        if keeps:
            loader.load_state_dict(position)


def generators_of(loader: Any) -> list[torch.Generator]:
    """The generators that a loader and its sampler draw from, where they have their own."""
    holders = (loader, getattr(loader, "sampler", None))
    found = [getattr(each, "generator", None) for each in holders if each is not None]
    return list(dict.fromkeys(each for each in found if isinstance(each, torch.Generator)))


def training_batches(trainer: Any, limit: int) -> Batches | None:
    """The first training batches of a Trainer; of a bilevel search those that the weights are trained on.

    Args:
        trainer: of the search.
        limit: how many, at least 0; for 0 None is returned.
    """
    loader = trainer.train_dataloader
    if isinstance(loader, Mapping):
        loader = loader["train"]
    return Batches(loader, limit) if limit and loader is not None else None


def validation_batches(trainer: Any, share: float = 1.0) -> list[Batches]:
    """The held-out batches of a Trainer, for each of its loaders; none if it validates nothing.

    Args:
        trainer: of the search.
        share: of the batches that the Trainer validates on, in (0, 1].
    """
    return [held_out(loader, share, limit) for loader, limit in validation_loaders(trainer) if limit]


def held_out(loader: Any, share: float = 1.0, limit: float = math.inf) -> Batches:
    """The first ``share`` of a loader's batches, at least one; all of a loader that does not know its length."""
    with suppress(TypeError):
        limit = min(limit, len(loader))
    return Batches(loader, None if math.isinf(limit) else max(1, math.ceil(share * limit)))


def examples_in(batch: Any) -> int:
    """How many examples a batch has: the length of its first tensor; 1 if it has none."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.dim() else 1
    if isinstance(batch, (Mapping, list, tuple)):
        parts: Iterable[Any] = batch.values() if isinstance(batch, Mapping) else batch
        for part in parts:
            if isinstance(part, (Tensor, Mapping, list, tuple)):
                return examples_in(part)
    return 1
