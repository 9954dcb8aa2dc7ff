"""Work that several candidates do on the same tensor, done once.

Most candidates of a cell begin with a ReLU or a pooling, and a node's output goes to the edges of all later nodes.
A result is remembered on its input tensor, where every other module that does the same finds it, and lives as long
as that input. Without gradients each module computes its own, so that counting and export see what the child does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SharedAvgPool", "SharedMaxPool", "SharedReLU"]


def _once(x: Tensor, key: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return function(x)
    name = f"_search_spaces_{key}"
    result: Tensor | None = getattr(x, name, None)
    if result is None:
        result = function(x)
        setattr(x, name, result)
    return result


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
