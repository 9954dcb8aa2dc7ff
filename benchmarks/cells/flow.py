"""How much a network could carry, from new weights and without an image: the synaptic flow of a cell."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from search_spaces import NasBench201Space, from_arch_string
from trials.bench.settings import NasBench201Settings

__all__ = ["positive_network", "synaptic_flow"]


def synaptic_flow(arch: str, cells_per_stage: int, settings: NasBench201Settings, seed: int = 0) -> float:
    """Logarithm of the sum of ``w dR/dw`` over the weights of all layers, where R sums the outputs of an image of ones.

    All weights are made positive first, and BatchNorm passes its input on, so that no signal is lost (Tanaka et al.,
    Pruning Neural Networks without any Data by Iteratively Conserving Synaptic Flow, NeurIPS 2020; as a score of
    architectures Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021). It grows with the weights on
    the paths through a cell: a score of its size, blind to how well it trains. In float64.

    Args:
        arch: the benchmark's string.
        cells_per_stage: of the network.
        settings: channels and image size.
        seed: of the weights.

    Returns:
        Minus infinity where no path leads from the image to the outputs.
    """
    network = positive_network(arch, cells_per_stage, settings, seed)
    size = settings.data.image_size or 32
    network(torch.ones(1, 3, size, size, dtype=torch.float64)).sum().backward()
    weights = [each for each in network.parameters() if each.ndim > 1 and each.grad is not None]
    flow = sum(float((each * each.grad).sum()) for each in weights)
    return math.log(flow) if flow > 0 else -math.inf


def positive_network(arch: str, cells_per_stage: int, settings: NasBench201Settings, seed: int = 0) -> Any:
    """The network of a cell in float64, all weights positive, whose BatchNorm passes its input on.

    Args:
        arch: see :func:`synaptic_flow`, as all that follow.
        cells_per_stage: of the network.
        settings: channels.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    space = NasBench201Space(channels=settings.channels, cells_per_stage=cells_per_stage, affine=False)
    network: Any = space.freeze(from_arch_string(arch)).double().eval()  # new BatchNorm in eval() passes its input on
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
            if parameter.ndim == 4:
                nn.init.kaiming_normal_(parameter).abs_()
    return network
