"""``Repeat`` in the supernet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import Repeat
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.resources.operations import Convention
from snas_nni.supernet.expressions import (
    expression_conditions,
    expression_numbers,
    expression_value,
    expression_weights,
)
from snas_nni.supernet.weighting import negligible, same_shape, weighted_sum

__all__ = ["MixedRepeat"]


class MixedRepeat(Repeat, BaseSuperNetModule):
    """Runs sum_d Z^d x_d, x_d being the input after d blocks; depth 0 is the input itself.

    Blocks beyond the last depth that has a share do not run.
    """

    def __init__(
        self, blocks: list[nn.Module], depth: MutableExpression, readers: dict[str, ChoiceReader], name: str
    ) -> None:
        super().__init__(blocks, depth)
        self.readers = readers
        self.name = name

    def forward(self, x: Any) -> Any:
        """Return the weighted sum over the depths."""
        trace = next(iter(self.readers.values())).trace
        if trace is not None:
            return self._traced(trace, x)
        if next(iter(self.readers.values())).sample.is_fixed:
            depth = expression_value(self.depth_choice, self.readers)
            for block in self.blocks[:depth]:
                x = block(x)
            return self.merge([x], None, [depth])
        numbers = expression_numbers(self.depth_choice, self.readers)
        allowance = min(reader.negligible_share() for reader in self.readers.values())
        skip = dict(zip(numbers, negligible(list(numbers.values()), allowance), strict=True))
        runs = {depth for depth in numbers if not skip[depth]}
        by_depth = expression_weights(self.depth_choice, self.readers)
        outputs, weights, depths = [], [], []
        for depth in range(max(runs) + 1):
            if depth > 0:
                x = self.blocks[depth - 1](x)
            if depth in runs:
                outputs.append(x)
                weights.append(by_depth[depth])
                depths.append(depth)
        return self.merge(outputs, weights, depths)

    def merge(self, outputs: Sequence[Any], weights: Sequence[Tensor] | None, depths: Sequence[int]) -> Any:
        """Weighted sum over the depths that ran; the only one if ``weights`` is None."""
        return outputs[0] if weights is None else weighted_sum(outputs, weights, self.where)

    def merge_traced(self, outputs: Sequence[Any], depths: Sequence[int]) -> Any:
        """One of the outputs of a pass that counts, once all have its shape."""
        return same_shape(outputs, depths, self.where())

    def where(self) -> str:
        """Names the choice in messages."""
        return f"label '{next(iter(self.readers))}' (Repeat '{self.name}')"

    def _traced(self, trace: Trace, x: Any) -> Any:
        depths = [0, *range(1, self.max_depth + 1)]
        outputs = [x]
        for condition, block in self.branches():
            with trace.when(condition, self.owner):
                outputs.append(block(outputs[-1]))
        possible = [depth for depth in depths if self.min_depth <= depth]
        return self.merge_traced([outputs[depth] for depth in possible], possible)

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The blocks, each with the condition that the child is at least as deep."""
        by_depth = expression_conditions(self.depth_choice, self.readers)
        return [
            (Polynomial.sum(condition for depth, condition in by_depth.items() if depth > index), block)
            for index, block in enumerate(self.blocks)
        ]

    @property
    def owner(self) -> Owner:
        """Label and layer of the choice."""
        return next(iter(self.readers.values())).owner

    def own_parameters(self, convention: Convention) -> None:
        """None: what it costs is in its blocks."""

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``Repeat`` with a depth to choose."""
        if type(module) is Repeat and isinstance(module.depth_choice, MutableExpression):
            bind = mutate_kwargs["distribution"].bind
            readers = {label: bind(label) for label in module.depth_choice.simplify()}
            blocks: Any = module.blocks
            return cls(list(blocks), module.depth_choice, readers, name)
        return None
