"""BatchNorm that is not slow in channels-last order on a CPU, for any network.

PyTorch's code for that order takes one pixel at a time: it is fast where the channels fill its vectors (16, 32, ...)
and up to eight times slower than in the other order where they do not (8, 24, the paper's 36). A row of pixels is a
longer vector. Here statistics are taken for each place of a row and channel, and those of a channel joined after.

On every device, what a layer returns in training is known to be made again from its input
(:mod:`snas_nni.cpu_kernels.made_again`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from snas_nni.cpu_kernels.made_again import note_made_again
from snas_nni.cpu_kernels.memory_format import is_channels_last

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
    changed = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.BatchNorm2d) and type(layer).forward is nn.BatchNorm2d.forward
    ]
    for layer in changed:
        # A method bound to the layer, which a deep copy of the layer binds to the copy.
        layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]

    def undo() -> None:
        for layer in changed:
            vars(layer).pop("forward", None)

    return undo


def _forward(layer: nn.BatchNorm2d, images: Tensor) -> Tensor:
    """``nn.BatchNorm2d.forward`` of ``(batch, channels, h, w)``."""
    slow = layer.training and _is_slow(images)
    result = _in_rows(layer, images) if slow else type(layer).forward(layer, images)
    if layer.training and result.requires_grad and images.numel() > _FEW and not torch.compiler.is_compiling():
        learned = [tensor for tensor in (layer.weight, layer.bias) if tensor is not None]
        note_made_again(result, partial(_again, slow, layer.eps), images, *learned)
    return result


def _again(slow: bool, eps: float, images: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """What the layer returned in training."""
    if slow:
        return _normalized(images, weight, bias, eps)[0]
    return functional.batch_norm(images, None, None, weight, bias, True, 0.0, eps)


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


def _normalized(
    images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The result; of each channel mean, biased variance and the inverse of its root; scales of a row."""
    rows, channels = _rows(images), images.shape[1]
    places = rows.shape[1] // channels
    means, variances = torch.batch_norm_update_stats(rows[:, :, None, None], None, None, 0.0)
    # The variance of all is the mean of the variances and the variance of the means: nothing cancels.
    variance, mean = torch.var_mean(means.view(places, channels), 0, correction=0)
    variance += variances.view(places, channels).mean(0)
    inverse = (variance + eps).rsqrt_()
    scale = inverse if weight is None else inverse * weight
    shift = (mean * scale).neg_() if bias is None else torch.addcmul(bias, mean, scale, value=-1)
    shifts, scales = _repeated(shift, scale, places)
    # Not a view: a layer that follows may change it in place, as nn.ReLU(inplace=True) does.
    result = torch.empty_like(images, memory_format=torch.channels_last)
    torch.addcmul(shifts, rows, scales, out=_rows(result))
    return result, mean, variance, inverse, scales


class _BatchNorm(torch.autograd.Function):
    """``apply(images, weight, bias, eps)``: the result, and mean and biased variance of each channel."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        result, mean, variance, inverse, scales = _normalized(images, weight, bias, eps)
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
        of_rows = _rows(gradient.contiguous(memory_format=torch.channels_last))
        # With given statistics PyTorch's own backward returns the two sums: of gradient * normalised, and of gradient.
        means, variances = _repeated(mean, variance, places)
        _, with_normal, alone = torch.ops.aten.native_batch_norm_backward(
            of_rows[:, :, None, None],
            rows[:, :, None, None],
            None,
            means,
            variances,
            None,
            None,
            False,
            ctx.eps,
            [False, True, True],
        )
        with_normal = with_normal.view(places, channels).sum(0)
        alone = alone.view(places, channels).sum(0)
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
