"""``Repeat`` in the supernet."""

from __future__ import annotations

from typing import Any

from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import Repeat
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from snas_nni.sample import ChoiceReader
from snas_nni.supernet.expressions import expression_numbers, expression_value, expression_weights
from snas_nni.supernet.weighting import negligible, weighted_sum

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
        if next(iter(self.readers.values())).sample.is_one_hot:
            for block in self.blocks[: expression_value(self.depth_choice, self.readers)]:
                x = block(x)
            return x
        numbers = expression_numbers(self.depth_choice, self.readers)
        allowance = min(reader.negligible_share() for reader in self.readers.values())
        skip = dict(zip(numbers, negligible(list(numbers.values()), allowance), strict=True))
        runs = {depth for depth in numbers if not skip[depth]}
        by_depth = expression_weights(self.depth_choice, self.readers)
        outputs, weights = [], []
        for depth in range(max(runs) + 1):
            if depth > 0:
                x = self.blocks[depth - 1](x)
            if depth in runs:
                outputs.append(x)
                weights.append(by_depth[depth])
        return weighted_sum(
            outputs, weights, lambda: f"label '{next(iter(self.readers))}' (Repeat '{self.name}')"
        )

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``Repeat`` with a depth to choose."""
        if type(module) is Repeat and isinstance(module.depth_choice, MutableExpression):
            bind = mutate_kwargs["distribution"].bind
            readers = {label: bind(label) for label in module.depth_choice.simplify()}
            return cls(list(module.blocks), module.depth_choice, readers, name)
        return None
