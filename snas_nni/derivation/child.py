"""From a sample of the space to its child network, with or without the supernet's weights."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import model_context
from torch import nn

from snas_nni.derivation.inheritance import inherit_weights
from snas_nni.distribution.choices import choice_of, chosen_categories
from snas_nni.supernet.frozen import completed, follow_device, follow_precision

__all__ = ["build_child", "child_place", "derive_child"]

_logger = logging.getLogger(__name__)


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
    return completed(child)


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
    choices = (choice_of(mutable) for mutable in supernet.simplify().values())
    # Inputs come in the order of the candidates, as in the supernet, however the sample lists them.
    sample = {choice.label: choice.value(chosen_categories(choice, sample)) for choice in choices}
    frozen = supernet.freeze(dict(sample))
    child = completed(copy.deepcopy(frozen))
    follow_device(child, supernet)
    left = inherit_weights(child, child_place(supernet), sample)
    follow_precision(child, left, supernet)
    if left:
        _logger.warning(
            "%d tensors of the child have no counterpart in the supernet and start from their initial values: %s%s",
            len(left),
            ", ".join(left[:5]),
            ", ..." if len(left) > 5 else "",
        )
    return child


def child_place(supernet: ModelSpace) -> nn.Module:
    """The module that became the child: the space itself, or the one that it names as ``child_module``."""
    name: str = getattr(supernet, "child_module", "")
    return supernet.get_submodule(name)
