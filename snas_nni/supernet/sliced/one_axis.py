"""What NNI has no mixed operation for: convolutions of series, and BatchNorm of series and tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nni.nas.nn.pytorch import MutableBatchNorm1d, MutableConv1d
from torch import Tensor, nn
from torch.nn import functional

from snas_nni import nni_compat

__all__ = ["MixedBatchNorm1d", "MixedConv1d"]


class MixedConv1d(nni_compat.MixedOperation, nn.Conv1d):
    """A convolution over one axis: NNI's over two, of which the first has the length 1."""

    bound_type = MutableConv1d
    argument_list = nni_compat.MixedConv2d.argument_list
    super_init_argument = nni_compat.MixedConv2d.super_init_argument

    @staticmethod
    def _to_tuple(value: Any) -> tuple[Any]:
        """A convolution's argument as one number for each axis."""
        return value if isinstance(value, tuple) else (value,)

    def freeze_weight(self, in_channels: Any, out_channels: Any, kernel_size: Any, groups: Any, **_: Any) -> Any:
        """Return the slices of weight and bias."""
        state = self._freeze_weight_impl(in_channels, out_channels, kernel_size, groups)
        state.pop("in_channels_per_group", None)
        return state

    def _freeze_weight_impl(
        self, in_channels: Any, out_channels: Any, kernel_size: Any, groups: Any, **_: Any
    ) -> dict[str, Any]:
        over_two_axes = SimpleNamespace(
            weight=self.weight.unsqueeze(2),
            bias=self.bias,
            kernel_size=(1, *self.kernel_size),
            mutable_arguments=self.mutable_arguments,
            _to_tuple=lambda size: (1, *self._to_tuple(size)),
        )
        slices = nni_compat.MixedConv2d._freeze_weight_impl
        state: dict[str, Any] = slices(over_two_axes, in_channels, out_channels, kernel_size, groups)
        return {**state, "weight": state["weight"].squeeze(2)}

    def forward_with_args(
        self,
        in_channels: Any,
        out_channels: Any,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: Any,
        inputs: Tensor,
    ) -> Tensor:
        """Convolve ``(N, C, L)`` with the slices."""
        state = self._freeze_weight_impl(in_channels, out_channels, kernel_size, groups)
        if isinstance(groups, dict):
            groups = inputs.shape[1] // int(state["in_channels_per_group"])
        if isinstance(kernel_size, dict):
            padding = self.padding  # that of the largest kernel serves all of them
        if self.padding_mode != "zeros":
            inputs = functional.pad(inputs, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return functional.conv1d(inputs, state["weight"], state["bias"], stride, padding, dilation, groups)


class MixedBatchNorm1d(nni_compat.MixedOperation, nn.BatchNorm1d):
    """BatchNorm of series and tables; the same arithmetic as for images."""

    bound_type = MutableBatchNorm1d
    argument_list = nni_compat.MixedBatchNorm2d.argument_list
    super_init_argument = nni_compat.MixedBatchNorm2d.super_init_argument
    forward_with_args = nni_compat.MixedBatchNorm2d.forward_with_args
