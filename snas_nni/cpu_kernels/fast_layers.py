"""For the time of a training: layers that PyTorch runs slowly on a CPU made fast, ReLUs shared, less kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from torch import nn

from snas_nni.cpu_kernels.batch_norm import use_fast_batch_norm
from snas_nni.cpu_kernels.depthwise import use_fast_depthwise
from snas_nni.cpu_kernels.max_pooling import use_narrow_places
from snas_nni.cpu_kernels.memory_format import ChannelsLast
from snas_nni.cpu_kernels.recomputed import use_recomputed
from snas_nni.cpu_kernels.shared_layers import share_in_passes, use_shared_relu

__all__ = ["use_fast_kernels", "use_fast_kernels_in_training"]


def use_fast_kernels(network: nn.Module) -> Callable[[], None]:
    """Quicken depthwise convolutions and BatchNorm, share ReLUs, make again what is cheap to make.

    Results and parameters stay what they are.

    Returns:
        A function that undoes it.
    """
    undo = ExitStack()
    undo.callback(use_fast_depthwise(network))
    undo.callback(use_fast_batch_norm(network))
    undo.callback(use_shared_relu(network))
    undo.callback(use_recomputed(network))
    undo.callback(use_narrow_places(network))
    return undo.close


def use_fast_kernels_in_training(
    network: nn.Module, images_of: nn.Module | None, device: str, channels_last: bool | None = None
) -> Callable[[], None]:
    """Make a network ready for a training: its layers fast, its images in the memory order that suits the device.

    Args:
        network: whose layers get fast kernels.
        images_of: the module, in ``network`` or itself, whose ``forward`` gets the images; None for none.
        device: type of the device, such as "cpu".
        channels_last: the images' memory order; None for channels-last on a CPU, if the network can run in it.

    Returns:
        A function that undoes it.
    """
    undo = ExitStack()
    if images_of is not None:
        undo.callback(share_in_passes(images_of))
    if images_of is not None and (device == "cpu" if channels_last is None else channels_last):
        undo.callback(images_of.register_forward_pre_hook(ChannelsLast(if_it_runs=channels_last is None)).remove)
    undo.callback(use_fast_kernels(network))
    return undo.close
