"""How a layer of torch.nn is written down: a call that makes a layer like it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exports.errors import CodeExportError

__all__ = ["call_of", "plain_type"]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def plain_type(layer: nn.Module) -> type[nn.Module] | None:
    """The class of torch.nn whose ``forward`` a layer has; None for containers and for modules that have their own."""
    kinds = [kind for kind in type(layer).__mro__ if kind.__module__.startswith("torch.nn.modules.")]
    if not kinds or kinds[0] is nn.Module or isinstance(layer, _CONTAINERS):
        return None
    kind: Any = kinds[0]
    own: Any = type(layer)
    return (
        None
        if own.forward is not kind.forward
        or layer._forward_hooks
        or layer._forward_pre_hooks
        or not hasattr(nn, kind.__name__)
        else kind
    )


def call_of(layer: nn.Module, path: str) -> str:
    """Return the call that makes a layer with the same settings and tensors of the same shapes.

    The arguments are those that the layer prints of itself, or else its attributes of the constructor's names. Either
    is tried: the layer that is made must not differ.

    Args:
        layer: of torch.nn.
        path: of it, for messages.

    Raises:
        CodeExportError: neither makes such a layer.
    """
    kind = plain_type(layer)
    if kind is not None:
        for arguments in (_printed, _attributes):
            given = arguments(layer, kind)
            if given is not None and _makes(kind, *given, layer):
                positional, named = given
                words = [*map(repr, positional), *(f"{name}={value!r}" for name, value in named.items())]
                return f"nn.{kind.__name__}({', '.join(words)})"
    raise CodeExportError(
        f"{path or 'the network'} is of type {type(layer).__name__} and has settings that cannot be written as a call. "
        "Use a layer of torch.nn in its place, or export to ONNX"
    )


def _printed(layer: nn.Module, kind: type[nn.Module]) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments in what a layer prints, such as ``3, 8, kernel_size=(3, 3)``; without those of default value."""
    try:
        call = ast.parse(f"f({layer.extra_repr()})", mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        positional = [ast.literal_eval(each) for each in call.args]
        named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError):
        return None
    defaults = _defaults(kind)
    return positional, {
        name: value for name, value in named.items() if name in defaults and not _equal(defaults[name], value)
    }


def _attributes(layer: nn.Module, kind: type[nn.Module]) -> tuple[list[Any], dict[str, Any]] | None:
    """The attributes of the names that the constructor's arguments have; without those of default value."""
    named = {}
    for name, default in _defaults(kind).items():
        value = getattr(layer, name, default)
        if value is inspect.Parameter.empty or isinstance(value, (Tensor, nn.Module)):
            continue
        if not _equal(default, value):
            named[name] = value
    try:
        plain = {name: ast.literal_eval(repr(value)) for name, value in named.items()}
    except (SyntaxError, ValueError):
        return None
    return [], plain


def _defaults(kind: type[nn.Module]) -> dict[str, Any]:
    parameters = inspect.signature(kind.__init__).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        each.name: each.default
        for each in parameters
        if each.kind in kinds and each.name not in ("self", "device", "dtype")
    }


def _equal(default: Any, value: Any) -> bool:
    """Whether a value is the default, also where it was spread over the dimensions of a kernel."""
    if type(default) is type(value):
        return bool(default == value)
    return isinstance(value, tuple) and isinstance(default, int) and all(each == default for each in value)


def _makes(kind: Callable[..., nn.Module], positional: list[Any], named: dict[str, Any], layer: nn.Module) -> bool:
    try:
        with torch.device("meta"):
            made = kind(*positional, **named)
    except Exception:  # whatever a constructor says of arguments that are not its own
        return False
    return _shape(made) == _shape(layer) and made.extra_repr() == layer.extra_repr()


def _shape(layer: nn.Module) -> dict[str, Any]:
    """What decides about a layer: its settings, and the shapes of its tensors."""
    settings = {name: value for name, value in vars(layer).items() if isinstance(value, (int, float, str, tuple))}
    tensors = {name: tensor.shape for name, tensor in layer.state_dict().items()}
    return {**{name: value for name, value in settings.items() if name != "training"}, "tensors": tensors}
