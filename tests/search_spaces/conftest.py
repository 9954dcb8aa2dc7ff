"""The paper's three cells, published facts about them, and counters."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nni.nas.space import model_context
from torch import nn

# Edges that are not named are the zero operation.
LIVE_EDGES: dict[str, dict[str, dict[tuple[int, int], str]]] = {
    "mild": {
        "normal": {
            (0, 2): "sep_conv_3x3",
            (1, 2): "sep_conv_3x3",
            (0, 3): "skip_connect",
            (1, 3): "dil_conv_3x3",
            (0, 4): "skip_connect",
            (1, 4): "skip_connect",
            (0, 5): "skip_connect",
            (1, 5): "sep_conv_3x3",
        },
        "reduce": {
            (0, 2): "max_pool_3x3",
            (1, 2): "max_pool_3x3",
            (1, 3): "max_pool_3x3",
            (2, 3): "skip_connect",
            (1, 4): "max_pool_3x3",
            (2, 4): "skip_connect",
            (0, 5): "max_pool_3x3",
            (2, 5): "dil_conv_5x5",
        },
    },
    "moderate": {
        "normal": {
            (0, 2): "dil_conv_5x5",
            (1, 2): "skip_connect",
            (0, 3): "sep_conv_3x3",
            (1, 3): "skip_connect",
            (0, 4): "skip_connect",
            (1, 4): "skip_connect",
            (0, 5): "sep_conv_3x3",
            (1, 5): "dil_conv_5x5",
        },
        "reduce": {
            (0, 2): "max_pool_3x3",
            (1, 2): "max_pool_3x3",
            (0, 3): "sep_conv_5x5",
            (1, 3): "dil_conv_5x5",
            (0, 4): "sep_conv_5x5",
            (1, 4): "sep_conv_5x5",
            (0, 5): "sep_conv_5x5",
            (1, 5): "sep_conv_5x5",
        },
    },
    "aggressive": {
        "normal": {
            (0, 2): "sep_conv_5x5",
            (1, 2): "skip_connect",
            (0, 3): "skip_connect",
            (1, 3): "skip_connect",
            (0, 4): "skip_connect",
            (1, 4): "dil_conv_5x5",
            (0, 5): "skip_connect",
            (1, 5): "dil_conv_5x5",
        },
        "reduce": {(0, 2): "sep_conv_5x5", (0, 3): "sep_conv_5x5"},
    },
}


def write_out(live: dict[tuple[int, int], str]) -> list[dict[str, Any]]:
    pairs = [(source, target) for target in range(2, 6) for source in range(target)]
    return [{"from": source, "to": target, "op": live.get((source, target), "none")} for source, target in pairs]


@pytest.fixture(scope="session")
def paper_cells() -> dict[str, dict[str, list[dict[str, Any]]]]:
    return {level: {kind: write_out(live) for kind, live in kinds.items()} for level, kinds in LIVE_EDGES.items()}


@pytest.fixture(scope="session")
def count_parameters() -> Callable[[nn.Module], int]:
    return lambda module: sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="session")
def count_conv_macs() -> Callable[[nn.Module, tuple[int, ...]], int]:
    """Multiply-accumulates of the convolutions, counted while one image runs."""

    def count(module: nn.Module, image_shape: tuple[int, ...]) -> int:
        total = 0

        def add(conv: nn.Conv2d, _: Any, output: torch.Tensor) -> None:
            nonlocal total
            kernel_height, kernel_width = conv.kernel_size
            total += output.numel() * kernel_height * kernel_width * conv.in_channels // conv.groups

        handles = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, nn.Conv2d)]
        with torch.no_grad():
            module.eval()(torch.zeros(1, *image_shape))
        for handle in handles:
            handle.remove()
        return total

    return count


@pytest.fixture(scope="session")
def build_child() -> Callable[..., nn.Module]:
    """Build the child of a sample, with new weights."""

    def build(space: type, sample: dict[str, str], **arguments: Any) -> nn.Module:
        with model_context(sample):
            return space(**arguments)

    return build
