"""What a layer costs does not depend on the memory order in which it meets its images."""

import pytest
import torch
from layers_to_count import FUNCTIONS, OPERATIONS, Calling, images, layers
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn
from torch.nn import functional

from snas_nni import SNAS, Budget
from snas_nni.resources import ResourcePenalty, count_child
from snas_nni.testing import check_space


class ChannelsLastInside(nn.Module):
    """Its layer truly meets channels-last images: the counter leaves hooks of the memory order aside."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> object:
        return self.layer(*(x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x * 1 for x in inputs))


def counts(layer: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, float]:
    # In both orders a copy comes first, so that operations in place meet no input of the test.
    torch.manual_seed(0)
    return count_child(layer.eval(), tuple(x.clone() for x in inputs))


LAYERS = layers()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    layer, inputs = LAYERS[name]
    assert counts(layer, inputs) == counts(ChannelsLastInside(layer), inputs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    layer = Calling(FUNCTIONS[name])
    assert counts(layer, (images(),)) == counts(ChannelsLastInside(layer), (images(),))


@pytest.mark.parametrize("code", OPERATIONS)
def test_operation(code: str) -> None:
    layer = Calling(eval(f"lambda x: {code}", {"torch": torch, "functional": functional}))  # noqa: S307  our own table
    assert counts(layer, (images(),)) == counts(ChannelsLastInside(layer), (images(),))


def test_what_is_counted_of_a_linear_layer_in_both_orders() -> None:
    layer = nn.Linear(8, 4)
    for network in (layer, ChannelsLastInside(layer)):
        found = counts(network, (images(),))
        assert found["macs"] == 64 * 8 * 4
        assert found["memory_access"] == 64 * 8 + 8 * 4 + 4 + 64 * 4


def test_a_sum_with_what_is_no_bias_stays_free() -> None:
    layer = Calling(lambda x: x @ torch.ones(8, 4) + x[0, 0, 0, :4])
    assert counts(layer, (images(),)) == counts(Calling(lambda x: x @ torch.ones(8, 4)), (images(),))


class Squeezing(ModelSpace):
    """Squeeze-and-excite on RGB, and a head after pooling, as in most residual networks."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.Sigmoid())
        self.body = LayerChoice(
            {"conv": nn.Conv2d(width, width, 3, padding=1), "point": nn.Conv2d(width, width, 1)}, label="body"
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.body(x * self.squeeze(x)))


class Viewing(Squeezing):
    """``view`` of images: PyTorch refuses it in channels-last order."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8 * 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x))
        return self.head(x.view(x.size(0), -1))


@pytest.mark.parametrize("space", [Squeezing, Viewing])
@pytest.mark.parametrize("wish", ["budget", "penalty", "latency"])
def test_search_on_rgb_with_pooling(tools, space: type[ModelSpace], wish: str) -> None:
    arguments = {
        "budget": {"budget": Budget(macs=40_000)},
        "penalty": {"regularizers": [ResourcePenalty(weight=1e-3)]},
        "latency": {"regularizers": [ResourcePenalty({"latency_ms": 1.0})]},
    }[wish]
    strategy = SNAS(seed=0, **arguments)
    tools.search(space(), strategy, shape=(3, 8, 8), classes=4, count=16)
    sample, child = strategy.derive()
    counted = count_child(child, torch.zeros(1, 3, 8, 8))
    found = strategy.cost_model().of(sample)
    assert all(found[name] == counted[name] for name in ("params", "macs", "memory_access"))


def test_check_space_counts_what_a_search_counts() -> None:
    report = check_space(Squeezing, lambda: torch.rand(2, 3, 8, 8), export=False)
    assert "cost" in report.passed


def test_check_space_meets_the_order_of_a_search() -> None:
    orders = []

    def make() -> ModelSpace:
        space = Squeezing()
        space.stem.register_forward_pre_hook(
            lambda module, args: orders.append(args[0].is_contiguous(memory_format=torch.channels_last))
        )
        return space

    report = check_space(make, lambda: torch.rand(2, 3, 8, 8), export=False, raise_on_failure=False)
    assert report.passed[:3] == ["search", "cost", "derive"]
    assert any(orders)
