"""From a sample of the space to its child network, with or without the supernet's weights."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.nn.pytorch.choice import ChosenInputs
from nni.nas.space import model_context
from torch import Tensor, nn

from snas_nni.choices import choice_of, chosen_categories

__all__ = ["NoInputs", "build_child", "derive_child"]

_logger = logging.getLogger(__name__)


class NoInputs(nn.Module):
    """What an ``InputChoice`` of any number of inputs becomes when it chose none: zeros.

    NNI's own ``ChosenInputs`` returns ``None`` there. Zero is an operation like the others, so the child runs.
    """

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return zeros of the shape of the first candidate input."""
        return torch.zeros_like(inputs[0])


def replace_empty_choices(child: nn.Module) -> nn.Module:
    """Put :class:`NoInputs` where a frozen ``InputChoice`` has no input; return ``child``, changed in place."""
    for parent in list(child.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, ChosenInputs) and not module.chosen and module.reduction in ("sum", "mean"):
                setattr(parent, name, NoInputs())
    return child


def build_child(space: Callable[..., ModelSpace], arguments: Mapping[str, Any], sample: Mapping[str, Any]) -> nn.Module:
    """Build the child that ``sample`` stands for, with new weights, from the space's constructor.

    The names in its ``state_dict`` are those of the child that a search derives, so its weights load.

    Args:
        space: the model space's class (or a function that makes the space).
        arguments: keyword arguments of ``space``.
        sample: an NNI sample, ``{label: value}``.
    """
    with model_context(dict(sample)):
        child = space(**arguments)
    return replace_empty_choices(child)


def follow(child: nn.Module, supernet: nn.Module) -> None:
    """Put layers that were made anew where the supernet is: on its device, and in its precision if it has one."""
    parameters = [p for p in supernet.parameters() if p.is_floating_point()]
    devices, precisions = {p.device for p in parameters}, {p.dtype for p in parameters}
    if len(devices) == 1:
        child.to(devices.pop())
    if len(precisions) == 1:
        child.to(precisions.pop())


def derive_child(supernet: ModelSpace, sample: Mapping[str, Any]) -> nn.Module:
    """Freeze a supernet to one child that inherits its weights and shares no tensor with it.

    The child gives the supernet's own logits at the one-hot ``sample`` (in evaluation mode). Parameters that no
    part of the supernet matches are named in a warning.

    Args:
        supernet: a model space after ``SNAS().mutate_model`` or after a search.
        sample: an NNI sample, ``{label: value}``.

    Raises:
        ValueError: names a label that is missing in the sample, or whose value no candidate has.
    """
    from snas_nni.inheritance import inherit_weights  # it knows the supernet's modules, which know NoInputs

    choices = (choice_of(mutable) for mutable in supernet.simplify().values())
    # Inputs come in the order of the candidates, as in the supernet, however the sample lists them.
    sample = {choice.label: choice.value(chosen_categories(choice, sample)) for choice in choices}
    frozen = supernet.freeze(dict(sample))
    child = replace_empty_choices(copy.deepcopy(frozen))
    follow(child, supernet)
    left = inherit_weights(child, supernet, sample)
    if left:
        _logger.warning(
            "%d tensors of the child have no counterpart in the supernet and start from their initial values: %s%s",
            len(left),
            ", ".join(left[:5]),
            ", ..." if len(left) > 5 else "",
        )
    return child
