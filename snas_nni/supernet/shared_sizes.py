"""Modules built once for each value of a choice that also sizes a sliced layer: their inputs would not fit."""

from __future__ import annotations

from typing import Any

from torch import nn

from snas_nni.errors import UnsupportedSpaceError
from snas_nni.supernet.arguments import MixedArguments
from snas_nni.supernet.operation import SLICED_OPERATIONS

__all__ = ["refuse_shared_sizes"]

_SIZES = {
    *("in_channels", "out_channels", "in_features", "out_features", "num_features", "normalized_shape"),
    *("embed_dim", "kdim", "vdim"),
}


def refuse_shared_sizes(supernet: nn.Module) -> None:
    """Refuse a module whose weights differ in shape with a label that sizes a sliced layer.

    While the sample is relaxed a sliced layer has its largest size, masked, whereas a module with no supernet form of
    its own is built with each of the values, and the smaller ones do not fit.

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
        for label in _labels_of_shapes(module):
            if label in sliced:
                raise UnsupportedSpaceError(
                    f"label '{label}' (module '{name}' of type {module.module_type}): the value also chooses "
                    f"{sliced[label]}, and is not supported in a module whose weights take their shape from it and "
                    "which is no layer that can be sliced. Use MutableConv2d, MutableBatchNorm2d, MutableLayerNorm, "
                    "MutableLinear or MutableMultiheadAttention there, a LayerChoice of whole blocks, "
                    "SNAS(sampling='single_path'), or SNAS(mutation_hooks=[...]) with a supernet form of your own."
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
