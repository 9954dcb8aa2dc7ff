"""BatchNorm that is not slow in channels-last order on a CPU, for any network.

PyTorch's code for that order takes one pixel at a time: it is fast where the channels fill its vectors (16, 32, ...)
and up to eight times slower than in the other order where they do not (8, 24, the paper's 36). A row of pixels is a
longer vector. Here statistics are taken for each place of a row and channel, and those of a channel joined after.

On every device, what a layer returns in training need not be kept by what follows
(:mod:`snas_nni.cpu_kernels.unkept_outputs`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from snas_nni.cpu_kernels.memory_format import is_channels_last
from snas_nni.cpu_kernels.replaced import replace_forward, runs_as
from snas_nni.cpu_kernels.unkept_outputs import UnkeptOutput, note_unkept

__all__ = ["use_fast_batch_norm"]

_DTYPES = (torch.float32, torch.float64)
_VECTOR = 16
"""Channels that PyTorch's code takes at a time; on multiples of it the two are even."""
_FEW = 2**16
"""Up to so many numbers the calls cost more than the work, and PyTorch's are fewer."""


def use_fast_batch_norm(network: nn.Module) -> Callable[[], None]:
    """Let the BatchNorm layers of a network go this way; results, parameters and statistics stay what they are.

    It concerns ``nn.BatchNorm2d`` and subclasses with its ``forward`` (NNI's too). Only training with channels-last
    images of 32 or 64 bits on a CPU is computed differently.

    Returns:
        A function that undoes it.
    """
    return replace_forward([layer for layer in network.modules() if runs_as(layer, nn.BatchNorm2d)], _forward)


def _forward(layer: nn.BatchNorm2d, images: Tensor) -> Tensor:
    """``nn.BatchNorm2d.forward`` of ``(batch, channels, h, w)``."""
    if layer.training and _is_slow(images):
        return _in_rows(layer, images)
    result: Tensor = type(layer).forward(layer, images)
    if layer.training and result.requires_grad and images.numel() > _FEW and not torch.compiler.is_compiling():
        note_unkept(result, UnkeptOutput(partial(_again, layer.eps), images, *_learned(layer)))
    return result


def _learned(layer: nn.BatchNorm2d) -> list[Tensor]:
    return [tensor for tensor in (layer.weight, layer.bias) if tensor is not None]


