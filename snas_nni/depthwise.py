"""Depthwise convolution with a backward pass that is not slow on a CPU.

PyTorch's backward of a depthwise convolution takes a slow path there for dilation 2 and for 5x5 kernels: 4 to 15
times the forward. Both gradients are convolutions themselves, which the forward code runs fast:

* the gradient of the input is the convolution of the output's gradient with the flipped kernel;
* the gradient of the kernel is, for each image and channel, the convolution of the input with the output's gradient
  as a kernel of full size, read at steps of the dilation, and summed over images.

With stride 2 and dilation 2 a convolution reads pixels of even row and column only, so it is a plain convolution of
those.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DepthwiseConv2d"]


class DepthwiseConv2d(nn.Conv2d):
    """A bias-free depthwise convolution that keeps the size at stride 1 (halves it, rounded up, at stride 2).

    Parameters, names and results are those of ``nn.Conv2d``; only the way to the gradient differs, and only on a CPU.

    Args:
        channels: number of channels, each convolved by itself.
        kernel: side of the square kernel, odd.
        stride: 1 or 2.
        dilation: distance between the kernel's taps.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            channels,
            channels,
            kernel,
            stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=channels,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, h, w)`` to ``(batch, channels, ceil(h / stride), ceil(w / stride))``."""
        if not _needs_own_backward(x):
            return super().forward(x)
        stride, dilation = self.stride[0], self.dilation[0]
        if stride == 2 and dilation == 2:
            x, stride, dilation = x[:, :, ::2, ::2], 1, 1
        if stride == 1 and (dilation > 1 or self.kernel_size[0] > 3):
            result: Tensor = _DepthwiseConvolution.apply(x, self.weight, dilation)
            return result
        padding = dilation * (self.kernel_size[0] // 2)
        return functional.conv2d(x, self.weight, None, stride, padding, dilation, self.groups)


def _needs_own_backward(x: Tensor) -> bool:
    # Without gradients (evaluation, counting, export) the plain operation is as fast, and is what others recognise.
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling()


class _DepthwiseConvolution(torch.autograd.Function):
    """Stride 1, size-preserving; ``apply(x, weight, dilation)``."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return functional.conv2d(x, weight, None, 1, dilation * (weight.shape[-1] // 2), dilation, x.shape[1])

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        batch, channels, height, width = x.shape
        kernel, dilation = weight.shape[-1], ctx.dilation
        padding = dilation * (kernel // 2)
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            flipped = weight.flip(2, 3).to(gradient.dtype)
            of_input = functional.conv2d(gradient, flipped, None, 1, padding, dilation, channels).to(x.dtype)
        if ctx.needs_input_grad[1]:
            images = x.to(gradient.dtype).reshape(1, batch * channels, height, width)
            filters = gradient.reshape(batch * channels, 1, height, width)
            each = functional.conv2d(images, filters, None, dilation, padding, 1, batch * channels)
            # Summed in the weight's precision: a sum of bfloat16 over a batch would lose most of it.
            of_weight = each.view(batch, channels, kernel, kernel).to(weight.dtype).sum(0).unsqueeze(1)
        return of_input, of_weight, None
