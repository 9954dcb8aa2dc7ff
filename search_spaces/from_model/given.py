"""The model that a space is made from, and the example that it runs on: as objects, or as plain values of a file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pickle import UnpicklingError  # what torch raises of a file that is more than tensors
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["constructor_from", "example_from", "made_by", "path_of", "plain_example"]

MAX_ELEMENTS = 2**28
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float64, torch.int64)}


def constructor_from(path: str) -> Callable[..., nn.Module]:
    """Import the function or class that a dotted path names, such as ``my.module.make``.

    Importing a module runs its code: pass only paths that the user has named.

    Raises:
        ValueError: the path is no dotted path, or nothing that can be called is there.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"model is {path!r}; it must be the dotted path of a function or class: my.module.make")
    try:
        found = vars(importlib.import_module(module_name)).get(name)
    except ImportError as error:
        raise ValueError(f"model is {path!r}: module {module_name!r} cannot be imported ({error})") from error
    if not callable(found):
        raise ValueError(f"model is {path!r}: module {module_name!r} has no function or class {name!r}")
    return found


def path_of(constructor: Callable[..., nn.Module]) -> str:
    """The dotted path under which a function or class is found again.

    Raises:
        ValueError: there is none, such as for a lambda.
    """
    path = f"{constructor.__module__}.{getattr(constructor, '__qualname__', '?')}"
    if "<" in path or constructor.__module__ == "__main__" or constructor_from(path) is not constructor:
        raise ValueError(
            f"the constructor {path} cannot be found by its name. Define it at the top level of a module that can be "
            "imported, or leave it out: the space can then be searched, but its architecture file cannot be built"
        )
    return path


def made_by(constructor: Callable[..., nn.Module], arguments: Mapping[str, Any], weights: str | None) -> nn.Module:
    """Call the constructor and load weights from a safetensors file, or from one of ``torch.save``.

    Raises:
        ValueError: it returns something else than a module, or the weights do not fit.
    """
    model = constructor(**arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: its constructor returned a {type(model).__name__}, not a torch.nn.Module")
    if weights is not None:
        try:
            model.load_state_dict(_read_weights(weights))
        except (OSError, RuntimeError, ValueError, TypeError, SafetensorError, UnpicklingError) as error:
            raise ValueError(f"weights: {weights!r} cannot be loaded into the model: {error}") from error
    return model


def _read_weights(path: str) -> Mapping[str, Tensor]:
    """Tensors by name, from a safetensors file or one of ``torch.save``; nothing in it is executed."""
    if path.endswith(".safetensors"):
        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):  # what training scripts call the weights among other things
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping):
        raise ValueError(f"it holds a {type(found).__name__}, not tensors by name")
    return found


def example_from(given: Any, model: nn.Module) -> tuple[Any, ...]:
    """The arguments of the model's forward: as they were given, or random numbers of given shapes.

    Args:
        given: a tensor, a tuple of arguments; or a shape, batch first, or a list of shapes. A shape of integers is
            ``{"shape": [1, 16], "dtype": "int64"}``; they are zeros.
        model: decides on device and precision.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(given, Tensor):
        return (given,)
    if isinstance(given, tuple) and any(isinstance(part, Tensor) for part in given):
        return given
    shapes = [given] if _is_shape(given) or isinstance(given, Mapping) else given
    if not isinstance(shapes, Sequence) or isinstance(shapes, str) or not shapes:
        raise ValueError(
            f"example is {given!r}; it must be a tensor, a tuple of arguments, or a shape such as [1, 3, 32, 32]"
        )
    like = next((t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()), torch.empty(0))
    return tuple(_tensor(shape, like) for shape in shapes)


def plain_example(args: tuple[Any, ...]) -> list[Any] | None:
    """Shapes that :func:`example_from` makes an equivalent example of; None if an argument is not a tensor."""
    if not all(isinstance(part, Tensor) for part in args):
        return None
    return [
        list(part.shape)
        if part.is_floating_point()
        else {"shape": list(part.shape), "dtype": str(part.dtype).removeprefix("torch.")}
        for part in args
    ]


def _is_shape(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and bool(given) and all(type(size) is int and size > 0 for size in given)


def _tensor(given: Any, like: Tensor) -> Tensor:
    shape: Any = given.get("shape") if isinstance(given, Mapping) else given
    dtype = DTYPES.get(str(given.get("dtype", "float32"))) if isinstance(given, Mapping) else like.dtype
    if not _is_shape(shape) or dtype is None or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"example: {given!r} is not a shape of whole numbers, batch first, such as [1, 3, 32, 32]")
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype, device=like.device)
    # Zeros would meet a forward that divides by its input's norm; a generator of its own leaves the global state alone.
    if like.is_meta:
        return torch.empty(shape, dtype=dtype, device="meta")
    values = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float32, device="cpu")
    return values.to(like.device, dtype)
