"""Mutable layers in the supernet: value choices in the arguments of ``MutableConv2d``, ``MutableLinear`` and others.

Channel and kernel choices share one large weight, of which each value uses a slice (NNI's mixed operations, after
FBNetV2). Arguments that cannot be sliced (stride, dilation, dropout, ...) and other parametrised modules run as one
module for each value, see :mod:`snas_nni.supernet.arguments`.
"""

from __future__ import annotations

from typing import Any

import torch
from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import ParametrizedModule
from torch import Tensor, nn

from snas_nni import nni_compat
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.supernet.sliced.one_axis import MixedBatchNorm1d, MixedConv1d
from snas_nni.supernet.sliced.operation import SlicedOperation, outcomes
from snas_nni.supernet.sliced.segments import Segments

__all__ = ["SLICED_OPERATIONS"]


class SlicedLinear(SlicedOperation, nni_compat.MixedLinear):
    """``MutableLinear`` with choices of its sizes."""

    sliced = ("in_features", "out_features")
    may_be_segmented = ("in_features", "out_features")

    def freeze_weight(self, in_features: Any, out_features: Any, **_: Any) -> dict[str, Tensor | None]:
        """Return the slices, those of each segment for a sum."""
        whole = [
            size if isinstance(given, Segments) else given
            for given, size in ((in_features, self.in_features), (out_features, self.out_features))
        ]
        state = super().freeze_weight(*whole)
        if isinstance(in_features, Segments):
            state["weight"] = in_features.select(state["weight"], 1)
        return _select_outputs(state, out_features)


