"""A backward pass of depthwise convolutions that is not slow on a CPU, for any network.

PyTorch's backward of a depthwise convolution takes a slow path there for dilation 2 and for 5x5 kernels: 4 to 15
times the forward. Both gradients are convolutions themselves, which the forward code runs fast:

* the gradient of the input is the convolution of the output's gradient with the flipped kernel;
* the gradient of the kernel is, for each image and channel, the convolution of the input with the output's gradient
  as a kernel of full size, read at steps of the dilation, and summed over images.

With stride 2 and dilation 2 a convolution reads pixels of even row and column only, so it is a plain convolution of
those.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["quicken_depthwise"]

_HOOK: Final = "_conv_forward"
"""What ``nn.Conv2d.forward`` calls with input, weight and bias. Looked up on the layer, so it can be put there."""


def quicken_depthwise(network: nn.Module) -> Callable[[], None]:
    """Let the depthwise convolutions of a network go this way; results and parameters stay what they are.

    It concerns ``nn.Conv2d`` and subclasses with its ``forward`` (NNI's too): as many groups as channels, square odd
    kernels, zero padding that keeps the size at stride 1; and 1x1 convolutions of stride 2, for the sake of safety.
    Only passes on a CPU with gradients differ.

    Returns:
        A function that undoes it.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and type(m).forward is nn.Conv2d.forward]
    changed = [m for m in layers if _concerns(m) or _is_strided_pointwise(m)]
    for layer in changed:
        if _is_strided_pointwise(layer):
            setattr(layer, _HOOK, partial(_pointwise, layer.stride[0], layer.groups))
            continue
        # No reference to the layer: a deep copy of it would go on reading the weights of the first.
        setattr(layer, _HOOK, partial(_convolve, layer.stride[0], layer.dilation[0], layer.kernel_size[0]))

    def undo() -> None:
        for layer in changed:
            vars(layer).pop(_HOOK, None)

    return undo


def _concerns(layer: nn.Conv2d) -> bool:
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    geometry = zip(kernel, stride, dilation, strict=True)
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.padding_mode == "zeros"
        and len(set(geometry)) == 1
        and kernel[0] % 2 == 1
        and layer.padding == (dilation[0] * (kernel[0] // 2),) * 2
        and ((stride[0] == 1 and (dilation[0] > 1 or kernel[0] > 3)) or (stride[0] == 2 and dilation[0] == 2))
    )


def _is_strided_pointwise(layer: nn.Conv2d) -> bool:
    return layer.kernel_size == (1, 1) and layer.stride == (2, 2) and layer.padding == (0, 0)


def _pointwise(stride: int, groups: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution 1x1 that reads every second pixel: those pixels are taken first.

    PyTorch 2.14's own backward of it (oneDNN, channels-last, few channels) writes beyond its memory on a CPU.
    """
    if x.dim() != 4 or not _needs_own_backward(x):
        return functional.conv2d(x, weight, bias, stride, 0, 1, groups)
    return functional.conv2d(x[:, :, ::stride, ::stride], weight, bias, 1, 0, 1, groups)


def _convolve(stride: int, dilation: int, kernel: int, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Depthwise convolution of ``(batch, channels, h, w)`` with ``(channels, 1, kernel, kernel)``."""
    padding, channels = dilation * (kernel // 2), weight.shape[0]
    if x.dim() != 4 or not _needs_own_backward(x):
        return functional.conv2d(x, weight, bias, stride, padding, dilation, channels)
    if stride == 2:  # and dilation 2
        x, dilation = x[:, :, ::2, ::2], 1
        if kernel == 3:
            return functional.conv2d(x, weight, bias, 1, 1, 1, channels)
    result: Tensor = _DepthwiseConvolution.apply(x, weight, dilation)
    return result if bias is None else result + bias.to(result.dtype).view(-1, 1, 1)


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
