"""A child has the supernet's data types, tensor by tensor: a network may mix them on purpose."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, MutableLinear
from torch import nn

from snas_nni import derive_child


class Fourier(nn.Module):
    """Multiplies the spectrum of an image by complex weights."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(3, 8, 5, dtype=torch.complex64))

    def forward(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x.float()) * self.filter, s=x.shape[-2:]).to(x.dtype)


class Mixed(ModelSpace):
    """Complex parameters, tables of several types, layers whose size is searched, and a cell."""

    def __init__(self):
        super().__init__()
        channels = nni.choice("channels", [2, 4])
        self.stem = MutableConv2d(3, channels, 3, padding=1)
        self.norm = MutableBatchNorm2d(channels)
        self.back = MutableConv2d(channels, 3, 1)
        self.fixed = Fourier()
        self.op = LayerChoice({"fourier": Fourier(), "conv": nn.Conv2d(3, 3, 1)}, label="op")
        operations = {"fourier": lambda *_: Fourier(), "conv": lambda *_: nn.Conv2d(3, 3, 1)}
        self.cell = Cell(operations, 1, 1, 1, label="cell")
        self.register_buffer("third", torch.tensor(1 / 3, dtype=torch.float64))
        self.register_buffer("mask", torch.ones(3, 1, 1, dtype=torch.bool))
        self.register_buffer("unsaved", torch.tensor(1 / 7, dtype=torch.float64), persistent=False)
        self.head = MutableLinear(3, nni.choice("classes", [4, 5]))

    def forward(self, x):
        x = self.back(self.norm(self.stem(x)))
        x = self.cell([self.op(self.fixed(x))]) * self.third * self.unsaved * self.mask
        return self.head(x.to(self.head.weight.dtype).mean((2, 3)))


SAMPLES = [
    {"channels": 2, "op": "fourier", "classes": 4, "cell/op_1_0": "fourier", "cell/input_1_0": [0]},
    {"channels": 4, "op": "conv", "classes": 5, "cell/op_1_0": "conv", "cell/input_1_0": [0]},
]


def as_it_is(space):
    return space


def in_double(space):
    """In float64 but for the spectra, with weights that float32 does not have."""
    for name, tensor in [*space.named_parameters(), *space.named_buffers()]:
        if tensor.dtype == torch.float32:
            tensor.data = tensor.data.double() + (1e-12 if "num_batches" not in name else 0)
    return space


def half_behind_a_norm(space):
    """Convolutions in bfloat16, normalization in float32, as mixed networks are kept."""
    for module in space.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.bfloat16()
    return space


@pytest.mark.parametrize("sample", SAMPLES, ids=["fourier", "conv"])
@pytest.mark.parametrize("prepare", [as_it_is, in_double])
def test_the_child_is_the_supernet_at_its_sample(tools, prepare, sample):
    strategy, supernet = tools.mutate(Mixed())
    supernet = prepare(supernet).eval()
    child = derive_child(supernet, sample).eval()
    inputs = torch.randn(2, 3, 8, 8, dtype=supernet.stem.weight.dtype)
    expected = tools.run_at(strategy.distribution, supernet, sample, inputs)
    assert torch.equal(child(inputs), expected)
    types = {"third": torch.float64, "mask": torch.bool, "fixed.filter": torch.complex64}
    if sample["op"] == "fourier":
        types |= {"op.filter": torch.complex64, "cell.ops.0.0.filter": torch.complex64}
    state = child.state_dict()
    for name, tensor in state.items():
        usual = torch.int64 if name.endswith("num_batches_tracked") else supernet.stem.weight.dtype
        assert tensor.dtype == types.get(name, usual), name
    assert set(types) <= set(state)
    assert child.unsaved.dtype == torch.float64


def test_a_layer_whose_size_is_searched_keeps_two_precisions(tools):
    _, supernet = tools.mutate(Mixed())
    supernet = half_behind_a_norm(supernet)
    for sample in SAMPLES:
        child = derive_child(supernet, sample)
        assert child.stem.weight.dtype == child.head.bias.dtype == torch.bfloat16
        assert child.norm.weight.dtype == child.norm.running_var.dtype == torch.float32


def test_a_float64_statistic_beside_weights_of_half_precision(tools):
    _, supernet = tools.mutate(Mixed())
    supernet.norm.bfloat16()
    supernet.norm.running_mean.data = torch.full((4,), 1 / 3, dtype=torch.float64)
    child = derive_child(supernet, SAMPLES[0])
    assert child.norm.weight.dtype == torch.bfloat16
    assert child.norm.running_mean.tolist() == [1 / 3, 1 / 3]