class _SlicedConvolution(SlicedOperation):
    """Choices of channels, kernel size (with its padding) and proportional groups, for any number of axes."""

    sliced = ("in_channels", "out_channels", "kernel_size", "groups")
    may_be_segmented = ("in_channels", "out_channels")
    in_channels: int
    out_channels: int
    groups: int

    def super_init_argument(self, name: str, mutable_expr: MutableExpression) -> Any:
        """Return the value for the shared weight. NNI's version has too few groups where one is of several channels."""
        if name == "groups":
            return max(mutable_expr.grid())
        return super().super_init_argument(name, mutable_expr)  # type: ignore[misc]

    def _freeze_weight_impl(
        self, in_channels: Any, out_channels: Any, kernel_size: Any, groups: Any, **_: Any
    ) -> dict[str, Any]:
        whole = [
            size if isinstance(given, Segments) else given
            for given, size in ((in_channels, self.in_channels), (out_channels, self.out_channels))
        ]
        # Grouped inputs are as many for each filter, whatever the number of groups is.
        if isinstance(in_channels, Segments) and groups != 1:
            whole[0] = (self.in_channels // self.groups) * groups if isinstance(groups, int) else whole[0]
        state: dict[str, Any] = super()._freeze_weight_impl(*whole, kernel_size, groups)  # type: ignore[misc]
        if isinstance(in_channels, Segments) and groups == 1:
            state["weight"] = in_channels.select(state["weight"], 1)
        return _select_outputs(state, out_channels)

    @classmethod
    def check(cls, module: ParametrizedModule, choices: dict[str, MutableExpression], where: str) -> None:
        """Refuse groups out of proportion, and kernel sizes whose padding does not keep the size of the output.

        Raises:
            UnsupportedSpaceError: names the labels and the padding to use.
        """
        arguments = {"padding": 0, "dilation": 1, **module.trace_kwargs}
        if "groups" in choices:
            names, values = outcomes(arguments, ("in_channels", "out_channels", "groups"))
            if len({(inputs / groups, outputs / groups) for inputs, outputs, groups in values}) != 1:
                raise UnsupportedSpaceError(
                    f"label '{', '.join(names)}' {where}: groups must stay in proportion to in_channels and "
                    "out_channels (as in a depthwise convolution). Make a LayerChoice of layers instead."
                )
        if "kernel_size" not in choices:
            return
        if (mode := arguments.get("padding_mode", "zeros")) != "zeros":
            labels = ", ".join(sorted(choices["kernel_size"].simplify()))
            raise UnsupportedSpaceError(
                f"label '{labels}' {where}: kernel sizes cannot share one weight with padding_mode='{mode}'. Use "
                "padding_mode='zeros', or make a LayerChoice of layers instead."
            )
        names, values = outcomes(arguments, ("kernel_size", "padding", "dilation"))
        shrinks = set()
        for kernel, padding, dilation in values:
            if not isinstance(padding, str):
                sizes = (nni_compat.axis_sizes(cls, value) for value in (kernel, padding, dilation))
                shrinks.add(tuple(d * (k - 1) - 2 * p for k, p, d in zip(*sizes, strict=True)))
        if len(shrinks) != 1:
            raise UnsupportedSpaceError(
                f"label '{', '.join(names)}' {where}: outputs of different kernel sizes have different sizes with "
                f"padding {arguments['padding']}. Use padding=kernel_size // 2 with the same nni.choice."
            )


class SlicedConv2d(_SlicedConvolution, nni_compat.MixedConv2d):
    """``MutableConv2d``."""


class SlicedConv1d(_SlicedConvolution, MixedConv1d):
    """``MutableConv1d``."""


class _SlicedBatchNorm(SlicedOperation):
    """A choice of the number of features."""

    sliced = ("num_features",)
    may_be_segmented = ("num_features",)
    num_features: int
    running_mean: Tensor | None
    running_var: Tensor | None
    training: bool

    def freeze_weight(self, num_features: Any, **_: Any) -> dict[str, Tensor | None]:
        """Return the slices. NNI's version fails without affine parameters."""
        tensors = {name: getattr(self, name) for name in ("weight", "bias", "running_mean", "running_var")}
        if isinstance(num_features, Segments):
            decided = num_features.indices is not None
            return {
                name: num_features.select(tensor, 0) if tensor is not None and decided else tensor
                for name, tensor in tensors.items()
            }
        size = self.num_features if isinstance(num_features, dict) else num_features
        return {name: None if tensor is None else tensor[:size] for name, tensor in tensors.items()}

    def forward_with_args(self, num_features: Any, eps: float, momentum: float, inputs: Tensor) -> Tensor:
        """Run NNI's version; statistics of segments, which it updates in a copy, go back to where they belong."""
        if not isinstance(num_features, Segments) or num_features.indices is None or not self.training:
            whole: Tensor = super().forward_with_args(num_features, eps, momentum, inputs)  # type: ignore[misc]
            return whole
        statistics = self.freeze_weight(num_features)
        mean, variance = statistics["running_mean"], statistics["running_var"]
        output = nn.functional.batch_norm(
            inputs, mean, variance, statistics["weight"], statistics["bias"], True, momentum, eps
        )
        places = torch.tensor(num_features.indices, device=inputs.device)
        for own, updated in ((self.running_mean, mean), (self.running_var, variance)):
            if own is not None and updated is not None and updated is not own:
                own.index_copy_(0, places, updated)
        return output


class SlicedBatchNorm2d(_SlicedBatchNorm, nni_compat.MixedBatchNorm2d):
    """``MutableBatchNorm2d``."""


class SlicedBatchNorm1d(_SlicedBatchNorm, MixedBatchNorm1d):
    """``MutableBatchNorm1d``."""


class SlicedLayerNorm(SlicedOperation, nni_compat.MixedLayerNorm):
    """``MutableLayerNorm`` with a choice of its shape."""

    sliced = ("normalized_shape",)


class SlicedMultiheadAttention(SlicedOperation, nni_compat.MixedMultiHeadAttention):
    """``MutableMultiheadAttention`` with choices of its sizes."""

    sliced = ("embed_dim", "kdim", "vdim")
    batch_first: bool

    @classmethod
    def check(cls, module: ParametrizedModule, choices: dict[str, MutableExpression], where: str) -> None:
        """Refuse sizes of which only some make PyTorch join the three projections into one weight.

        Raises:
            UnsupportedSpaceError: names the labels and the reason.
        """
        names, values = outcomes({"kdim": None, "vdim": None, **module.trace_kwargs}, ("embed_dim", "kdim", "vdim"))
        joined = {(key or embed) == embed and (value or embed) == embed for embed, key, value in values}
        if len(joined) != 1:
            raise UnsupportedSpaceError(
                f"label '{', '.join(names)}' {where}: where kdim and vdim equal embed_dim PyTorch keeps one weight, "
                "elsewhere three, so the values cannot share. Leave embed_dim out of the values of kdim and vdim."
            )

    def forward_with_args(self, *args: Any, **kwargs: Any) -> Any:
        """Run NNI's version on inputs that still are one tensor where they were.

        PyTorch projects all three at once if they are, and NNI transposes each by itself.
        """
        if not self.batch_first:
            return super().forward_with_args(*args, **kwargs)
        *sizes, query, key, value = args[:8]
        turned = {id(x): x.transpose(1, 0) for x in (query, key, value)}
        self.batch_first = False
        try:
            output, weights = super().forward_with_args(
                *sizes, *(turned[id(x)] for x in (query, key, value)), *args[8:], **kwargs
            )
        finally:
            self.batch_first = True
        return output.transpose(1, 0), weights


def _select_outputs(state: dict[str, Any], kept: Any) -> dict[str, Any]:
    if isinstance(kept, Segments):
        for name in ("weight", "bias"):
            if state[name] is not None:
                state[name] = kept.select(state[name], 0)
    return state


SLICED_OPERATIONS = (
    SlicedLinear,
    SlicedConv2d,
    SlicedConv1d,
    SlicedBatchNorm2d,
    SlicedBatchNorm1d,
    SlicedLayerNorm,
    SlicedMultiheadAttention,
)
