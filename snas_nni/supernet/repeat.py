"""``Repeat`` in the supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import Repeat
from torch import Tensor, nn

from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.nni_compat import BaseSuperNetModule
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.expressions import (
    expression_conditions,
    expression_numbers,
    expression_value,
    expression_weights,
)
from snas_nni.supernet.weighting import same_shape, weighted_sum

__all__ = ["MixedRepeat"]


class MixedRepeat(SampledModule, Repeat, BaseSuperNetModule):
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
        if self.reader.trace is not None:
            return self._chained(x)
        if self.reader.sample.is_fixed:
            depth = expression_value(self.depth_choice, self.readers)
            for block in self.blocks[:depth]:
                x = block(x)
            return self.merge([x], None, [depth])
        numbers = expression_numbers(self.depth_choice, self.readers)
        possible = list(numbers)
        runs = {possible[index] for index in self.indices_to_run(list(numbers.values()))}
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

    def _chained(self, x: Any) -> Any:
        """All blocks one after the other, in a pass that counts or times."""
        outputs = [x]
        for condition, block in self.branches():
            outputs.append(self.run_traced(condition, block, outputs[-1]))
        possible = range(self.min_depth, self.max_depth + 1)
        return self.merge_traced([outputs[depth] for depth in possible], possible)

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The blocks, each with the condition that the child is at least as deep."""
        by_depth = expression_conditions(self.depth_choice, self.readers)
        return [
            (Polynomial.sum(condition for depth, condition in by_depth.items() if depth > index), block)
            for index, block in enumerate(self.blocks)
        ]

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The list of blocks: the child is a sequence of the first of them, under the same numbers."""
        return Counterpart(self.blocks)

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``Repeat`` with a depth to choose."""
        if type(module) is Repeat and isinstance(module.depth_choice, MutableExpression):
            bind = mutate_kwargs["distribution"].bind
            readers = {label: bind(label) for label in module.depth_choice.simplify()}
            blocks: Any = module.blocks
            return cls(list(blocks), module.depth_choice, readers, name)
        return None
