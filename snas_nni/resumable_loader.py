"""A data loader that knows where in an epoch it is, so that a search can be cut between any two steps."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch.utils.data import DataLoader

__all__ = ["ResumableLoader"]


class ResumableLoader(DataLoader[Any]):
    """PyTorch's ``DataLoader`` with a position that checkpoints keep.

    Lightning saves and loads it. Batches that were given before the cut are not loaded again. The order of a
    shuffled epoch comes from a generator of the loader's own, so it depends on nothing else that draws. A process that
    prepares batches and cannot hand one over, because shared memory is full, ends; PyTorch's waits for ever.

    Args:
        arguments: of ``torch.utils.data.DataLoader``; over a dataset with a length.
        generator: of the order; a new one with PyTorch's initial seed if None.
    """

    def __init__(self, *arguments: Any, generator: torch.Generator | None = None, **keywords: Any) -> None:
        self._skip = 0
        self._given = 0
        self._epoch_start: torch.Tensor | None = None
        self._loaded: torch.Tensor | None = None
        if generator is None:
            generator = torch.Generator().manual_seed(torch.initial_seed())
        starts = _Starts(keywords.get("worker_init_fn"))
        super().__init__(*arguments, **{**keywords, "generator": generator, "worker_init_fn": starts})

    @property
    def _index_sampler(self) -> Any:
        indices = super()._index_sampler
        return _SkipFirst(indices, self._skip) if self._skip else indices

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # A generator, so that nothing is drawn and no worker starts before the epoch's first batch is asked for:
        # Lightning makes the iterator of a resumed epoch before it tells the sampler which epoch that is.
        if self._loaded is not None:
            self.generator.set_state(self._loaded)
            self._loaded = None
        self._epoch_start = self.generator.get_state()
        self._given = self._skip
        batches = super().__iter__()
        self._skip = 0
        for batch in batches:
            self._given += 1
            yield batch

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Let a block iterate from the start of the epoch; the position afterwards is that of before."""
        position, drawn = (self._skip, self._given, self._epoch_start, self._loaded), self.generator.get_state()
        if self._loaded is not None:
            self.generator.set_state(self._loaded)
        elif self._given < len(self) and self._epoch_start is not None:  # within an epoch
            self.generator.set_state(self._epoch_start)
        self._skip, self._loaded = 0, None
        try:
            yield
        finally:
            self._skip, self._given, self._epoch_start, self._loaded = position
            self.generator.set_state(drawn)

    def end_epoch(self) -> None:
        """Say that no more batches of this epoch will be asked for, where there are some: the next one starts anew."""
        self._epoch_start = None

    def state_dict(self) -> dict[str, Any]:
        """Return the position: batches given in this epoch, and the generator's state at its start."""
        if self._loaded is not None:
            return {"given": self._skip, "generator": self._loaded}
        if self._epoch_start is None or self._given >= len(self):
            return {"given": 0, "generator": self.generator.get_state()}
        return {"given": self._given, "generator": self._epoch_start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on from a position."""
        self._skip = int(state["given"])
        self._loaded = state["generator"].cpu()


class _Starts:
    """What a loader process does first: see to it that a batch that gets lost is noticed.

    Batches are handed over by a thread, whose errors Python prints and forgets.
    """

    def __init__(self, own: Callable[[int], Any] | None) -> None:
        self._own = own

    def __call__(self, number: int) -> None:
        Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
        if self._own is not None:
            self._own(number)


def _end(error: Exception, _: object) -> None:
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stdout)
    sys.stdout.flush()
    full = getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
    os._exit(errno.ENOSPC if full else 1)  # PyTorch's error tells the code


class _SkipFirst:
    """The items of an iterable after the first ``skip``."""

    def __init__(self, items: Iterable[Any], skip: int) -> None:
        self._items = items
        self._skip = skip

    def __iter__(self) -> Iterator[Any]:
        for position, item in enumerate(self._items):
            if position >= self._skip:
                yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]
