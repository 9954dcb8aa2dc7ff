"""BatchNorm that takes rows of pixels gives outputs, gradients and statistics of ``nn.BatchNorm2d``."""

import copy

import pytest
import torch
from nni.nas.nn.pytorch import MutableBatchNorm2d
from torch import nn

from snas_nni.cpu_kernels import batch_norm
from snas_nni.cpu_kernels.batch_norm import _BatchNorm, use_fast_batch_norm

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.fixture
def at_any_size(monkeypatch):
    monkeypatch.setattr(batch_norm, "_FEW", 0)


@pytest.fixture
def calls(monkeypatch):
    """The inputs that went our way."""
    found = []
    original = _BatchNorm.apply
    monkeypatch.setattr(_BatchNorm, "apply", lambda *args: found.append(args[0]) or original(*args))
    return found


def pair(*args, dtype=torch.float64, kind=nn.BatchNorm2d, **kwargs):
    """Ours and PyTorch's own, with equal random parameters."""
    plain = kind(*args, **kwargs).to(dtype)
    if plain.affine:
        nn.init.uniform_(plain.weight, 0.5, 2)
        nn.init.uniform_(plain.bias, -1, 1)
    ours = copy.deepcopy(plain)
    use_fast_batch_norm(ours)
    return ours, plain


def images(*shape, dtype=torch.float64, mean=0.0):
    return (torch.randn(*shape, dtype=dtype) + mean).contiguous(memory_format=torch.channels_last)


def outcome(layer, x, factor):
    """Output, all gradients, all buffers."""
    x = x.detach().clone().requires_grad_()
    layer.zero_grad()
    output = layer(x)
    (output * factor).sum().backward()
    return [output.detach(), x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()]


def assert_equal(found, expected, tolerance=1e-12):
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_a_layer_that_follows_may_change_the_result_in_place(at_any_size, calls):
    ours, plain = pair(3)
    x, factor = images(2, 3, 4, 5), images(2, 3, 4, 5)
    behind = [nn.Sequential(layer, nn.ReLU6(inplace=True)) for layer in (ours, plain)]
    assert_equal(*(outcome(each, x, factor) for each in behind))
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (3, 8, 5, 7), (1, 20, 6, 1), (2, 36, 1, 3), (5, 2, 2, 2)])
def test_equals_the_plain_layer(at_any_size, calls, shape, affine, dtype):
    ours, plain = pair(shape[1], affine=affine, dtype=dtype)
    for _ in range(3):  # the statistics of one batch mix with those of the last
        x, factor = images(*shape, dtype=dtype), images(*shape, dtype=dtype)
        assert_equal(outcome(ours, x, factor), outcome(plain, x, factor), TOLERANCES[dtype])
    # PyTorch knows an image of one pixel's width in both orders, and then both are fast.
    assert bool(calls) is not x.is_contiguous()


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": None},
        {"momentum": 0.0},
        {"momentum": 1.0},
        {"track_running_stats": False},
        {"eps": 0.3},
    ],
)
def test_equals_it_with_every_option(at_any_size, calls, options):
    ours, plain = pair(5, **options)
    for _ in range(3):
        x, factor = images(2, 5, 4, 3), images(2, 5, 4, 3)
        assert_equal(outcome(ours, x, factor), outcome(plain, x, factor))
    assert len(calls) == 3


def test_a_mean_far_from_zero_costs_no_more_digits_than_in_float32_anyway(at_any_size):
    ours, plain = pair(6, affine=False, dtype=torch.float32)
    exact = copy.deepcopy(plain).double()
    x, factor = images(8, 6, 16, 16, dtype=torch.float32, mean=300.0), images(8, 6, 16, 16, dtype=torch.float32)
    truth = outcome(exact, x.double(), factor.double())
    errors = [
        [float((f.double() - t).abs().max()) for f, t in zip(outcome(layer, x, factor), truth, strict=True)]
        for layer in (ours, plain)
    ]
    # float32 of numbers near 300 is off by 3e-5; outputs of unit variance inherit a few of those.
    assert errors[0][0] < max(3e-4, 3 * errors[1][0])
    assert errors[0][1] < max(3e-4, 3 * errors[1][1])


