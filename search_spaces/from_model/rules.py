"""What tensor functions do with channels: which dimensions of the result are those of an input.

A function without a rule, or one that mixes channels in a way that fewer of them would change, keeps the number of
channels of everything that goes into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from .groups import Axis, Groups, Segment
from .reshaping import reshaped

__all__ = ["CARRIERS", "Axes", "Context", "Rule", "known_rule", "operation_name", "tensors_in"]

Axes = list[Axis | None]
"""One entry for each dimension of a tensor."""


class Context(Protocol):
    """What a rule asks of the pass through the model."""

    groups: Groups

    def axes(self, tensor: Tensor) -> Axes:
        """The axes of a tensor, all None if nothing is known of it."""
        ...

    def name_of(self, tensor: Tensor) -> str:
        """How a tensor is called in a reason: a parameter by its name."""
        ...

    def where(self) -> str:
        """The function and the module that runs, for a reason."""
        ...


Rule = Callable[[Context, Sequence[Any], Mapping[str, Any], Any], "Axes | list[Axes] | None"]
"""Gets the arguments and the result; returns the axes of the result (of each, if there are several), None if all of its
input has to stay as it is."""

ELEMENTWISE = {
    "relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "silu", "gelu", "sigmoid", "tanh", "elu", "selu",
    "celu", "leaky_relu", "mish", "softplus", "softsign", "logsigmoid", "threshold", "hardshrink", "softshrink",
    "tanhshrink", "dropout", "alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout",
    "feature_alpha_dropout", "clamp", "clamp_min", "clamp_max", "clip", "neg", "abs", "exp", "log", "sqrt",
    "rsqrt", "square", "pow", "reciprocal", "sign", "erf", "sin", "cos", "contiguous", "clone", "detach",
    "float", "half", "bfloat16", "double", "type", "cpu", "cuda", "positive", "identity", "nan_to_num",
}  # fmt: skip
CARRIERS = {
    "add", "relu", "relu6", "dropout", "dropout2d", "feature_dropout", "contiguous", "clone", "detach", "to",
    "float", "half", "bfloat16", "type_as",
}  # fmt: skip
"""Functions that an identity shortcut may run through: what they return is their input, where nothing is added."""
BINARY = {
    "add", "sub", "mul", "div", "true_divide", "maximum", "minimum", "fmod", "remainder", "where", "lerp", "eq", "ne",
    "gt", "lt", "ge", "le",
}  # fmt: skip
SPATIAL = {
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "lp_pool2d", "interpolate", "upsample", "max_pool2d_with_indices",
}  # fmt: skip
REDUCTIONS = {"mean", "sum", "amax", "amin", "std", "var", "logsumexp", "norm"}
ALIASES = {
    "truediv": "div", "divide": "div", "multiply": "mul", "subtract": "sub", "concat": "cat", "concatenate": "cat",
    "absolute": "abs", "swapaxes": "transpose", "swapdims": "transpose",
}  # fmt: skip


def operation_name(function: Any) -> str:
    """The name of a function without the marks of its in-place, reflected or operator form."""
    name = str(getattr(function, "__name__", function)).strip("_")
    for prefix in ("i", "r"):
        bare = ALIASES.get(name[1:], name[1:])
        if name.startswith(prefix) and bare in BINARY:
            name = bare
    return ALIASES.get(name, name)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors in a nest of lists, tuples and dicts."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))


def argument(args: Sequence[Any], kwargs: Mapping[str, Any], place: int, *names: str, default: Any = None) -> Any:
    """An argument by its place or by one of its names."""
    if len(args) > place:
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), default)


def first_tensor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The tensor that a function works on."""
    return next(tensors_in((args, kwargs)))


