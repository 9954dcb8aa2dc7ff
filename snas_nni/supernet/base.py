"""What every module of the supernet has in common that runs under the current sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from snas_nni.cpu_kernels.recomputed import side_by_side
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.distribution.trace import Owner
from snas_nni.supernet.weighting import negligible, weighted_sum

__all__ = ["Counterpart", "SampledModule"]


@dataclass(frozen=True)
class Counterpart:
    """Where the child's module in one place gets its weights from.

    Attributes:
        module: its tensors and its children are inherited name by name.
        copies: further modules of the supernet, by path in the child. The child has copies of them, so what two of
            these places hold is not shared in the child, even if it is one tensor in the supernet.
    """

    module: nn.Module
    copies: Mapping[str, nn.Module] = field(default_factory=dict)


class SampledModule:
    """Base of the modules that stand in for NNI's mutables, beside the NNI class that each of them extends.

    Attributes:
        readers: the module's view of each label that it depends on, at least one.
    """

    readers: dict[str, ChoiceReader]

    @property
    def reader(self) -> ChoiceReader:
        """The view of the first label; the only one of most modules."""
        return next(iter(self.readers.values()))

    @property
    def owner(self) -> Owner:
        """Label and layer of the first choice: what the module runs is counted as decided by it."""
        return self.reader.owner

    def where(self) -> str:
        """Names the choice in messages."""
        return f"label '{', '.join(self.readers)}' ({type(self).__name__})"

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The modules to choose among, each with the condition that makes it part of the child."""
        return []

    def own_parameters(self, size_of: Callable[[Tensor], float] = Tensor.numel) -> Polynomial | None:
        """Parameters of the child's layer in this place, if values share one weight; None if its tensors count."""
        return None

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """What the child of an NNI sample inherits in the place of this module."""
        return Counterpart(self)  # type: ignore[arg-type]  # every subclass is a module

    def run_traced(self, condition: Polynomial, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Run one branch in a pass that counts or times, which sees the condition that it runs under."""
        trace = self.reader.trace
        if trace is None:
            return module(*args, **kwargs)
        with trace.when(condition, self.owner):
            return module(*args, **kwargs)

    def run_all_traced(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Run every branch once on the same inputs, for such a pass."""
        return [self.run_traced(condition, module, *args, **kwargs) for condition, module in self.branches()]

    def indices_to_run(self, numbers: Sequence[float]) -> list[int]:
        """Indices of the alternatives whose share is not negligible; at least one.

        Args:
            numbers: the weight of each alternative.
        """
        skip = negligible(numbers, self.reader.negligible_share())
        return [index for index, skipped in enumerate(skip) if not skipped]

    def run_weighted(
        self,
        numbers: Sequence[float],
        run: Callable[[int], Any],
        weights: Callable[[Sequence[int]], Sequence[Tensor]],
        where: Callable[[Sequence[int]], str] | None = None,
    ) -> Any:
        """Run the alternatives whose share is not negligible, and return the sum of their outputs by weight.

        Where the supernet just runs a child in which one of them is all there is, its output itself.

        Args:
            numbers: the weight of each alternative.
            run: gets the index of an alternative and returns its output.
            weights: gets the indices of those that ran, returns as many scalar tensors with gradient to the logits.
            where: gets the indices of those that ran, names the choice in messages; :meth:`where` by default.
        """
        indices = self.indices_to_run(numbers)
        if self.reader.sample.is_fixed and len(indices) == 1 and numbers[indices[0]] == 1.0:
            return run(indices[0])
        with side_by_side(len(indices) > 1):
            outputs = [run(index) for index in indices]
        return weighted_sum(outputs, weights(indices), self.where if where is None else lambda: where(indices))
