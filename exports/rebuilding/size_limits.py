"""A bound on the network that a file's arguments ask for, while it is being made and before it is large."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from exports.errors import ArchitectureFileError

__all__ = ["bounded_size"]

MAX_MODULES = 50_000
MAX_ELEMENTS = 2**30


@contextlib.contextmanager
def bounded_size(key: str) -> Iterator[None]:
    """Refuse to make a network of more than 50,000 modules or 2^30 elements of parameters and buffers inside.

    Args:
        key: where in the record the sizes come from.

    Raises:
        ArchitectureFileError: naming ``key``, from within the constructor that went too far.
    """
    modules = elements = 0

    def refuse(what: str, constant: str) -> None:
        remedy = (
            f"Correct the arguments; or, if you trust the file, raise exports.rebuilding.size_limits.{constant} first"
        )
        raise ArchitectureFileError(key, f"asks for a network of more than {what}", remedy)

    def count_module(owner: nn.Module, name: str, added: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > MAX_MODULES:
            refuse(f"{MAX_MODULES} modules", "MAX_MODULES")

    def count_elements(owner: nn.Module, name: str, added: Tensor | None) -> None:
        nonlocal elements
        # A lazy layer's parameters have no size yet.
        if added is not None and type(added).__name__ not in ("UninitializedParameter", "UninitializedBuffer"):
            elements += added.numel()
        if elements > MAX_ELEMENTS:
            refuse(f"{MAX_ELEMENTS} parameters", "MAX_ELEMENTS")

    handles = [
        torch_module.register_module_module_registration_hook(count_module),
        torch_module.register_module_parameter_registration_hook(count_elements),
        torch_module.register_module_buffer_registration_hook(count_elements),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
