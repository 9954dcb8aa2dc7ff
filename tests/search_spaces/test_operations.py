import pytest
import torch
from torch import nn

from search_spaces import OPERATIONS
from search_spaces.operations import FactorizedReduce, Zero, build_operations

CHANNELS = 8


def test_names_are_in_the_papers_order():
    assert list(OPERATIONS) == [
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    ]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(8, 8), (7, 5), (2, 3), (1, 1)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_all_candidates_return_one_shape_and_leave_the_input_alone(name, side, stride):
    x = torch.randn(3, CHANNELS, *side)
    before = x.clone()
    output = OPERATIONS[name](CHANNELS, stride, True, True)(x)
    assert output.shape == (3, CHANNELS, -(-side[0] // stride), -(-side[1] // stride))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("name", "stride", "expected"),
    [
        ("none", 1, 0),
        ("none", 2, 0),
        ("max_pool_3x3", 1, 2 * 8),
        ("avg_pool_3x3", 2, 2 * 8),
        ("skip_connect", 1, 0),
        ("skip_connect", 2, 64 + 16),
        ("sep_conv_3x3", 1, 2 * (9 * 8 + 64) + 32),
        ("sep_conv_5x5", 2, 2 * (25 * 8 + 64) + 32),
        ("dil_conv_3x3", 2, 9 * 8 + 64 + 16),
        ("dil_conv_5x5", 1, 25 * 8 + 64 + 16),
    ],
)
def test_parameters_follow_the_closed_forms(name, stride, expected, count_parameters):
    assert count_parameters(OPERATIONS[name](CHANNELS, stride, True, True)) == expected


def test_affine_and_pool_norm_reach_every_norm_layer():
    for operation in build_operations(CHANNELS, 2, affine=False, pool_norm=True).values():
        norms = [module for module in operation.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all(not norm.affine for norm in norms)
    bare = build_operations(CHANNELS, 1, affine=True, pool_norm=False)
    for name in ("max_pool_3x3", "avg_pool_3x3"):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in bare[name].modules())


@pytest.mark.parametrize("stride", [1, 2])
def test_zero_is_exactly_zero_even_for_bad_numbers(stride):
    x = torch.full((2, 3, 5, 4), float("nan"), dtype=torch.float64)
    x[0] = float("inf")
    zero = Zero(stride)
    assert zero.is_zero
    output = zero(x)
    assert output.dtype == x.dtype
    assert torch.equal(output, torch.zeros(2, 3, -(-5 // stride), -(-4 // stride), dtype=torch.float64))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_all_candidates_keep_the_memory_order(name, stride, memory_format):
    x = torch.randn(2, CHANNELS, 6, 5).contiguous(memory_format=memory_format)
    output = OPERATIONS[name](CHANNELS, stride, False, True)(x)
    assert output.is_contiguous(memory_format=memory_format)


def test_average_pooling_does_not_count_the_border():
    pool = OPERATIONS["avg_pool_3x3"](1, 1, True, False)
    assert torch.allclose(pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_factorized_reduce_reads_even_and_odd_pixels():
    reduce = FactorizedReduce(1, 2).eval()
    nn.init.ones_(reduce.conv_even.weight)
    nn.init.ones_(reduce.conv_odd.weight)
    image = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    output = reduce(image)
    scale = (1 + reduce.norm.eps) ** 0.5
    assert torch.allclose(output[0, 0] * scale, image[0, 0, ::2, ::2])
    assert torch.allclose(output[0, 1] * scale, image[0, 0, 1::2, 1::2])


def test_factorized_reduce_refuses_odd_channels():
    with pytest.raises(ValueError, match="out_channels is 3; it must be even"):
        FactorizedReduce(3, 3)


def test_structure_equals_nnis_hub_operations():
    """Same weights, same numbers; NNI's pools have no BatchNorm, so ours go without."""
    from nni.nas.hub.pytorch.nasnet import OPS

    x = torch.randn(2, CHANNELS, 8, 8)
    for name in OPERATIONS:
        for stride in (1, 2):
            ours, theirs = OPERATIONS[name](CHANNELS, stride, True, False), OPS[name](CHANNELS, stride, True)
            weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
            ours.load_state_dict(weights)
            assert torch.allclose(ours(x), theirs(x), atol=1e-6), (name, stride)
