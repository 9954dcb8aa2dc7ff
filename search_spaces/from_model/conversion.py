"""From a model to the same model with choices in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from nni.mutable import Mutable
from torch import nn

from .choices import Choices, Options, choices_of
from .importance import order_of_channels
from .plain_forms import with_plain_layers
from .replacing import put_choices
from .tracing import trace
from .trial_runs import drop_what_fails

__all__ = ["converted"]

WRAPPED = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def converted(
    model: nn.Module, args: tuple[Any, ...], options: Options, importance: str, copied: bool
) -> tuple[nn.Module, Choices]:
    """Put choices into a model; to be called in the constructor of a model space.

    Args:
        model: the given one.
        args: of its forward.
        options: what may be chosen.
        importance: by what channels are ordered, one of ``MEASURES``.
        copied: leave ``model`` as it is and change a copy.

    Returns:
        The changed model and its choices.

    Raises:
        ValueError: names the model, why it cannot be turned into a space, and what to do.
    """
    name = type(model).__name__
    _check_kind(model)
    plain = with_plain_layers(model, copied)
    model, copied = plain, copied and plain is model
    try:
        traced = trace(model, args, options.keep)
    except Exception as error:  # whatever the model's own code raises
        raise ValueError(
            f"{name} cannot be turned into a space: it does not run on the example ({type(error).__name__}: {error}). "
            "Give an example that its forward takes, batch first"
        ) from error
    choices = choices_of(traced, options)
    if choices.values:
        drop_what_fails(model, traced, choices, args)
    if not choices.values:
        raise ValueError(
            f"{name} cannot be turned into a space: nothing of it can be chosen.{_reasons(choices.fixed)} Write those "
            "parts with plain Conv1d, Conv2d, Linear, BatchNorm1d, BatchNorm2d and LayerNorm layers, or lower "
            "min_channels"
        )
    order = order_of_channels(traced, importance)
    network = copy.deepcopy(model) if copied else model
    put_choices(network, traced, choices, order)
    return network, choices


def _check_kind(model: nn.Module) -> None:
    name = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            f"{name} is compiled by TorchScript and cannot be changed. Pass the Python module it was made of"
        )
    if name in WRAPPED:
        raise ValueError(f"{name} wraps the model. Pass the model inside it: model.{WRAPPED[name]}")
    mutable = next((path for path, module in model.named_modules() if isinstance(module, Mutable)), None)
    if mutable is not None:
        raise ValueError(
            f"{name} has NNI's mutables already ('{mutable}'): it is a space, or part of one. Search it as it is"
        )


def _reasons(fixed: Mapping[str, str], at_most: int = 8) -> str:
    parts = [f"'{path}' {reason}" for path, reason in fixed.items()]
    more = f"; and {len(parts) - at_most} more" if len(parts) > at_most else ""
    return f" {'; '.join(parts[:at_most])}{more}." if parts else " It has no layers."
