"""Which hook replaces which of NNI's mutables, and what is refused because none does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni.nas.nn.pytorch import ModelSpace, MutableModule
from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice, choice_of
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.nni_compat import BaseSuperNetModule
from snas_nni.supernet.arguments import MixedArguments
from snas_nni.supernet.cell import MixedCell
from snas_nni.supernet.inputs import MixedInput
from snas_nni.supernet.layer import MixedLayer
from snas_nni.supernet.repeat import MixedRepeat
from snas_nni.supernet.sliced.layers import SLICED_OPERATIONS

__all__ = [
    "choices_of",
    "hooks",
    "refuse_aliases",
    "refuse_leftovers",
    "refuse_shared_sizes",
    "refuse_sizes_per_layer",
    "refuse_unread",
]


def choices_of(model: Any) -> dict[str, Choice]:
    """The choice behind each label of a model space that can be turned into a supernet.

    Raises:
        UnsupportedSpaceError: it is no model space, is a supernet already, has labels that are used in two ways, or
            has nothing to choose.
    """
    if not isinstance(model, ModelSpace):
        raise UnsupportedSpaceError(
            f"{type(model).__name__} is not a model space. Derive the network from nni.nas.nn.pytorch.ModelSpace."
        )
    if any(isinstance(module, BaseSuperNetModule) for module in model.modules()):
        raise UnsupportedSpaceError(
            f"{type(model).__name__} is a supernet already. Make a new space: it can be turned into one only once."
        )
    try:
        mutables = model.simplify()
    except ValueError as error:
        raise UnsupportedSpaceError(
            f"{error}. Modules with the same label share one choice, so they need the same candidates in the same "
            "order: give them equal candidate names, or labels of their own."
        ) from error
    choices = {label: choice_of(mutable) for label, mutable in mutables.items()}
    if not choices:
        raise UnsupportedSpaceError(
            f"{type(model).__name__} has nothing to choose. Put a LayerChoice, InputChoice, Repeat, Cell or a "
            "mutable layer into it."
        )
    return choices


def refuse_unread(distribution: ArchitectureDistribution) -> None:
    """Refuse a label that no module of the supernet reads.

    Raises:
        UnsupportedSpaceError: names the labels and the way out.
    """
    unused = [label for label, readers in distribution.readers.items() if not readers]
    if unused:
        raise UnsupportedSpaceError(
            f"label '{', '.join(unused)}': the space chooses a value that no module of it uses in a way that can "
            "be searched (it was read by ensure_frozen or add_mutable). Use LayerChoice, InputChoice, Repeat, "
            "Cell or a mutable layer for it, or fix the value."
        )


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


_SIZES = {
    *("in_channels", "out_channels", "in_features", "out_features", "num_features", "normalized_shape"),
    *("embed_dim", "kdim", "vdim"),
}


def refuse_shared_sizes(supernet: nn.Module, relaxed: bool) -> None:
    """Refuse a module whose weights differ in shape with a label that sizes a sliced layer; or tell it of that label.

    While the sample is relaxed a sliced layer has its largest size, masked, whereas a module with no supernet form of
    its own is built with each of the values, and the smaller ones do not fit. A single path has one size everywhere;
    a pass that counts must then run what fits alone.

    Args:
        supernet: of the space.
        relaxed: whether the search draws relaxed samples.

    Raises:
        UnsupportedSpaceError: names the labels, the module, the sliced layer, and the ways out.
    """
    sliced: dict[str, str] = {}
    for name, module in supernet.named_modules():
        if isinstance(module, tuple(SLICED_OPERATIONS)):
            sliced = {**_labels_of_sizes(module, name), **sliced}
    for name, module in supernet.named_modules():
        if not isinstance(module, MixedArguments):
            continue
        shared = [label for label in _labels_of_shapes(module) if label in sliced]
        if shared and relaxed:
            raise UnsupportedSpaceError(
                f"label '{shared[0]}' (module '{name}' of type {module.module_type}): the value also chooses "
                f"{sliced[shared[0]]}, and is not supported in a module whose weights take their shape from it and "
                "which is no layer that can be sliced. Use MutableConv1d, MutableConv2d, MutableBatchNorm1d, "
                "MutableBatchNorm2d, MutableLayerNorm, MutableLinear or MutableMultiheadAttention there, a LayerChoice "
                "of whole blocks, SNAS(sampling='single_path'), or SNAS(mutation_hooks=[...]) with a supernet form of "
                "your own."
            )
        module.sized = frozenset(shared)


def refuse_sizes_per_layer(supernet: nn.Module, distribution: ArchitectureDistribution) -> None:
    """Refuse a label that sizes layers which each draw a value of their own.

    One layer's output would have another size than the next one's input.

    Raises:
        UnsupportedSpaceError: names the label, the module, and the ways out.
    """
    for name, module in supernet.named_modules():
        labels: dict[str, str] = {}
        if isinstance(module, tuple(SLICED_OPERATIONS)):
            labels = _labels_of_sizes(module, name)
        elif isinstance(module, MixedArguments):
            labels = dict.fromkeys(_labels_of_shapes(module), f"the weights of '{name}'")
        for label, sized in labels.items():
            if (readers := len(distribution.readers[label])) > 1:
                raise UnsupportedSpaceError(
                    f"label '{label}' (module '{name}'): {readers} modules read it, and it chooses {sized}. With "
                    "sampling='single_path' and sample_per_layer=True each would run another size, which the next does "
                    "not take. Leave sample_per_layer out, or search with sampling='relaxed'."
                )


def _labels_of_sizes(layer: Any, name: str) -> dict[str, str]:
    """Return the labels that size a sliced layer, each with the argument and the layer's name."""
    return {
        label: f"{argument} of '{name}'"
        for argument, expression in layer.mutable_arguments.items()
        if argument in _SIZES
        for label in expression.simplify()
    }


def _labels_of_shapes(module: MixedArguments) -> list[str]:
    """Return the labels with whose value alone the shape of a weight or buffer changes."""
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in module.candidates]
    by_combination = dict(zip(module.combinations, shapes, strict=True))
    found = []
    for position, label in enumerate(module.readers):
        first = {c: by_combination[(*c[:position], 0, *c[position + 1 :])] for c in module.combinations}
        if any(by_combination[c] != first[c] for c in module.combinations):
            found.append(label)
    return found