def _again(eps: float, images: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """What PyTorch's layer returned in training."""
    return functional.batch_norm(images, None, None, weight, bias, True, 0.0, eps)


def _dot_in_rows(
    eps: float,
    gradient: Tensor,
    images: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Sum of products with what :func:`_in_rows` returned, from those that the gradients of weight and bias are."""
    with_normal, alone = _sums(gradient.to(images.dtype), images, mean, variance, eps)
    normal = with_normal if weight is None else with_normal * weight
    return normal.sum() if bias is None else normal.sum() + torch.dot(alone, bias.to(alone.dtype))


def _again_in_rows(
    eps: float,
    images: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """What :func:`_in_rows` returned."""
    _, shift, scale = _affine(mean, variance, weight, bias, eps)
    return _applied(images, *_repeated(shift, scale, images.shape[3]))


def _in_rows(layer: nn.BatchNorm2d, images: Tensor) -> Tensor:
    result: Tensor
    result, mean, variance = _BatchNorm.apply(images, layer.weight, layer.bias, layer.eps)
    if layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None:
        share = layer.momentum
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.add_(1)
            if share is None:  # an average over all batches
                share = 1.0 / float(layer.num_batches_tracked)
        count = images.numel() // images.shape[1]
        with torch.no_grad():
            layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), share or 0.0)
            layer.running_var.lerp_((variance * (count / (count - 1))).to(layer.running_var.dtype), share or 0.0)
    if result.requires_grad:
        make, dot = partial(_again_in_rows, layer.eps), partial(_dot_in_rows, layer.eps)
        note_unkept(result, UnkeptOutput(make, images, mean, variance, *_learned(layer), dot=dot))
    return result


def _is_slow(images: Tensor) -> bool:
    return bool(
        images.device.type == "cpu"
        and is_channels_last(images)
        and images.shape[1] % _VECTOR
        and images.numel() > _FEW
        and images.dtype in _DTYPES
        and not images.is_contiguous()
        and not torch.compiler.is_compiling()
    )


def _rows(images: Tensor) -> Tensor:
    """Channels-last ``(batch, channels, h, w)`` as ``(batch * h, w * channels)``, in the same memory."""
    batch, channels, height, width = images.shape
    return images.permute(0, 2, 3, 1).reshape(batch * height, width * channels)


def _images(rows: Tensor, like: Tensor) -> Tensor:
    batch, channels, height, width = like.shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _repeated(first: Tensor, second: Tensor, places: int) -> Tensor:
    """Two values for each channel, each for a whole row: ``(2, places * channels)``."""
    return torch.stack((first, second)).unsqueeze(1).expand(2, places, len(first)).reshape(2, -1)


def _statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel."""
    rows, channels = _rows(images), images.shape[1]
    places = rows.shape[1] // channels
    means, variances = torch.batch_norm_update_stats(rows[:, :, None, None], None, None, 0.0)
    # The variance of all is the mean of the variances and the variance of the means: nothing cancels.
    variance, mean = torch.var_mean(means.view(places, channels), 0, correction=0)
    variance += variances.view(places, channels).mean(0)
    return mean, variance


def _affine(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each channel the inverse of the standard deviation, and shift and scale of the result."""
    inverse = (variance + eps).rsqrt_()
    scale = inverse if weight is None else inverse * weight
    shift = (mean * scale).neg_() if bias is None else torch.addcmul(bias, mean, scale, value=-1)
    return inverse, shift, scale


def _sums(gradient: Tensor, images: Tensor, mean: Tensor, variance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Of each channel the sum of gradient * normalised image, and of the gradient."""
    rows, channels = _rows(images), images.shape[1]
    places = rows.shape[1] // channels
    means, variances = _repeated(mean, variance, places)
    # With given statistics PyTorch's own backward returns the two sums.
    _, with_normal, alone = torch.ops.aten.native_batch_norm_backward(
        _rows(gradient.contiguous(memory_format=torch.channels_last))[:, :, None, None],
        rows[:, :, None, None],
        None,
        means,
        variances,
        None,
        None,
        False,
        eps,
        [False, True, True],
    )
    return with_normal.view(places, channels).sum(0), alone.view(places, channels).sum(0)


def _applied(images: Tensor, shifts: Tensor, scales: Tensor) -> Tensor:
    """The result of shifts and scales of a row."""
    # Not a view: a layer that follows may change it in place, as nn.ReLU(inplace=True) does.
    result = torch.empty_like(images, memory_format=torch.channels_last)
    torch.addcmul(shifts, _rows(images), scales, out=_rows(result))
    return result


class _BatchNorm(torch.autograd.Function):
    """``apply(images, weight, bias, eps)``: the result, and mean and biased variance of each channel."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _statistics(images)
        inverse, shift, scale = _affine(mean, variance, weight, bias, eps)
        shifts, scales = _repeated(shift, scale, images.shape[3])
        result = _applied(images, shifts, scales)
        ctx.save_for_backward(images, mean, variance, inverse, scales)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, mean, variance, inverse, scales = ctx.saved_tensors
        rows, channels = _rows(images), images.shape[1]
        places = rows.shape[1] // channels
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_rows = _rows(gradient)
        with_normal, alone = _sums(gradient, images, mean, variance, ctx.eps)
        of_images = None
        if ctx.needs_input_grad[0]:
            # scale * (gradient - mean of it - normalised * mean of gradient * normalised), as one sum of products.
            share = scales[:channels] / -(images.numel() // channels)
            slope = (share * inverse).mul_(with_normal)
            offset = (share * alone).addcmul_(slope, mean, value=-1)
            slopes, offsets = _repeated(slope, offset, places)
            of_images = _images(torch.addcmul(offsets, rows, slopes).addcmul_(of_rows, scales), images)
        return (
            of_images,
            with_normal if ctx.needs_input_grad[1] else None,
            alone if ctx.needs_input_grad[2] else None,
            None,
        )
