"""What single operations cost: against PyTorch's own counter, and against formulas worked out by hand."""

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from snas_nni import SnasError, resources
from snas_nni.resources import Convention, register_operation
from snas_nni.resources.operations import macs, names

EVERYTHING, PAPER = Convention(), Convention.paper()


def count_child(*arguments):
    """Without the bytes of the weights, which follow from the parameters and are tested with memory."""
    costs = resources.count_child(*arguments)
    return {name: cost for name, cost in costs.items() if not name.endswith("_bytes")}


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def flops(module, *inputs):
    """Twice the MACs of convolutions, matrix products and attention, by PyTorch."""
    module.eval()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # Attention as matrix products: PyTorch's counter does not know its fused form on a CPU.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
            module(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter.get_total_flops()


@st.composite
def convolutions(draw):
    dimensions = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    transposed = draw(st.booleans())
    kinds = (
        [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
        if transposed
        else [nn.Conv1d, nn.Conv2d, nn.Conv3d]
    )
    module = kinds[dimensions - 1](
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)),
        kernel,
        stride,
        padding=draw(st.integers(0, 2)),
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
    sides = [draw(st.integers(4, 9)) for _ in range(dimensions)]
    return module, torch.zeros(draw(st.integers(1, 2)), module.in_channels, *sides)


@given(convolutions())
@settings(max_examples=150)
def test_convolutions(case):
    module, x = case
    try:
        module(x)
    except RuntimeError:  # a kernel larger than the padded input
        assume(False)
    assert 2 * count_child(module, x)["macs"] == flops(module, x)


@given(convolutions())
@settings(max_examples=60)
def test_memory_access_of_a_convolution_is_input_output_and_parameters(case):
    module, x = case
    try:
        y = module(x)
    except RuntimeError:
        assume(False)
    costs = count_child(module, x)
    assert costs["params"] == sum(p.numel() for p in module.parameters())
    assert costs["memory_access"] == x.numel() + y.numel() + costs["params"]
    assert costs["activation_peak"] == x.numel() + y.numel()


X = torch.zeros(2, 5, 8)
"""Two sequences of five tokens of eight numbers."""


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.Linear(8, 3), (X,)),
        (nn.Linear(8, 3, bias=False), (X,)),
        (nn.Linear(8, 3), (X.transpose(0, 1),)),
        (nn.RNN(8, 4, batch_first=True), (X,)),
        (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (X, X)),
        (Calls(lambda x: torch.einsum("bij,bkj->bik", x, x)), (X,)),
        (Calls(lambda x: torch.baddbmm(x @ x.mT, x, x.mT)), (X,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_matrix_products(module, inputs):
    counted = count_child(module, inputs)["macs"]
    if isinstance(module, nn.TransformerDecoderLayer):
        counted -= 3 * X.numel()  # three LayerNorms, one for each element
    assert 2 * counted == flops(module, *inputs)


def test_products_with_a_vector():
    """PyTorch's counter does not know these."""
    x = X[0]
    assert count_child(nn.Linear(8, 3), x[0])["macs"] == 24
    assert count_child(Calls(lambda x: x @ x[0]), x)["macs"] == 40
    assert count_child(Calls(lambda x: torch.addmv(x[:, 0], x, x[0])), x)["macs"] == 40
    assert count_child(Calls(lambda x: x[0] @ x[1]), x)["macs"] == 8


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_multihead_attention(need_weights, dtype):
    module = nn.MultiheadAttention(8, 2, batch_first=True).to(dtype)
    x = X.to(dtype)
    projections, scores = 2 * 5 * 8 * (24 + 8), 2 * (2 * 2 * 5 * 5 * 4)
    average_over_heads = 2 * 2 * 5 * 5 if need_weights else 0

    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = module

        def forward(self, x):
            return self.attention(x, x, x, need_weights=need_weights)[0]

    assert count_child(Attends(), x)["macs"] == projections + scores + average_over_heads
    assert flops(Attends(), x) == 2 * (projections + scores)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention(dtype, causal):
    query = torch.zeros(2, 3, 7, 4, dtype=dtype)
    key, value = torch.zeros(2, 3, 5, 4, dtype=dtype), torch.zeros(2, 3, 5, 4, dtype=dtype)
    module = Calls(lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=causal))
    assert count_child(module, (query, key, value))["macs"] == 2 * 3 * 7 * 5 * (4 + 4)
    assert flops(module, query, key, value) == 2 * 2 * 3 * 7 * 5 * (4 + 4)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers(kind, layers, bidirectional):
    """Every token meets every weight once; float32 LSTMs are one fused call, which must count the same."""
    module = kind(8, 4, layers, batch_first=True, bidirectional=bidirectional)
    weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
    assert count_child(module, X)["macs"] == 2 * 5 * weights
    double = copy.deepcopy(module).double()
    assert count_child(double, X.double())["macs"] == 2 * 5 * weights
    assert flops(double, X.double()) == 2 * 2 * 5 * weights


IMAGES = torch.zeros(2, 4, 12, 9)


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
@pytest.mark.parametrize(("kernel", "window"), [(3, 9), ((2, 3), 6)])
@pytest.mark.parametrize("convention", [EVERYTHING, PAPER])
def test_pooling(pool, kernel, window, convention):
    outputs = pool(kernel)(IMAGES).numel()
    costs = count_child(pool(kernel), IMAGES, convention)
    assert costs == {
        "params": 0,
        "macs": window * outputs,
        "memory_access": IMAGES.numel() + outputs,
        "activation_peak": IMAGES.numel() + outputs,
    }


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
def test_adaptive_pooling_reads_each_input_once(pool, side):
    costs = count_child(pool(side), IMAGES)
    assert costs["macs"] == IMAGES.numel()
    assert costs["memory_access"] == IMAGES.numel() + 2 * 4 * side**2


@pytest.mark.parametrize(
    ("norm", "parameters", "reads"),
    [
        (nn.BatchNorm2d(4), 8, 16),  # weight, bias, running mean, running variance
        (nn.BatchNorm2d(4, affine=False), 0, 8),
        (nn.BatchNorm2d(4, track_running_stats=False), 8, 8),
        (nn.GroupNorm(2, 4), 8, 8),
        (nn.LayerNorm(9), 18, 18),
        (nn.LayerNorm(9, elementwise_affine=False), 0, 0),
    ],
)
def test_normalisation(norm, parameters, reads):
    n = IMAGES.numel()
    assert count_child(norm, IMAGES) == {
        "params": parameters,
        "macs": n,
        "memory_access": 2 * n + reads,
        "activation_peak": 2 * n,
    }
    assert count_child(norm, IMAGES, PAPER) == dict.fromkeys(("params", "macs", "memory_access", "activation_peak"), 0)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(),
        nn.Hardtanh(), nn.Hardswish(), nn.Hardsigmoid(), nn.ELU(), nn.Softplus(), nn.Mish(), nn.Softmax(1),
        nn.LogSoftmax(1), nn.CELU(), nn.SELU(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.0, 0.0),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_activations_move_elements_and_multiply_nothing(activation):
    n = IMAGES.numel()
    assert count_child(activation, IMAGES.clone()) == {
        "params": 0,
        "macs": 0,
        "memory_access": 2 * n,
        "activation_peak": 2 * n,
    }
    assert count_child(activation, IMAGES.clone(), PAPER)["memory_access"] == 0


def test_a_gate_reads_more_than_it_writes():
    assert count_child(nn.GLU(1), IMAGES)["memory_access"] == 1.5 * IMAGES.numel()


def test_identity_reads_and_passes_on():
    n = IMAGES.numel()
    costs = {"params": 0, "macs": 0, "memory_access": 2 * n, "activation_peak": 2 * n}
    assert count_child(nn.Identity(), IMAGES) == count_child(nn.Identity(), IMAGES, PAPER) == costs


@pytest.mark.parametrize(
    "module",
    [
        nn.Flatten(), nn.Dropout(0.5), nn.PixelShuffle(2), nn.PixelUnshuffle(3), nn.ZeroPad2d(1),
        nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.CircularPad2d(1), nn.ChannelShuffle(2), nn.Unfold(3),
        nn.Upsample(scale_factor=2), Calls(lambda x: torch.cat([x, x], 1).sum(1) + x.std(1)),
        Calls(lambda x: functional.normalize(x.transpose(1, 2).reshape(2, 12, -1), dim=1)),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_sums_and_movement_of_data_are_free(module):
    costs = count_child(module, IMAGES)
    assert costs == dict.fromkeys(("params", "macs", "memory_access", "activation_peak"), 0)


def test_a_mean_reads_each_element_once():
    costs = count_child(Calls(lambda x: x.mean((2, 3))), IMAGES)
    assert costs["macs"] == IMAGES.numel()
    assert costs["memory_access"] == IMAGES.numel() + 2 * 4


@pytest.mark.parametrize(("mode", "products"), [("linear", 2), ("bilinear", 4), ("bicubic", 16), ("trilinear", 8)])
def test_interpolation_multiplies_by_its_neighbours(mode, products):
    dimensions = {"linear": 1, "trilinear": 3}.get(mode, 2)
    x = torch.zeros(2, 3, *[4] * dimensions)
    assert count_child(nn.Upsample(scale_factor=2, mode=mode), x)["macs"] == products * 2 * 3 * 8**dimensions


def test_weights_are_no_activations():
    """A classifier's matrix is larger than all it reads; the peak is of what flows."""
    assert count_child(nn.Linear(100, 1000), torch.zeros(1, 100))["activation_peak"] == 1100
    assert count_child(nn.Linear(100, 1000).double(), torch.zeros(3, 2, 100).double())["activation_peak"] == 6600
    recurrent = nn.GRU(8, 64, batch_first=True)
    assert count_child(recurrent, X)["activation_peak"] < min(
        p.numel() for n, p in recurrent.named_parameters() if "weight_hh" in n
    )
    norm_only_buffers = nn.BatchNorm1d(1000).eval()
    assert count_child(norm_only_buffers, torch.zeros(1, 1000))["activation_peak"] == 2000


def test_counting_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Identity())
    network[1].eval()
    before = copy.deepcopy(network.state_dict())
    state, modes = torch.get_rng_state(), [module.training for module in network.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    count_child(network, IMAGES)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled() == fast_path
    assert torch.is_grad_enabled()
    assert not network[3]._forward_hooks
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.fixture
def _restored():
    tables = [macs.HANDLERS, names.FREE, names.NORMALIZATION, names.ACTIVATION]
    before = [copy.copy(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


FOURIER = Calls(lambda x: torch.fft.fft(x).real)
GRID = Calls(lambda x: functional.grid_sample(x, torch.zeros(2, 5, 5, 2), align_corners=False))


@pytest.mark.usefixtures("_restored")
def test_an_unknown_operation_is_refused_by_name_and_can_be_taught():
    with pytest.raises(SnasError, match=r"_fft_r2c.*register_operation"):
        count_child(FOURIER, IMAGES)
    register_operation("_fft_r2c", lambda args, result: 4.0 * result.numel())
    assert count_child(FOURIER, IMAGES)["macs"] == 4 * IMAGES.numel()
    assert count_child(FOURIER, IMAGES)["memory_access"] == 2 * IMAGES.numel()


def test_sampling_at_places_of_a_grid_takes_four_pixels_each():
    assert count_child(GRID, IMAGES)["macs"] == 4 * 2 * 4 * 25
    assert count_child(GRID, IMAGES)["memory_access"] == IMAGES.numel() + 2 * 5 * 5 * 2 + 2 * 4 * 25


@pytest.mark.usefixtures("_restored")
def test_an_operation_can_be_declared_free():
    register_operation("grid_sampler_2d", None)
    assert count_child(GRID, IMAGES) == dict.fromkeys(("params", "macs", "memory_access", "activation_peak"), 0)


@pytest.mark.usefixtures("_restored")
def test_teaching_replaces_what_was_known():
    register_operation("cat", lambda args, result: float(result.numel()))
    joins = Calls(lambda x: torch.cat([x, x]))
    assert count_child(joins, IMAGES)["macs"] == 2 * IMAGES.numel()
    register_operation("convolution", None)
    assert count_child(nn.Conv2d(4, 4, 3, bias=False), IMAGES)["macs"] == 0
    register_operation("relu", lambda args, result: 1.0)
    assert count_child(nn.ReLU(), IMAGES)["macs"] == 1


def test_all_unknown_operations_are_named_at_once():
    module = Calls(lambda x: torch.fft.fft(torch.linalg.pinv(x)).real)
    with pytest.raises(SnasError) as caught:
        count_child(module, IMAGES)
    for name in ("linalg_pinv", "_fft_r2c", "macs=None"):
        assert name in str(caught.value)
