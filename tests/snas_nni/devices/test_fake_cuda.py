"""A step on fake CUDA tensors, which have a device and no numbers: all that a step makes is on the supernet's device.

There is no GPU here, and a test that is skipped shows nothing. A fake tensor refuses to be mixed with one of another
device, as a real one would, so that a constant made on the CPU in a forward pass is found. What asks a driver cannot be
shown: the backward pass, and recurrent layers (those of examples/sequences), which are cuDNN's.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nni.nas.hub.pytorch import DARTS, ENAS, MobileNetV3Space, NasBench201, ShuffleNetSpace
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from search_spaces import NasBench201Space, SnasCellSpace
from snas_nni import SNAS
from snas_nni.distribution import concrete

EXAMPLES = Path(__file__).parents[3] / "examples"
for _name in ("images", "tabular"):
    sys.path.append(str(EXAMPLES / _name))

from image_space import ImageSpace  # noqa: E402
from tabular_space import TabularSpace  # noqa: E402

IMAGES = (2, 3, 32, 32)
SPACES: dict[str, tuple[Callable[[], ModelSpace], tuple[int, ...]]] = {
    "SnasCellSpace": (lambda: SnasCellSpace(channels=4, cells=3), IMAGES),
    "NasBench201Space": (lambda: NasBench201Space(channels=4, cells_per_stage=1), IMAGES),
    "images": (lambda: ImageSpace(in_channels=3), IMAGES),
    "tabular": (lambda: TabularSpace(), (2, 30)),
    "DARTS": (lambda: DARTS(width=4, num_cells=3, dataset="cifar"), IMAGES),
    "ENAS": (lambda: ENAS(width=4, num_cells=3, dataset="cifar"), IMAGES),
    "NasBench201": (lambda: NasBench201(stem_out_channels=4, num_modules_per_stack=1), IMAGES),
    "ShuffleNetSpace": (lambda: ShuffleNetSpace(num_labels=4, channel_search=False), IMAGES),
    "MobileNetV3Space": (
        lambda: MobileNetV3Space(
            base_widths=(8, 8, 16, 16, 16),
            width_multipliers=(0.5, 1.0),
            expand_ratios=(1.0, 2.0),
            squeeze_excite=("none", "optional"),
            depth_range=[(1, 2)],
            stride=(2, 1, 2, 1, 1),
            activation=("hswish", "relu", "hswish", "relu", "hswish"),
        ),
        IMAGES,
    ),
}


def moved(make: Callable[[], ModelSpace], mode: FakeTensorMode) -> tuple[SNAS, ModelSpace]:
    """A supernet whose every tensor is a fake one on a GPU."""
    torch.manual_seed(0)
    strategy = SNAS()
    supernet = make()
    strategy.mutate_model(supernet)
    with mode:
        for module in (*supernet.modules(), *strategy.distribution.modules()):
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    module._parameters[name] = nn.Parameter(fake(parameter), requires_grad=parameter.requires_grad)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = fake(buffer)
    return strategy, supernet


def fake(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")


@pytest.mark.parametrize("name", SPACES)
def test_a_step_stays_on_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = SPACES[name]
    mode = FakeTensorMode()
    real = SNAS()
    real.mutate_model(make())
    numbers_of = real.distribution.draw(1.0)
    numbers_of.numbers(next(iter(numbers_of.weights)))
    strategy, supernet = moved(make, mode)
    with mode:
        monkeypatch.setattr(
            concrete, "_generator_on", lambda _device, _generator: None
        )  # a driver would have to be asked
        sample = strategy.distribution.draw(1.0)
        sample._numbers = numbers_of._numbers  # what a step reads from its device: the sample, once
        with strategy.distribution.use(sample):
            output = supernet(torch.empty(shape, device="cuda"))
        assert output.device.type == "cuda"
        assert output.requires_grad
        assert all(weights.device.type == "cuda" for weights in sample.weights.values())


def test_a_constant_of_the_cpu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LayerChoice({"one": nn.Linear(4, 4), "other": nn.Linear(4, 4)}, label="layer")

        def forward(self, inputs: Tensor) -> Tensor:
            return self.layer(inputs) + torch.ones(4)

    SPACES["careless"] = (Careless, (2, 4))
    try:
        with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu"):
            test_a_step_stays_on_the_device("careless", monkeypatch)
    finally:
        del SPACES["careless"]
