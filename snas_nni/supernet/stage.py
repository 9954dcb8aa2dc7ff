"""NNI's ``NDSStage`` in the supernet: the stages of the hub's NASNet family, where their depth is a choice.

A stage of one cell is special. The first cell of the next stage reads the last two cells, and the one before last is
then a cell of the stage before, of another size. The child has another layer there, so the supernet has both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nni.mutable import MutableExpression, frozen_context
from torch import Tensor, nn

from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.nni_compat import loaded_nasnet_hub
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.expressions import expression_conditions, traced_value
from snas_nni.supernet.repeat import MixedRepeat
from snas_nni.supernet.weighting import weighted_sum

__all__ = ["MixedStage", "PredecessorReader", "prepare_stages", "replacement_hook"]


@dataclass
class Predecessor:
    """The cell before last, after a stage of one or more cells.

    Attributes:
        deep: after two cells or more; None where no such depth runs.
        single: after one cell; None where that depth does not run.
        weights: of ``deep`` and ``single``; None where exactly one of them runs by itself.
    """

    deep: Any
    single: Any
    weights: tuple[Tensor, Tensor] | None = None


class MixedStage(MixedRepeat):
    """A ``Repeat`` of cells, each of which returns the cell before it and itself."""

    @property
    def may_be_single(self) -> bool:
        """Whether one cell is a possible depth among others."""
        return bool(self.min_depth == 1 < self.max_depth)

    def merge(self, outputs: Sequence[Any], weights: Sequence[Tensor] | None, depths: Sequence[int]) -> Any:
        """Weighted sum over the depths, the predecessor of a single cell kept apart."""
        if not self.may_be_single:
            return super().merge(outputs, weights, depths)
        before = dict(zip(depths, (output[0] for output in outputs), strict=True))
        single = before.pop(1, None)
        if weights is None:
            return [Predecessor(next(iter(before.values()), None), single), outputs[0][1]]
        by_depth = dict(zip(depths, weights, strict=True))
        deep_weight = sum((by_depth[depth] for depth in before), weights[0].new_zeros(()))
        deep = None
        if before:
            shares = [by_depth[depth] / deep_weight.clamp_min(1e-12) for depth in before]
            deep = weighted_sum(list(before.values()), shares, self.where)
        last = weighted_sum([output[1] for output in outputs], weights, self.where)
        return [Predecessor(deep, single, (deep_weight, by_depth.get(1, deep_weight.new_zeros(())))), last]

    def merge_traced(self, outputs: Sequence[Any], depths: Sequence[int]) -> Any:
        """The same for a pass that counts.

        Where cells end loosely the channels behind the stage depend on which cell is its last, so that the pass goes
        on as one of the depths.
        """
        trace, position = self.reader.trace, 0
        if trace is not None and any(getattr(block, "merge_op", "") == "loose_end" for block in self.blocks):
            position = list(depths).index(traced_value(self.depth_choice, self.readers, trace))
        else:
            super().merge_traced([output[1] for output in outputs], depths)
        if not self.may_be_single:
            return outputs[position]
        return [Predecessor(outputs[max(position, 1)][0], outputs[0][0]), outputs[position][1]]

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly ``NDSStage`` with a depth to choose."""
        if _is_stage(module) and isinstance(module.depth_choice, MutableExpression):
            bind = mutate_kwargs["distribution"].bind
            readers = {label: bind(label) for label in module.depth_choice.simplify()}
            return cls(list(module.blocks), module.depth_choice, readers, name)  # type: ignore[arg-type]
        return None


class PredecessorReader(SampledModule, nn.Module):
    """What the first cell of a stage does with the cell before last, if the stage before may be a single cell.

    Args:
        deep: the layer that the child has where that stage is deeper.
        single: the one where it is not.
        depth: of that stage.
        readers: of its labels.
    """

    def __init__(
        self, deep: nn.Module, single: nn.Module, depth: MutableExpression, readers: dict[str, ChoiceReader]
    ) -> None:
        super().__init__()
        self.deep = deep
        self.single = single
        self.depth = depth
        self.readers = readers

    def forward(self, before: Predecessor) -> Any:
        """Weighted sum of what the two layers make of their predecessors."""
        if self.reader.trace is not None:
            deep, single = self._conditions()
            output = self.run_traced(deep, self.deep, before.deep)
            self.run_traced(single, self.single, before.single)
            return output
        pairs = ((self.deep, before.deep), (self.single, before.single))
        runs = [k for k, (_, images) in enumerate(pairs) if images is not None]
        outputs = [pairs[k][0](pairs[k][1]) for k in runs]
        if before.weights is None:
            return outputs[0]
        return weighted_sum(outputs, [before.weights[k] for k in runs], self.where)

    def where(self) -> str:
        """Names the choice in messages."""
        return f"label '{next(iter(self.readers))}'"

    def _conditions(self) -> tuple[Polynomial, Polynomial]:
        by_depth = expression_conditions(self.depth, self.readers)
        return Polynomial.sum(condition for depth, condition in by_depth.items() if depth > 1), by_depth[1]

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The two layers, each with the condition that makes it part of the child."""
        return list(zip(self._conditions(), (self.deep, self.single), strict=True))

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The layer that the child of ``sample`` has."""
        return Counterpart(self.single if self.depth.freeze(sample) == 1 else self.deep)


def replacement_hook(hook: Callable[..., Any]) -> Callable[..., Any]:
    """This project's form of a stage where a hook is NNI's own, which is exact for deep stages only."""
    hub = loaded_nasnet_hub()
    if hub is not None and hook == hub.NDSStageDifferentiable.mutate:
        return MixedStage.mutate
    return hook


def prepare_stages(space: nn.Module, bind: Callable[[str], ChoiceReader]) -> None:
    """Give every first cell behind a stage that may be a single cell both layers, before the space is mutated."""
    hub: Any = loaded_nasnet_hub()  # a space of the hub has imported it
    for module in list(space.modules()) if hub is not None else []:
        stages: list[Any] = [m for m in module.children() if _is_stage(m)] if isinstance(module, nn.ModuleList) else []
        for before, after in pairwise(stages):
            depth = before.depth_choice
            if not isinstance(depth, MutableExpression) or not before.min_depth == 1 < before.max_depth:
                continue
            preprocessor = after.blocks[0].preprocessor
            channels = preprocessor.pre1[1].trace_kwargs["out_channels"]
            previous = before.estimated_out_channels_prev
            with frozen_context():  # where NNI makes layers whose sizes are choices
                if before.downsampling:
                    single = hub.FactorizedReduce(previous, channels)
                else:
                    single = hub.ReLUConvBN(previous, channels, 1, 1, 0)
            readers = {label: bind(label) for label in depth.simplify()}
            preprocessor.pre0 = PredecessorReader(preprocessor.pre0, single, depth, readers)


def _is_stage(module: nn.Module) -> Any:
    hub = loaded_nasnet_hub()
    return hub is not None and type(module) is hub.NDSStage
