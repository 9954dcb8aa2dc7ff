"""Which hook replaces which of NNI's mutables, and what is refused because none does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni.nas.nn.pytorch import MutableModule
from torch import nn

from snas_nni.errors import UnsupportedSpaceError
from snas_nni.nni_compat import BaseSuperNetModule
from snas_nni.supernet.arguments import MixedArguments
from snas_nni.supernet.cell import MixedCell
from snas_nni.supernet.inputs import MixedInput
from snas_nni.supernet.layer import MixedLayer
from snas_nni.supernet.operation import SLICED_OPERATIONS
from snas_nni.supernet.repeat import MixedRepeat

__all__ = [
    "hooks",
    "refuse_aliases",
    "refuse_leftovers",
]


def refuse_leftovers(module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> bool:
    """Last hook: refuse a module that still holds choices of its own.

    Raises:
        UnsupportedSpaceError: names the module, its labels and the way out.
    """
    if isinstance(module, MutableModule) and module.mutables:
        labels = sorted({label for mutable in module.mutables for label in mutable.simplify()})
        raise UnsupportedSpaceError(
            f"label '{', '.join(labels)}' (module '{name}' of type {type(module).__name__}): a choice that the "
            "module reads by itself has no supernet form. Express it with LayerChoice, InputChoice, Repeat, Cell or "
            "a mutable layer, or pass SNAS(mutation_hooks=[...]) with a supernet form of your own."
        )
    return True


def refuse_aliases(supernet: nn.Module) -> None:
    """Refuse a choice that its parent holds under two names, of which NNI replaces only the first.

    Raises:
        UnsupportedSpaceError: names the label, the second name and the way out.
    """
    for path, parent in supernet.named_modules():
        for name, module in parent._modules.items():
            if isinstance(module, MutableModule) and module.mutables and not isinstance(module, BaseSuperNetModule):
                labels = sorted({label for mutable in module.mutables for label in mutable.simplify()})
                raise UnsupportedSpaceError(
                    f"label '{', '.join(labels)}' (module '{path + '.' if path else ''}{name}' of type "
                    f"{type(module).__name__}): its parent holds the same module under another name too. Keep one "
                    "name and call it twice."
                )


def hooks() -> list[Callable[..., Any]]:
    """NNI mutation hooks for everything that can be searched, in the order they are tried."""
    return [
        MixedLayer.mutate,
        MixedInput.mutate,
        MixedCell.mutate,
        MixedRepeat.mutate,
        *(operation.mutate for operation in SLICED_OPERATIONS),
        MixedArguments.mutate,
        refuse_leftovers,
    ]
