"""How a model space is named in a file: its class and the arguments it was made with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exports.architecture.plain import as_plain, inside
from exports.errors import ArchitectureFileError

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

__all__ = ["SpaceReference", "constructor_of"]

ARGUMENT_REMEDY = (
    "Give the space's constructor plain values only (numbers, text, lists), and let it make the object from "
    "them; or write a subclass with that argument fixed"
)


def constructor_of(space_class: type[ModelSpace]) -> Callable[..., None]:
    """Return the ``__init__`` that the author wrote, under the wrappers that NNI puts around it.

    A class without an ``__init__`` of its own has a wrapper around its parent's wrapper there.
    """
    for ancestor in space_class.__mro__:
        written: Callable[..., None] | None = vars(ancestor).get("_init_wrapped")
        if written is not None and not written.__qualname__.startswith("model_space_init_wrapper."):
            return written
    return space_class.__init__


@dataclass(frozen=True, kw_only=True)
class SpaceReference:
    """A model space's class path, ``package.module.Class``, and its constructor's keyword arguments."""

    class_path: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, space: ModelSpace) -> SpaceReference:
        """Read the reference off a space, before or after a search has changed it.

        Raises:
            ArchitectureFileError: the class is not at the top level of a module, or an argument is one that
                JSON cannot carry (the argument is named).
        """
        from nni.nas.nn.pytorch import ModelSpace  # on demand: reading a reference from a file needs no torch

        if not isinstance(space, ModelSpace):
            raise ArchitectureFileError(
                "space",
                f"is a {type(space).__name__}, not an NNI ModelSpace",
                "Pass the instance that the search was given",
            )
        space_class = type(space)
        if "." in space_class.__qualname__:
            raise ArchitectureFileError(
                "space.class_path",
                f"{space_class.__qualname__} is defined inside a function or another class",
                "Define the space at the top level of a module, where it can be found again",
            )
        return cls(
            class_path=f"{space_class.__module__}.{space_class.__qualname__}",
            arguments=named_arguments(space),
        )


def named_arguments(space: ModelSpace) -> dict[str, Any]:
    """Return the arguments that ``space`` was made with, positional ones by their names."""
    signature = inspect.signature(constructor_of(type(space)))
    bound = signature.bind(None, *space.trace_args, **space.trace_kwargs)
    arguments: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise ArchitectureFileError(
                inside("space.arguments", name),
                f"of {type(space).__name__} cannot be given by name",
                "Make it an ordinary argument of the constructor",
            )
        arguments.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    return {
        name: as_plain(value, inside("space.arguments", name), ARGUMENT_REMEDY) for name, value in arguments.items()
    }
