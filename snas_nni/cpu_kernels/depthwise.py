"""A backward pass of depthwise convolutions that is not slow on a CPU, for any network.

PyTorch's backward of a depthwise convolution takes a slow path there for dilation 2 and for 5x5 kernels: 4 to 15
times the forward. Both gradients are convolutions themselves, which the forward code runs fast:

* the gradient of the input is the convolution of the output's gradient with the flipped kernel;
* the gradient of the kernel is, for each image and channel, the convolution of the input with the output's gradient
  as a kernel of full size, read at steps of the dilation, and summed over images.

With stride 2 a convolution of dilation 2, or of a single tap, reads pixels of even row and column only, so it is one of
stride 1 on those.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from snas_nni.cpu_kernels.memory_format import is_channels_last
from snas_nni.cpu_kernels.replaced import replace_method, runs_as

__all__ = ["use_fast_depthwise"]

_HOOK: Final = "_conv_forward"
"""What ``nn.Conv2d.forward`` calls with input, weight and bias. Looked up on the layer, so it can be put there."""


def use_fast_depthwise(network: nn.Module) -> Callable[[], None]:
    """Let the depthwise convolutions of a network go this way; results and parameters stay what they are.

    It concerns ``nn.Conv2d`` and subclasses with its ``forward`` (NNI's too): as many groups as channels, square odd
    kernels, zero padding that keeps the size at stride 1; and 1x1 convolutions of stride 2, for the sake of safety.
    Only passes on a CPU with gradients differ.

    Returns:
        A function that undoes it.
    """
    changed = [m for m in network.modules() if runs_as(m, nn.Conv2d) and _concerns(m)]
    return replace_method(
        changed, _HOOK, lambda layer: partial(_convolve, layer.groups, layer.stride[0], layer.dilation[0])
    )


def _concerns(layer: nn.Conv2d) -> bool:
    square = len(set(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True))) == 1
    kernel, stride, dilation = layer.kernel_size[0], layer.stride[0], layer.dilation[0]
    is_depthwise = layer.groups == layer.in_channels == layer.out_channels
    return (
        square
        and kernel % 2 == 1
        and layer.padding == (dilation * (kernel // 2),) * 2
        and (layer.padding_mode == "zeros" or kernel == 1)
        and (
            (stride == 1 and is_depthwise and _is_slow(kernel, dilation))
            or (stride == 2 and (kernel == 1 or (is_depthwise and dilation == 2)))
        )
    )


def _is_slow(kernel: int, dilation: int) -> bool:
    return dilation > 1 or kernel > 3


def _convolve(groups: int, stride: int, dilation: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution of ``(batch, channels, h, w)``; depthwise, or 1x1 with stride 2.

    Stride 2 is here only where all taps lie on pixels of even row and column. They are taken first, which is exact.
    PyTorch 2.14's own backward of 1x1 with stride 2 (oneDNN, channels-last, few channels) writes beyond its memory.
    """
    kernel = weight.shape[-1]
    if x.dim() == 4 and _needs_own_backward(x):
        if stride == 2:
            x, stride, dilation = _EveryOther.apply(x), 1, 1
        if weight.shape[1] == 1 and _is_slow(kernel, dilation):
            result: Tensor = _DepthwiseConvolution.apply(x, weight, dilation)
            return result if bias is None else result + bias.to(result.dtype).view(-1, 1, 1)
    return functional.conv2d(x, weight, bias, stride, dilation * (kernel // 2), dilation, groups)


def _needs_own_backward(x: Tensor) -> bool:
    # Without gradients (evaluation, counting, export) the plain operation is as fast, and is what others recognise.
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling()


class _EveryOther(torch.autograd.Function):
    """``x[:, :, ::2, ::2]``, whose gradient keeps the memory order of ``x``; the gradient of a slice does not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.size = x.shape
        ctx.last = is_channels_last(x)
        return x[:, :, ::2, ::2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        order = torch.channels_last if ctx.last else torch.contiguous_format
        of_all = torch.empty(ctx.size, dtype=gradient.dtype, device=gradient.device, memory_format=order).zero_()
        of_all[:, :, ::2, ::2] = gradient
        return of_all


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