def test_the_gradient_may_come_in_the_other_order(at_any_size, calls):
    ours, plain = pair(3)
    x, factor = images(2, 3, 4, 5), torch.randn(2, 3, 4, 5, dtype=torch.float64)
    assert_equal(outcome(ours, x, factor), outcome(plain, x, factor))
    assert calls


def test_gradients_agree_with_finite_differences(at_any_size):
    ours, _ = pair(3, track_running_stats=False)
    x = images(2, 3, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w, b: _BatchNorm.apply(x, w, b, 1e-5)[0], (x, ours.weight, ours.bias))


def test_frozen_parameters_get_no_gradient(at_any_size):
    ours, plain = pair(3)
    for layer in (ours, plain):
        layer.weight.requires_grad_(False)
    x, factor = images(2, 3, 4, 4), images(2, 3, 4, 4)
    found, expected = outcome(ours, x, factor), outcome(plain, x, factor)
    assert found.pop(2) is None
    assert expected.pop(2) is None
    assert_equal(found, expected)


def test_output_and_gradient_keep_the_memory_order(at_any_size):
    ours, _ = pair(3)
    x = images(2, 3, 4, 5).requires_grad_()
    output = ours(x)
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert torch.autograd.grad(output.sum(), x)[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("channels", "make"),
    [
        (3, lambda: torch.randn(2, 3, 4, 4)),  # the other order
        (32, lambda: images(2, 32, 4, 4, dtype=torch.float32)),  # channels fill the vectors
    ],
)
def test_what_is_fast_already_goes_the_plain_way(at_any_size, calls, channels, make):
    ours, plain = pair(channels, dtype=torch.float32)
    x = make()
    assert torch.equal(ours(x), plain(x))
    assert not calls


def test_small_images_go_the_plain_way(calls):
    ours, _ = pair(3)
    ours(images(2, 3, 4, 4))
    assert not calls


def test_evaluation_goes_the_plain_way(at_any_size, calls):
    ours, plain = pair(3)
    x = images(2, 3, 4, 4)
    assert torch.equal(ours.eval()(x), plain.eval()(x))
    assert not calls


def test_bfloat16_goes_the_plain_way(at_any_size, calls):
    ours, plain = pair(3, dtype=torch.float32)
    x = images(2, 3, 4, 4, dtype=torch.float32).bfloat16()
    assert torch.equal(ours(x), plain(x))
    assert not calls


def test_a_single_value_is_refused_as_ever(at_any_size):
    ours, _ = pair(3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours(images(1, 3, 1, 1))


def test_nni_layers_are_quickened_too(at_any_size, calls):
    ours, plain = pair(3, kind=MutableBatchNorm2d)
    x, factor = images(2, 3, 4, 4), images(2, 3, 4, 4)
    assert_equal(outcome(ours, x, factor), outcome(plain, x, factor))
    assert calls


def test_a_layer_with_a_forward_of_its_own_keeps_it():
    class Other(nn.BatchNorm2d):
        def forward(self, x):
            return x + 1

    layer = Other(3)
    use_fast_batch_norm(layer)
    assert torch.equal(layer(torch.zeros(1, 3, 2, 2)), torch.ones(1, 3, 2, 2))


def test_a_deep_copy_has_weights_and_statistics_of_its_own(at_any_size, calls):
    ours, _ = pair(3)
    other = copy.deepcopy(ours)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.fill_(7)
    before = ours.running_mean.clone()
    assert torch.equal(other(images(2, 3, 4, 4, mean=5.0)), torch.full((2, 3, 4, 4), 7.0, dtype=torch.float64))
    assert calls
    assert torch.equal(ours.running_mean, before)
    assert not torch.equal(other.running_mean, before)


def test_it_can_be_undone(at_any_size, calls):
    layer = nn.BatchNorm2d(3)
    undo = use_fast_batch_norm(nn.Sequential(layer))
    undo()
    undo()  # twice harms nothing
    layer(images(2, 3, 4, 4, dtype=torch.float32))
    assert not calls
    assert "forward" not in vars(layer)
