"""The cost table of the official code, by operation: from the supernet's parts and from single operations.

Symbols: C channels, y side of the output, S parameters. BatchNorm and ReLU are left out, as in the official code.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.operations import OPERATIONS, build_operations
from search_spaces.snas import SnasCellSpace
from snas_nni.resources import OFFICIAL_COSTS, Convention, ResourcePenalty, count_child

PAPER = Convention.paper()

# (size, MACs, memory access), by operation, as published for the 8 x 16 search network on 32 x 32 images.
NORMAL = {
    "none": (0, 0, 0),
    "max_pool_3x3": (0, 147456, 32768),
    "avg_pool_3x3": (0, 147456, 32768),
    "skip_connect": (0, 0, 32768),
    "sep_conv_3x3": (800, 819200, 131872),
    "sep_conv_5x5": (1312, 1343488, 132384),
    "dil_conv_3x3": (400, 409600, 65936),
    "dil_conv_5x5": (656, 671744, 66192),
}
REDUCTION_STRIDE_2 = {
    "none": (0, 0, 0),
    "max_pool_3x3": (0, 73728, 40960),
    "avg_pool_3x3": (0, 73728, 40960),
    "skip_connect": (1024, 262144, 74752),
    "sep_conv_3x3": (2624, 671744, 92736),
    "sep_conv_5x5": (3648, 933888, 93760),
    "dil_conv_3x3": (1312, 335872, 58656),
    "dil_conv_5x5": (1824, 466944, 59168),
}
REDUCTION_STRIDE_1 = {
    "none": (0, 0, 0),
    "max_pool_3x3": (0, 73728, 16384),
    "avg_pool_3x3": (0, 73728, 16384),
    "skip_connect": (0, 0, 16384),
    "sep_conv_3x3": (2624, 671744, 68160),
    "sep_conv_5x5": (3648, 933888, 69184),
    "dil_conv_3x3": (1312, 335872, 34080),
    "dil_conv_5x5": (1824, 466944, 34592),
}
LATE_SEPARABLE = {2: (9344, 598016, 54400), 1: (9344, 598016, 42112)}
"""sep_conv_3x3 with C = 64, y = 8, by stride."""


def closed_form(operation, channels, side, stride):
    """Size, MACs, memory access by the official formulas."""
    c, pixels, k = channels, side**2, int(operation[-1]) if operation[-1].isdigit() else 0
    reads = 4 if stride == 2 else 1  # the input has so many pixels for each of the output
    if operation == "none":
        return 0, 0, 0
    if "pool" in operation:
        return 0, 9 * c * pixels, (reads + 1) * c * pixels
    if operation == "skip_connect":
        if stride == 1:
            return 0, 0, 2 * c * pixels
        return c * c, c * c * pixels, 2 * pixels * (4 * c + c // 2) + c * c
    size = {"sep": 2 * k**2 * c + 2 * c**2, "dil": k**2 * c + c**2}[operation[:3]]
    maps = {"sep": 7 * c + c, "dil": 3 * c + c}[operation[:3]] + (reads - 1) * c
    return size, size * pixels, maps * pixels + size


@pytest.fixture(scope="module")
def network(kit):
    return kit.counted(SnasCellSpace, torch.zeros(1, 3, 32, 32), PAPER)


def of_part(network, label, layer):
    names = network.distribution.choices[label].candidates
    return {
        operation: tuple(
            network.model.parts[cost][label, layer].terms.get(((label, index),), 0)
            for cost in ("params", "macs", "memory_access")
        )
        for index, operation in enumerate(names)
    }


def alone(operation, channels, side, stride):
    module = build_operations(channels, stride, affine=False, pool_norm=True)[operation]
    costs = count_child(module, torch.zeros(1, channels, side * stride, side * stride), PAPER)
    return costs["params"], costs["macs"], costs["memory_access"]


@pytest.mark.parametrize(
    ("label", "layer", "table"),
    [
        ("normal/edge_0_2", 0, NORMAL),
        ("normal/edge_4_5", 1, NORMAL),
        ("reduction/edge_0_2", 0, REDUCTION_STRIDE_2),
        ("reduction/edge_1_5", 0, REDUCTION_STRIDE_2),
        ("reduction/edge_2_3", 0, REDUCTION_STRIDE_1),
        ("normal/edge_0_2", 2, REDUCTION_STRIDE_1),  # behind the first reduction: C = 32, y = 16
    ],
)
def test_parts_of_the_network_are_the_published_table(network, label, layer, table):
    assert of_part(network, label, layer) == table


def test_parts_of_the_last_cells(network):
    assert of_part(network, "reduction/edge_0_2", 1)["sep_conv_3x3"] == LATE_SEPARABLE[2]
    for layer in (4, 5):
        assert of_part(network, "normal/edge_0_2", layer)["sep_conv_3x3"] == LATE_SEPARABLE[1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_single_operations_are_the_published_table(operation):
    assert alone(operation, 16, 32, 1) == NORMAL[operation]
    assert alone(operation, 32, 16, 2) == REDUCTION_STRIDE_2[operation]
    assert alone(operation, 32, 16, 1) == REDUCTION_STRIDE_1[operation]


@given(
    st.sampled_from(list(OPERATIONS)),
    st.integers(1, 12).map(lambda half: 2 * half),
    st.integers(1, 9),
    st.sampled_from([1, 2]),
)
@settings(max_examples=80)
def test_closed_forms(operation, channels, side, stride):
    assert alone(operation, channels, side, stride) == closed_form(operation, channels, side, stride)


@given(st.sampled_from([1, 3, 5, 7]), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2]))
@settings(max_examples=30)
def test_closed_form_of_a_plain_convolution(kernel, inputs, outputs, side, stride):
    convolution = torch.nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    costs = count_child(convolution, torch.zeros(1, inputs, side * stride, side * stride), PAPER)
    size = kernel**2 * inputs * outputs
    reads = 4 if stride == 2 else 1
    assert costs["params"] == size
    assert costs["macs"] == size * side**2
    assert costs["memory_access"] == (reads * inputs + outputs) * side**2 + size


def test_what_a_factorized_reduction_really_reads_is_less(kit):
    """Its second convolution reads a slice; only the paper's convention ignores that."""
    reduction = build_operations(32, 2, affine=False, pool_norm=True)["skip_connect"]
    images = torch.zeros(1, 32, 32, 32)
    paper = count_child(reduction, images, PAPER)["memory_access"]
    real = count_child(reduction, images, Convention(normalization=False, activation=False))["memory_access"]
    assert paper - real == 32 * (32**2 - 31**2)


