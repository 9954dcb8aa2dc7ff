"""A depthwise convolution with its own way to the gradients gives those of ``nn.Conv2d``."""

import copy
import itertools

import pytest
import torch
from nni.nas.nn.pytorch import MutableConv2d
from torch import nn

from snas_nni.cpu_kernels.depthwise import _DepthwiseConvolution, use_fast_depthwise

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
SHAPES = list(itertools.product((3, 5), (1, 2), (1, 2)))  # kernel, stride, dilation


def plain_layer(channels, kernel, stride=1, dilation=1, bias=False):
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=bias)


def fast_layer(*args, **kwargs):
    layer = plain_layer(*args, **kwargs)
    use_fast_depthwise(layer)
    return layer


def pair(kernel, stride, dilation, channels=3, dtype=torch.float64):
    """Ours and PyTorch's own, with the same weights."""
    ours = fast_layer(channels, kernel, stride, dilation).to(dtype)
    plain = plain_layer(channels, kernel, stride, dilation).to(dtype)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def output_and_gradients(layer, x, factor, *, of_input=True, of_weight=True):
    x = x.detach().clone().requires_grad_(of_input)
    layer.weight.requires_grad_(of_weight)
    layer.weight.grad = None
    output = layer(x)
    (output * factor).sum().backward()
    return output.detach(), x.grad, layer.weight.grad


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize(("kernel", "stride", "dilation"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_equals_the_plain_convolution(kernel, stride, dilation, memory_format, dtype, tolerance):
    ours, plain = pair(kernel, stride, dilation, dtype=dtype)
    for batch, height, width in [(2, 8, 8), (1, 7, 5), (3, 9, 4), (2, 1, 1), (1, 2, 3), (2, 1, 6)]:
        x = torch.randn(batch, 3, height, width, dtype=dtype).contiguous(memory_format=FORMATS[memory_format])
        factor = torch.randn_like(plain(x)).contiguous(memory_format=FORMATS[memory_format])
        expected = output_and_gradients(plain, x, factor)
        found = output_and_gradients(ours, x, factor)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("side", range(1, 10))
def test_equals_it_at_every_small_size(side):
    for kernel, stride, dilation in SHAPES:
        ours, plain = pair(kernel, stride, dilation)
        x = torch.randn(1, 3, side, side, dtype=torch.float64)
        factor = torch.randn_like(plain(x))
        for mine, theirs in zip(
            output_and_gradients(ours, x, factor), output_and_gradients(plain, x, factor), strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), SHAPES)
@pytest.mark.parametrize(("of_input", "of_weight"), [(True, False), (False, True)])
def test_gives_only_the_gradient_that_is_asked_for(kernel, stride, dilation, of_input, of_weight):
    ours, plain = pair(kernel, stride, dilation)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    factor = torch.randn_like(plain(x))
    sides = {"of_input": of_input, "of_weight": of_weight}
    found, expected = (output_and_gradients(layer, x, factor, **sides) for layer in (ours, plain))
    assert (found[1] is None) is not of_input
    assert (found[2] is None) is not of_weight
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("layer", [plain_layer(3, 3, 2, 2), nn.Conv2d(3, 4, 1, 2)], ids=["dilated", "1x1"])
def test_with_stride_2_the_gradient_keeps_the_memory_order(layer, memory_format):
    use_fast_depthwise(layer)
    x = torch.randn(2, 3, 7, 6).contiguous(memory_format=FORMATS[memory_format]).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sum(), x)
    assert gradient.is_contiguous(memory_format=FORMATS[memory_format])


@pytest.mark.parametrize(("kernel", "stride", "dilation"), SHAPES)
def test_gradients_are_those_of_finite_differences(kernel, stride, dilation):
    layer = fast_layer(2, kernel, stride, dilation).double()
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)

    def run(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.weight))


