"""Work that several candidates do on the same tensor, done once.

Most candidates of a cell begin with a ReLU or a pooling, and a node's output goes to the edges of all later nodes.
Inside ``with shared_work():`` a result is remembered, and the next module that does the same to the same tensor
takes it. Without gradients each module computes its own, so that counting and export see what the child does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SharedAvgPool", "SharedMaxPool", "SharedReLU", "shared_work"]

# By identity of the input, which is kept too: a tensor that died could pass its identity on to another.
_Results = dict[tuple[int, str], tuple[Tensor, Tensor]]
_remembered: ContextVar[_Results | None] = ContextVar("_remembered", default=None)


def shared_work() -> AbstractContextManager[None]:
    """Share results among the modules that run in this block, and forget them at its end.

    Blocks are apart from each other, nested ones too: a block that runs again (activation checkpointing) does what
    it did the first time.
    """
    return nullcontext() if torch.compiler.is_compiling() else _sharing()  # a compiler finds equal work by itself


@contextmanager
def _sharing() -> Iterator[None]:
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def _once(x: Tensor, key: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return function(x)
    results = _remembered.get()
    if results is None:
        return function(x)
    if (id(x), key) not in results:
        results[id(x), key] = x, function(x)
    return results[id(x), key][1]


class SharedReLU(nn.ReLU):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return _once(x, "relu", functional.relu)


class SharedMaxPool(nn.MaxPool2d):
    """Max pooling with a square window."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled maps."""
        return _once(x, f"max_pool_{self.kernel_size}_{self.stride}_{self.padding}", super().forward)


class SharedAvgPool(nn.AvgPool2d):
    """Average pooling with a square window."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled maps."""
        key = f"avg_pool_{self.kernel_size}_{self.stride}_{self.padding}_{self.count_include_pad}"
        return _once(x, key, super().forward)
