"""Modules that stay as they are: because the user names them, or because others hold or watch them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from torch import nn

__all__ = ["matches", "reasons_to_stay"]


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a module, or one that it is in, has one of the names; ``*`` and ``?`` stand for other characters."""
    parts = path.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:end]), p) for p in patterns for end in range(1, len(parts) + 1))


def reasons_to_stay(model: nn.Module) -> dict[str, str]:
    """Layers that cannot be replaced by others, with the reason."""
    holders: dict[int, list[str]] = {}
    tensors: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        holders.setdefault(id(module), []).append(path)
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            tensors.setdefault(id(parameter), []).append(path)
    refused = {}
    for path, module in model.named_modules():
        names = holders[id(module)]
        sharing = [p for t in module.parameters(recurse=False) for p in tensors[id(t)] if p != path]
        if len(names) > 1:
            refused[path] = f"is held under the names {' and '.join(map(repr, names[:2]))}"
        elif sharing:
            refused[path] = f"shares its weights with '{sharing[0]}'"
        elif module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            refused[path] = "has hooks of its own"
    return refused
