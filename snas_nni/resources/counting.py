"""Counts a supernet's operations by running it once with every candidate on a sample input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from snas_nni.distribution import ArchitectureDistribution
from snas_nni.errors import SnasError
from snas_nni.resources.left_out import fitted
from snas_nni.resources.operations import Convention, cost_of_operation
from snas_nni.resources.polynomial import ONE, Polynomial
from snas_nni.resources.trace import Owner, Trace

__all__ = ["OPERATION_COSTS", "Count", "count_operations", "evaluating"]

OPERATION_COSTS = ("macs", "memory_access", "activation_peak", "unread_params")


@dataclass
class Count:
    """What one pass met, in the order it met it.

    Attributes:
        conditions: when each operation is part of the child.
        owners: the choice that decides about it.
        costs: by name, one number for each operation; ``activation_peak`` is the activations that it
            reads and its output, in elements; ``unread_params`` are parameters of the supernet that this pass
            has no use for.
        uncounted: names of operations that no handler knows.
    """

    conditions: list[Polynomial] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    costs: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in OPERATION_COSTS})
    uncounted: set[str] = field(default_factory=set)

    def add(self, condition: Polynomial, owner: Owner, *costs: float) -> None:
        """Add one operation, its costs in the order of ``OPERATION_COSTS``."""
        self.conditions.append(condition)
        self.owners.append(owner)
        for name, value in zip(OPERATION_COSTS, costs, strict=True):
            self.costs[name].append(value)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, inputs: tuple[Any, ...], trace: Trace | None, convention: Convention) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace
        self.convention = convention
        self.count = Count()
        # Storages of what is computed from the inputs; weights, also sliced or joined ones, are no activations.
        self.activations = {_storage(tensor) for tensor in _tensors(inputs)}
        self.narrowed: set[int] = set()

    def add(self, macs: float, memory_access: float, peak: float, unread: float = 0.0) -> None:
        if self.trace is None:
            self.count.add(ONE, None, macs, memory_access, peak, unread)
        else:
            self.count.add(self.trace.condition, self.trace.owner, macs, memory_access, peak, unread)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[-1]
        unread = 0
        if self.trace is not None and self.trace.left_out:
            args, narrowed, unread = fitted(name, tuple(args))
            if narrowed is not None and _storage(narrowed) in self.narrowed:
                unread = 0  # a weight that is used twice is lost once
            elif narrowed is not None:
                self.narrowed.add(_storage(narrowed))
        result = func(*args, **(kwargs or {}))
        cost = cost_of_operation(name, tuple(args), result, self.convention)
        outputs = list(_tensors(result))
        # A constant that was just made may lie where an activation lay before.
        activations = [t for t in _tensors(args) if _storage(t) in self.activations] if name != "lift_fresh" else []
        change = self.activations.add if activations else self.activations.discard
        for tensor in outputs:
            change(_storage(tensor))
        if cost is None:
            self.count.uncounted.add(name)
        elif cost.macs or cost.memory_access:
            peak = float(sum(t.numel() for t in [*activations, outputs[0]]))
            self.add(cost.macs, cost.memory_access, peak, float(unread))
        return result

    def identity(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        # A skip has no operation of its own; the paper counts what it reads and passes on.
        if isinstance(result, Tensor):
            self.add(0.0, 2.0 * result.numel(), 2.0 * result.numel())


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple, Mapping)):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from _tensors(value)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def count_operations(
    model: nn.Module,
    inputs: tuple[Any, ...],
    *,
    distribution: ArchitectureDistribution | None = None,
    values: Mapping[str, int] | None = None,
    convention: Convention | None = None,
) -> tuple[Count, Trace]:
    """Run a model once and count what it does.

    Args:
        model: a child, or a supernet together with its ``distribution``.
        inputs: arguments of its ``forward``.
        distribution: of the supernet; all candidates then run, each under its condition.
        values: candidate index for labels whose layers slice their weights; the first candidate by default.
        convention: what counts; everything by default.

    Returns:
        The count, and the trace: for which labels layers sliced, and which channels a child may lack.

    Raises:
        SnasError: operations that nobody taught the counter, by name.
        UnsupportedSpaceError: candidates of unequal shapes.
    """
    trace = Trace(values)
    counter = _Counter(inputs, trace if distribution is not None else None, convention or Convention())
    hooks = [m.register_forward_hook(counter.identity) for m in model.modules() if type(m) is nn.Identity]
    try:
        with evaluating(model, distribution, trace), counter:
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if counter.count.uncounted:
        names = ", ".join(sorted(counter.count.uncounted))
        raise SnasError(
            f"these operations cannot be counted: {names}. Teach the counter what they cost with "
            "snas_nni.resources.register_operation(name, macs), or that they are free with macs=None."
        )
    return counter.count, trace


@contextmanager
def evaluating(
    model: nn.Module, distribution: ArchitectureDistribution | None = None, trace: Trace | None = None
) -> Iterator[None]:
    """Evaluation mode without gradients, attention in plain operations, and the trace for a supernet."""
    training = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.eval()
        with torch.no_grad():
            if distribution is None:
                yield
            else:
                with distribution.current.tracing(trace):
                    yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, mode in training.items():
            module.training = mode