@pytest.mark.parametrize(("kernel", "stride", "dilation"), SHAPES)
def test_under_autocast_the_gradients_have_the_precision_of_bfloat16(kernel, stride, dilation):
    ours, plain = pair(kernel, stride, dilation, channels=4, dtype=torch.float32)
    x = torch.randn(4, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = ours(x)
    assert output.dtype == torch.bfloat16
    factor = torch.randn_like(plain(x))
    (output * factor).sum().backward()
    expected = output_and_gradients(plain, x, factor)
    assert x.grad.dtype == ours.weight.grad.dtype == torch.float32
    for mine, theirs in zip((output.float(), x.grad, ours.weight.grad), expected, strict=True):
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def test_the_weight_gradient_of_a_large_batch_does_not_lose_images_to_bfloat16():
    """Equal images: a running sum in 8 bits of mantissa would stop growing at 256 times the first term."""
    weight = torch.ones(1, 1, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        _DepthwiseConvolution.apply(torch.ones(1024, 1, 1, 1), weight, 1).sum().backward()
    assert weight.grad[0, 0, 2, 2] == 1024


class TestWhereItIsUsed:
    @pytest.fixture
    def calls(self, monkeypatch):
        found = []
        original = _DepthwiseConvolution.apply
        monkeypatch.setattr(_DepthwiseConvolution, "apply", lambda *args: found.append(args) or original(*args))
        return found

    def test_with_gradients(self, calls):
        fast_layer(3, 5)(torch.randn(1, 3, 6, 6))
        assert len(calls) == 1

    def test_not_without(self, calls):
        layer, x = fast_layer(3, 5), torch.randn(1, 3, 6, 6)
        with torch.no_grad():
            quiet = layer(x)
        assert not calls
        torch.testing.assert_close(quiet, layer(x))

    def test_not_where_pytorch_is_as_fast(self, calls):
        fast_layer(3, 3)(torch.randn(1, 3, 6, 6))
        fast_layer(3, 5, stride=2)(torch.randn(1, 3, 6, 6))
        assert not calls

    def test_in_layers_of_nni(self, calls):
        layer = MutableConv2d(3, 3, 5, padding=2, groups=3)
        use_fast_depthwise(layer)
        layer(torch.randn(1, 3, 6, 6))
        assert len(calls) == 1

    @pytest.mark.parametrize(
        "layer",
        [
            nn.Conv2d(3, 3, 5, padding=2),
            nn.Conv2d(4, 8, 5, padding=2, groups=4),
            nn.Conv2d(3, 3, 5, padding=1, groups=3),
            nn.Conv2d(3, 3, 5, padding="same", groups=3),
            nn.Conv2d(3, 3, (5, 3), padding=(2, 1), groups=3),
            nn.Conv2d(3, 3, 4, padding=2, groups=3),
            nn.Conv2d(3, 3, 5, padding=2, groups=3, padding_mode="reflect"),
            nn.Conv2d(3, 3, 3, padding=3, dilation=3, stride=2, groups=3),
        ],
        ids=["dense", "wider", "smaller", "padding by name", "not square", "even", "reflected", "stride"],
    )
    def test_not_for_other_geometry(self, calls, layer):
        x = torch.randn(1, layer.in_channels, 9, 9)
        before = layer(x)
        use_fast_depthwise(layer)
        assert torch.equal(layer(x), before)
        assert not calls

    def test_not_after_it_is_undone(self, calls):
        network = nn.Sequential(plain_layer(3, 5), nn.ReLU(), plain_layer(3, 3, dilation=2))
        state = set(vars(network[0]))
        undo = use_fast_depthwise(network)
        undo()
        undo()
        network(torch.randn(1, 3, 6, 6))
        assert not calls
        assert set(vars(network[0])) == state

    def test_in_a_deep_copy_with_its_own_weights(self, calls):
        first = fast_layer(3, 5)
        second = copy.deepcopy(first)
        with torch.no_grad():
            second.weight.mul_(2)
        x = torch.randn(1, 3, 6, 6)
        torch.testing.assert_close(second(x), 2 * first(x))
        assert len(calls) == 2


def test_a_bias_has_its_gradient():
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for kernel, stride, dilation in SHAPES:
        ours = fast_layer(3, kernel, stride, dilation, bias=True).double()
        plain = plain_layer(3, kernel, stride, dilation, bias=True).double()
        plain.load_state_dict(ours.state_dict())
        for layer in (ours, plain):
            layer(x).square().sum().backward()
        torch.testing.assert_close(ours(x), plain(x))
        torch.testing.assert_close(ours.bias.grad, plain.bias.grad)
        torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_strided_pointwise_convolution_gives_the_same(memory_format, groups):
    for side in range(1, 10):
        plain = nn.Conv2d(4, 6, 1, stride=2, groups=groups).double()
        ours = copy.deepcopy(plain)
        use_fast_depthwise(ours)
        x = torch.randn(2, 4, side, side + 1, dtype=torch.float64).contiguous(memory_format=FORMATS[memory_format])
        factor = torch.randn_like(plain(x))
        found, expected = (output_and_gradients(layer, x, factor) for layer in (ours, plain))
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours.bias.grad, plain.bias.grad)
