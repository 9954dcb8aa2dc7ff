"""Counts a supernet's operations by running it once with every candidate on a sample input.

Layers that read only some of a cell's nodes are counted with and without each group of channels that a child may lack.
They have weights for all of them, so a pass without some takes the weights that are left, as the child does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from snas_nni.cpu_kernels.memory_format import order_as_given
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.trace import Owner, Trace
from snas_nni.errors import SnasError
from snas_nni.resources.cost_info import COSTS
from snas_nni.resources.operations import Convention, Operation, OperationCost, cost_of_operation, is_free_by_kind
from snas_nni.supernet.evaluating import evaluating

__all__ = ["Count", "count_operations", "missing_channels", "narrowed_weights", "owner_of", "substituted"]


def _empty_costs() -> dict[str, list[float]]:
    names = [name for name, info in COSTS.items() if info.of_operation is not None]
    return {name: [] for name in (*names, "activation_peak", "unread_params")}


@dataclass
class Count:
    """What one pass met, in the order it met it.

    Attributes:
        conditions: when each operation is part of the child.
        owners: the choice that decides about it.
        costs: by name, one number for each operation: every cost that is counted by operation;
            ``activation_peak``, the activations that it reads and its output, in elements; ``unread_params``,
            parameters of the supernet that this pass has no use for.
        uncounted: names of operations that no handler knows.
    """

    conditions: list[Polynomial] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    costs: dict[str, list[float]] = field(default_factory=_empty_costs)
    uncounted: set[str] = field(default_factory=set)

    def add(self, condition: Polynomial, owner: Owner, costs: Mapping[str, float]) -> None:
        """Add one operation, with a number for each cost."""
        self.conditions.append(condition)
        self.owners.append(owner)
        for name, values in self.costs.items():
            values.append(costs[name])


_PRODUCTS = ("mm", "bmm", "mv")


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, inputs: tuple[Any, ...], trace: Trace | None, convention: Convention) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace
        self.convention = convention
        self.count = Count()
        # Storages of what is computed from the inputs; weights, also sliced or joined ones, are no activations.
        self.activations = {_storage(tensor) for tensor in _tensors(inputs)}
        self.narrowed: set[int] = set()
        # Storages of matrix products. In one memory order a linear layer adds its bias there, in another after it.
        self.products: set[int] = set()

    def add(self, operation: Operation, peak: float = 0.0, unread: float = 0.0) -> None:
        costs = {name: info.of_operation(operation) for name, info in COSTS.items() if info.of_operation is not None}
        if any(costs.values()):
            condition, owner = (ONE, None) if self.trace is None else (self.trace.condition, self.trace.owner)
            self.count.add(condition, owner, {**costs, "activation_peak": peak, "unread_params": unread})

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[-1]
        unread = 0
        if self.trace is not None and self.trace.dropped_channels:
            args, narrowed, unread = narrowed_weights(name, tuple(args))
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
        if name in _PRODUCTS:
            self.products.update(map(_storage, outputs))
        elif name in ("add", "add_") and (bias := self.bias(args)) is not None:
            self.products.update(map(_storage, outputs))
            self.add(Operation(name, tuple(args), result, OperationCost(0.0, float(bias.numel())), self.convention))
        if cost is None and is_free_by_kind(func, tuple(args)):
            cost = OperationCost()
        if cost is None:
            self.count.uncounted.add(name)
        else:
            operation = Operation(name, tuple(args), result, cost, self.convention)
            if cost.macs or cost.memory_access:
                self.add(operation, float(sum(t.numel() for t in [*activations, outputs[0]])), float(unread))
            else:
                self.add(operation)
        return result

    def bias(self, args: Any) -> Tensor | None:
        """Return the bias that is added to a matrix product by itself; None for another sum."""
        product, bias = args[:2]
        if not isinstance(bias, Tensor) or bias.dim() != 1 or not isinstance(product, Tensor):
            return None
        fits = bias.shape[0] == product.shape[-1] and _storage(product) in self.products
        return bias if fits and _storage(bias) not in self.activations else None

    def identity(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        # A skip has no operation of its own; the paper counts what it reads and passes on.
        if isinstance(result, Tensor):
            cost = OperationCost(0.0, 2.0 * result.numel())
            self.add(Operation("identity", args, result, cost, self.convention), cost.memory_access)


class _AttentionInOneOrder(TorchFunctionMode):
    """Gives attention its tensors in the usual memory order, since PyTorch picks another algorithm in others."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            args = tuple(value.contiguous() if isinstance(value, Tensor) else value for value in args)
            kwargs = {name: v.contiguous() if isinstance(v, Tensor) else v for name, v in kwargs.items()}
        return func(*args, **kwargs)


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

    The images stay in the memory order that they have, whatever order a search gives them; the count is the same.

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
        with order_as_given(), evaluating(model, distribution, trace), _AttentionInOneOrder(), counter:
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


def narrowed_weights(name: str, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Tensor | None, int]:
    """Narrow the weights of an operation to the channels of its input.

    Args:
        name: of the operation, without its namespace.
        args: its arguments.

    Returns:
        The arguments that fit, the weight that was narrowed (None if none was), and how many of its elements, and of
        the tensors that belong to it, were left out.
    """
    if name == "convolution" and not args[6]:
        images, weight, bias, groups = args[0], args[1], args[2], args[8]
        channels = images.shape[1]
        if groups == 1 and channels < weight.shape[1]:
            return (images, weight[:, :channels], *args[2:]), weight, weight[:, channels:].numel()
        if groups > 1 and channels < groups and weight.shape[:2] == (groups, 1):
            rest = (None if bias is None else bias[:channels], *args[3:8], channels)
            lost = weight[channels:].numel() + (0 if bias is None else bias[channels:].numel())
            return (images, weight[:channels], *rest), weight, lost
    if name in ("addmm", "mm"):
        inputs, weight = args[-2:]
        if inputs.shape[1] < weight.shape[0]:
            return (*args[:-1], weight[: inputs.shape[1]]), weight, weight[inputs.shape[1] :].numel()
    if name.endswith("batch_norm") and isinstance(args[3], Tensor) and args[0].shape[1] < args[3].shape[0]:
        channels = args[0].shape[1]
        narrowed = [t[:channels] if isinstance(t, Tensor) else t for t in args[1:5]]
        lost = sum(t.shape[0] - channels for t in args[1:3] if isinstance(t, Tensor))
        return (args[0], *narrowed, *args[5:]), args[1], lost
    return args, None, 0


def missing_channels(conditions: Mapping[str, Polynomial]) -> dict[str, OneOf]:
    """A choice between having and lacking for each group of channels, for :func:`operation_polynomials`."""
    return {name: OneOf(name, (False, True)) for name in conditions}


def substituted(polynomial: Polynomial, conditions: Mapping[str, Polynomial]) -> Polynomial:
    """Put what decides about groups of channels in place of the entries that stand for lacking them."""
    if not any(label in conditions for term in polynomial.terms for label, _ in term):
        return polynomial
    result = []
    for term, value in polynomial.terms.items():
        part = Polynomial.constant(value)
        for label, index in term:
            part = part * (conditions[label] if label in conditions else Polynomial.entry(label, index))
        result.append(part)
    return Polynomial.sum(result)


def owner_of(owner: Owner, conditions: Mapping[str, Polynomial]) -> Owner:
    """The choice that decides, where an operation was found to depend on a group of channels."""
    if owner is None or owner[0] not in conditions:
        return owner
    return min(label for term in conditions[owner[0]].terms for label, _ in term), 0
