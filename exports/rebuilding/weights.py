"""Weights in safetensors files, which hold tensors and nothing that could be executed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as tensors_from
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from exports.architecture.files import write_file
from exports.errors import ArchitectureFileError
from snas_nni.files import read_bounded, readable, reason_of

__all__ = ["load_weights", "read_weights", "room_for", "save_tensors", "save_weights"]

KEY = "weights"
MAX_BYTES = 2**33
OVERHEAD = 2**26  # of names and padding in a file; also lets the weights of another child be named, not just refused


def save_weights(child: nn.Module, path: str | Path) -> str:
    """Write the parameters and buffers of ``child``, from any device, as a safetensors file.

    Tensors that share memory (tied weights) are written once for each of their names.

    Returns:
        The file's SHA-256 in hexadecimal, for ``Architecture.with_weights``.

    Raises:
        ArchitectureFileError: the state holds something other than dense tensors, or the file cannot be
            written.
    """
    return save_tensors(child.state_dict(), path)


def save_tensors(state: Mapping[str, Any], path: str | Path) -> str:
    """Write the ``state_dict`` of a child; see :func:`save_weights`."""
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise ArchitectureFileError(
                KEY,
                f"{name} is a {type(value).__name__} that safetensors cannot hold",
                "Keep only ordinary dense tensors in the child's state_dict",
                path,
            )
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    # One entry only: safetensors writes several in an order that changes from run to run, and with it the digest.
    content = bytes_of(tensors, metadata={"format": "pt"})
    write_file(path, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(child: nn.Module, path: str | Path, sha256: str | None = None) -> None:
    """Put the weights of a safetensors file into ``child``, in place; all names, shapes and types must agree.

    Args:
        child: the network, on any device.
        path: the file.
        sha256: the digest that the file must have; ``None`` accepts any file.

    Raises:
        ArchitectureFileError: the file cannot be read, is not what the digest says, or does not fit the
            child. The child is unchanged then.
    """
    state = child.state_dict()
    tensors = read_weights(path, sha256, limit=room_for(state))
    check_fit(state, tensors, Path(path))
    child.load_state_dict(tensors, strict=True)


def room_for(state: Mapping[str, Tensor]) -> int:
    """Return how many bytes a file of such tensors may have: about twice what they need."""
    return 2 * sum(tensor.numel() * tensor.element_size() for tensor in state.values()) + OVERHEAD


def read_weights(path: str | Path, sha256: str | None = None, limit: int = MAX_BYTES) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU.

    Args:
        path: the file.
        sha256: the digest that the file must have; ``None`` accepts any file.
        limit: largest size of the file in bytes; see :func:`room_for`.

    Raises:
        ArchitectureFileError: the file cannot be read, is too large, or is not what the digest says.
    """
    path = Path(path)
    try:
        content = read_bounded(path, limit)
    except (OSError, ValueError) as error:
        raise ArchitectureFileError(
            KEY, f"cannot be read: {reason_of(error)}", "Put the weights file there, or build with weights=False", path
        ) from error
    # What is hashed is what is loaded: the file is read once.
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ArchitectureFileError(
            "sha256",
            "the weights file is not the one that was recorded: its SHA-256 differs",
            "Restore the original file; or, if you trust this one, name it: build(..., weights=path)",
            path,
        )
    try:
        tensors: dict[str, Tensor] = tensors_from(content)
    except Exception as error:
        raise ArchitectureFileError(
            KEY,
            f"is not a complete safetensors file: {readable(str(error))}",
            "Write it with snas_nni.save_weights",
            path,
        ) from error
    return tensors


def check_fit(wanted: dict[str, Tensor], given: dict[str, Tensor], path: Path) -> None:
    """Refuse weights that do not fit, saying what differs by name."""
    problems = []
    for words, names in (
        ("the file lacks", [name for name in wanted if name not in given]),
        ("the child has no", [name for name in given if name not in wanted]),
    ):
        if names:
            some = ", ".join(readable(name, 60) for name in names[:3])
            problems.append(f"{words} {some}" + (f" and {len(names) - 3} more" * (len(names) > 3)))
    for name in wanted.keys() & given.keys():
        ours, theirs = wanted[name], given[name]
        if ours.shape != theirs.shape:
            problems.append(f"{name} is {in_words(theirs)} in the file and {in_words(ours)} in the child")
        elif ours.dtype != theirs.dtype:
            problems.append(f"{name} is {theirs.dtype} in the file and {ours.dtype} in the child")
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise ArchitectureFileError(
            KEY,
            f"the file does not fit the child: {shown}",
            "Load the weights of the same sample, space arguments and number type",
            path,
        )


def in_words(tensor: Tensor) -> str:
    """Return the shape as text: ``16 x 3 x 3 x 3``, or ``a single number``."""
    return " x ".join(map(str, tensor.shape)) or "a single number"