def elementwise(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """The result has the channels of the input; of several inputs if there are (``pow`` of a tensor)."""
    if sum(tensor.dim() > 0 for tensor in tensors_in((args, kwargs))) > 1:
        return binary(context, args, kwargs, result)
    return same(context, args, kwargs, result)


def same(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """The result has the channels of the first input, whatever others say about type and device."""
    return list(context.axes(first_tensor(args, kwargs)))


def binary(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Broadcast operands: equal dimensions have to stay equal."""
    operands = [tensor for tensor in tensors_in((args, kwargs)) if tensor.dim()]
    axes: Axes = []
    for place in range(-result.dim(), 0):
        met = [t for t in operands if t.dim() >= -place and (t.shape[place] != 1 or result.shape[place] == 1)]
        known = [context.axes(t)[place] for t in met]
        strangers = [context.name_of(t) for t, axis in zip(met, known, strict=True) if axis is None]
        reason = f"meets {strangers[0]} in {context.where()}" if strangers else f"is joined in {context.where()}"
        axes.append(context.groups.align(known, reason))
    return axes


def spatial(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Pooling and resizing change the dimensions behind the channels."""
    images = first_tensor(args, kwargs)
    if images.dim() < 3:
        return None
    output = result[0] if isinstance(result, tuple) else result
    kept = context.axes(images)[:2] if output.dim() > 3 or images.dim() == 3 else context.axes(images)[:1]
    return [*kept, *[None] * (output.dim() - len(kept))]


def padding(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Padding of dimensions without channels."""
    axes = list(context.axes(first_tensor(args, kwargs)))
    pad = argument(args, kwargs, 1, "pad")
    for index in range(len(pad) // 2):
        if any(pad[2 * index : 2 * index + 2]) and axes[-1 - index] is not None:
            return None
    return axes


def reduction(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Sums over dimensions without channels."""
    values = first_tensor(args, kwargs)
    given = argument(args, kwargs, 1, "dim", "axis")
    if not isinstance(result, Tensor) or isinstance(given, float):
        return None
    dims = range(values.dim()) if given is None else [given] if isinstance(given, int) else given
    gone = {dim % values.dim() for dim in dims}
    axes = context.axes(values)
    if any(axes[dim] is not None for dim in gone):
        return None
    if result.dim() == values.dim():
        return [None if dim in gone else axis for dim, axis in enumerate(axes)]
    return [axis for dim, axis in enumerate(axes) if dim not in gone]


def softmax(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """A softmax over a dimension without channels."""
    values = first_tensor(args, kwargs)
    axes = list(context.axes(values))
    dim = argument(args, kwargs, 1, "dim")
    return axes if isinstance(dim, int) and axes[dim] is None else None


def shape_change(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """View, reshape, flatten, unflatten, squeeze, unsqueeze."""
    values = first_tensor(args, kwargs)
    if values.numel() != result.numel() or not values.numel():
        return None
    return reshaped(
        context.groups, context.axes(values), values.shape, result.shape, f"is reshaped in {context.where()}"
    )


def permute(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Dimensions in another order."""
    values = first_tensor(args, kwargs)
    given = argument(args, kwargs, 1, "dims")
    dims = given if isinstance(given, (list, tuple)) else args[1:]
    axes = context.axes(values)
    return [axes[dim] for dim in dims]


def transpose(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Two dimensions exchanged."""
    axes = list(context.axes(first_tensor(args, kwargs)))
    first, second = argument(args, kwargs, 1, "dim0", "axis0"), argument(args, kwargs, 2, "dim1", "axis1")
    axes[first], axes[second] = axes[second], axes[first]
    return axes


def transposed(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """A matrix turned."""
    return list(reversed(context.axes(first_tensor(args, kwargs))))


def expand(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Dimensions of size 1 repeated; others are as they were."""
    axes = context.axes(first_tensor(args, kwargs))
    return [*[None] * (result.dim() - len(axes)), *axes]


def concatenate(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Along one dimension segments follow each other; the others have to stay equal."""
    parts = list(tensors_in(argument(args, kwargs, 0, "tensors")))
    dim = argument(args, kwargs, 1, "dim", "axis", default=0) % result.dim()
    axes: Axes = []
    for place in range(result.dim()):
        known = [context.axes(part)[place] for part in parts]
        if place != dim:
            axes.append(context.groups.align(known, f"is joined in {context.where()}"))
        elif all(axis is None for axis in known):
            axes.append(None)
        else:
            whole: Axis = ()
            for part, axis in zip(parts, known, strict=True):
                whole += axis or (Segment(part.shape[place]),)
            axes.append(whole)
    return axes


def split(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> list[Axes] | None:
    """Parts along a dimension: without channels, or exactly at the seams of a concatenation."""
    values = first_tensor(args, kwargs)
    dim = argument(args, kwargs, 2, "dim", default=0) % values.dim()
    axes = context.axes(values)
    if (axis := axes[dim]) is None:
        return [list(axes) for _ in result]
    rest, parts = list(axis), []
    for part in result:
        taken: list[Segment] = []
        while rest and sum(segment.size for segment in taken) < part.shape[dim]:
            taken.append(rest.pop(0))
        if sum(segment.size for segment in taken) != part.shape[dim]:
            return None
        parts.append([tuple(taken) if place == dim else other for place, other in enumerate(axes)])
    return parts


def index(context: Context, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Axes | None:
    """Numbers, slices, None and an ellipsis on dimensions without channels."""
    values, key = args
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in keys):
        return None
    used = sum(k is not None and k is not Ellipsis for k in keys)
    whole = [slice(None)] * (values.dim() - used)
    place = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys = [*keys[:place], *whole, *keys[place + 1 :]]
    axes: Axes = []
    rest, sizes = list(context.axes(values)), list(values.shape)
    for k in keys:
        if k is None:
            axes.append(None)
            continue
        axis, size = rest.pop(0), sizes.pop(0)
        if axis is not None and (isinstance(k, int) or k.indices(size) != (0, size, 1)):
            return None
        if not isinstance(k, int):
            axes.append(axis)
    return axes


_RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(("to", "type_as"), same),
    **dict.fromkeys(SPATIAL, spatial),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(("softmax", "log_softmax"), softmax),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"), shape_change),
    **dict.fromkeys(("split", "chunk", "tensor_split", "split_with_sizes"), split),
    **dict.fromkeys(("expand", "expand_as"), expand),
    "pad": padding,
    "permute": permute,
    "transpose": transpose,
    "t": transposed,
    "cat": concatenate,
    "getitem": index,
}


def known_rule(name: str) -> Rule | None:
    """The rule for a function, by its :func:`operation_name`."""
    return _RULES.get(name)