CELLS = [
    ("normal", 16, 32),
    ("normal", 16, 32),
    ("reduction", 32, 16),
    ("normal", 32, 16),
    ("normal", 32, 16),
    ("reduction", 64, 8),
    ("normal", 64, 8),
    ("normal", 64, 8),
]
EDGES = [(source, target) for target in range(2, 6) for source in range(target)]


def official_penalty(weights, of_edge):
    """The official code's sum: normal cells / 6 and reduction cells / 2, from the closed forms alone.

    Args:
        weights: of the operations by label.
        of_edge: makes the penalty of an edge from its size, MACs and memory access.
    """
    totals = {"normal": 0.0, "reduction": 0.0}
    for kind, channels, side in CELLS:
        for source, target in EDGES:
            stride = 2 if kind == "reduction" and source < 2 else 1
            costs = [closed_form(operation, channels, side, stride) for operation in OPERATIONS]
            mixed = torch.tensor(costs, dtype=torch.float64).T @ weights[f"{kind}/edge_{source}_{target}"].double()
            totals[kind] += float(of_edge(*mixed))
    return totals["normal"] / 6, totals["reduction"] / 2


def linear(size, macs, memory):
    return 0.43 * (2 * size + macs / 4000 + memory / 100)


def log(size, macs, memory):
    return sum(value.clamp(min=1.0).log() for value in (size, macs, memory)) / 3


def penalty_of(network, scale):
    costs = None if scale == "linear" else {"params": 1.0, "macs": 1.0, "memory_access": 1.0}
    penalty = ResourcePenalty(costs, scale=scale)
    penalty.prepare(network.model)
    return penalty


def weights_to_try(network):
    uniform = {label: torch.full((8,), 1 / 8, dtype=torch.float64) for label in network.distribution.choices}
    with torch.no_grad():
        drawn = [network.distribution.draw(temperature).mean_weights() for temperature in (1.0, 0.03)]
    return [uniform, *({label: w.double() for label, w in weights.items()} for weights in drawn)]


def test_log_per_choice_is_the_official_log_penalty(network):
    """The mean over the layers of a label, summed over labels, is normal / 6 + reduction / 2 in the 8-cell network."""
    penalty = penalty_of(network, "log_per_choice")
    for weights in weights_to_try(network):
        assert float(penalty.combined(weights)) == pytest.approx(sum(official_penalty(weights, log)), rel=1e-9)


def test_linear_penalty_is_the_official_one_with_every_cell_counted_once(network):
    penalty = penalty_of(network, "linear")
    constant = sum(factor * network.model.parts[cost][None].value({}) for cost, factor in OFFICIAL_COSTS.items())
    for weights in weights_to_try(network):
        normal, reduction = official_penalty(weights, linear)
        assert float(penalty.combined(weights)) == pytest.approx(6 * normal + 2 * reduction + constant, rel=1e-9)


def test_penalties_at_initialisation(network):
    """Exact values at equal probabilities, and the published ones as what a single draw at temperature 1 gives.

    The published figures (log 136 + 144, linear 20,234 + 40,497) are of one relaxed draw: each lies within two
    standard deviations of the draws, and their order of magnitude calibrates eta.
    """
    uniform = weights_to_try(network)[0]
    assert official_penalty(uniform, log) == pytest.approx((141.1198, 143.7298), abs=1e-3)
    assert official_penalty(uniform, linear) == pytest.approx((24_691.58, 35_360.58), abs=0.01)
    draws = {"log": [], "linear": []}
    with torch.no_grad():
        for _ in range(60):
            weights = network.distribution.draw(1.0).mean_weights()
            draws["log"].append(official_penalty(weights, log))
            draws["linear"].append(official_penalty(weights, linear))
    for scale, published in (("log", (136, 144)), ("linear", (20_234, 40_497))):
        values = torch.tensor(draws[scale])
        assert ((values.mean(0) - torch.tensor(published)).abs() < 2 * values.std(0)).all(), (scale, values.mean(0))
