"""Methods of single layers, replaced for a while: how every kernel here comes into a network and leaves it again.

Short, because it is one idea that all of them need: what is put on a layer must not hold the layer itself, or a deep
copy of it would go on with the weights of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, TypeGuard, TypeVar

from torch import nn

__all__ = ["replace_forward", "replace_method", "runs_as"]

Layer = TypeVar("Layer", bound=nn.Module)


def runs_as(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer is of a kind and runs its ``forward``, as NNI's subclasses do; others may do anything."""
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def replace_method(layers: Sequence[nn.Module], name: str, make: Callable[[Any], Any]) -> Callable[[], None]:
    """Put a method of its own on each layer, in front of that of its class.

    Args:
        layers: each once.
        name: of the method.
        make: gets a layer and returns what to call; a deep copy of the layer copies it.

    Returns:
        A function that undoes it.
    """
    for layer in layers:
        setattr(layer, name, make(layer))

    def undo() -> None:
        for layer in layers:
            vars(layer).pop(name, None)

    return undo


def replace_forward(layers: Sequence[nn.Module], forward: Callable[..., Any]) -> Callable[[], None]:
    """Let layers run a function that gets the layer and its inputs; bound to a layer, and in a copy to the copy.

    Returns:
        A function that undoes it.
    """
    return replace_method(layers, "forward", lambda layer: MethodType(forward, layer))
