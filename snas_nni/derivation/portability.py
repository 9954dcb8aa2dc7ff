"""What of a child cannot be written to its files, or cannot be read back, told before a search and not after it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

__all__ = ["changed_buffers", "lazy_parameters", "portability_notes", "unsaved_buffers", "watch_unsaved_buffers"]

_logger = logging.getLogger(__name__)


def lazy_parameters(module: nn.Module) -> list[str]:
    """Return the names of parameters and buffers that get their shape from the first input."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return [name for name, tensor in tensors if is_lazy(tensor)]


def unsaved_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the buffers that a ``state_dict`` leaves out (``persistent=False``), by name."""
    saved = module.state_dict().keys()
    return {name: buffer.detach().clone() for name, buffer in module.named_buffers() if name not in saved}


def changed_buffers(before: Mapping[str, Tensor], module: nn.Module) -> list[str]:
    """Return the names of buffers whose values are not those of ``before`` any more."""
    now = dict(module.named_buffers())
    return [
        name
        for name, old in before.items()
        if name in now and not torch.equal(old.nan_to_num(), now[name].detach().to(old).nan_to_num())
    ]


def watch_unsaved_buffers(network: nn.Module) -> RemovableHandle:
    """Warn, after the first pass in training mode, of buffers that change but are not saved.

    Returns:
        What ends the watch; it ends by itself after that pass.
    """
    before = unsaved_buffers(network)

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if module.training:
            handle.remove()
            for note in portability_notes(nn.Module(), changed_buffers(before, module)):
                _logger.warning("%s", note)

    handle = network.register_forward_hook(look)
    return handle


def portability_notes(module: nn.Module, changed: list[str] | None = None) -> list[str]:
    """Say which files of a child will not work.

    Args:
        module: the space, or the supernet.
        changed: buffers that a ``state_dict`` leaves out and that change while training, as far as that is known.
    """
    notes = []
    if lazy := lazy_parameters(module):
        notes.append(
            f"{_names(lazy)} gets its shape from the first input (a lazy module), so the child cannot be rebuilt from "
            "its files: give the size"
        )
    low = [name for name, p in module.named_parameters() if p.dtype in (torch.bfloat16, torch.float16)]
    if low:
        notes.append(
            f"{_names(low)} has 16 bits, and ONNX Runtime may not run such a child on a CPU: keep the weights in "
            "float32, and search with precision bf16-mixed"
        )
    if changed:
        notes.append(
            f"{_names(changed)} changes while training, but is registered with persistent=False, so the child's files "
            "lack it: register it with persistent=True"
        )
    return notes


def _names(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"'{', '.join(names[:3])}'{more}"
