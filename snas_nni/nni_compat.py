"""The one door to NNI's one-shot package, and to what NNI 3.0 keeps private.

The order below matters: with ``nni.nas.oneshot.pytorch.strategy`` imported first, a circular import is swallowed and
NNI's own strategies cannot be used any more in that process. So nothing else imports ``nni.nas.oneshot``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot
from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.strategy import DARTS
from nni.nas.oneshot.pytorch.supermodule._expression_utils import traverse_all_options
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.operation import (
    MixedBatchNorm2d,
    MixedConv2d,
    MixedLayerNorm,
    MixedLinear,
    MixedMultiHeadAttention,
    MixedOperation,
    MixedOperationSamplingPolicy,
)
from nni.nas.oneshot.pytorch.supermodule.sampling import PathSamplingCell
from torch import nn

__all__ = [
    "DARTS",
    "BaseOneShotLightningModule",
    "BaseSuperNetModule",
    "MixedBatchNorm2d",
    "MixedConv2d",
    "MixedLayerNorm",
    "MixedLinear",
    "MixedMultiHeadAttention",
    "MixedOperation",
    "MixedOperationSamplingPolicy",
    "PathSamplingCell",
    "axis_sizes",
    "is_architecture_optimizer",
    "loaded_nasnet_hub",
    "plain_type",
    "weights_of_values",
]


def weights_of_values(expression: MutableExpression, weights: Mapping[str, list[Any]]) -> dict[Any, Any]:
    """Weight of each value of an expression over labels, summed over the outcomes that give it.

    Args:
        expression: such as ``nni.choice("a", ...) * 2``.
        weights: of the candidates of each label, as numbers or scalar tensors.
    """
    return dict(traverse_all_options(expression, weights=weights))


def plain_type(layer: type[ParametrizedModule]) -> type[nn.Module]:
    """The class of a mutable layer without choices: ``nn.Conv2d`` for ``MutableConv2d``, a user's class for itself."""
    found: type[nn.Module] = layer._bound_type or layer
    return found


def axis_sizes(operation: type[MixedConv2d], value: Any) -> tuple[int, ...]:
    """A convolution's argument as one number for each axis."""
    sizes: tuple[int, ...] = operation._to_tuple(value)
    return sizes


def is_architecture_optimizer(optimizer: Any) -> bool:
    """Whether NNI took an optimizer from ``configure_architecture_optimizers``."""
    return bool(getattr(optimizer, "is_arch_optimizer", False))


def loaded_nasnet_hub() -> Any | None:
    """NNI's module of the NASNet family of spaces, if a space of it is in use."""
    return sys.modules.get("nni.nas.hub.pytorch.nasnet")
