"""The cost model: exact at one-hot Z in every space, an expectation at probabilities, by choice and by candidate."""

import math

import nni
import nni.nas.hub.pytorch as hub
import pytest
import torch
from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import (
    Cell,
    InputChoice,
    LayerChoice,
    ModelSpace,
    MutableConv2d,
    MutableLayerNorm,
    MutableLinear,
    MutableMultiheadAttention,
    Repeat,
)
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from torch import nn

from search_spaces import NasBench201Space, SnasCellSpace
from snas_nni import SettingError, SnasError, UnsupportedSpaceError, build_child
from snas_nni.resources import Convention, count_child, count_supernet

CIFAR = torch.zeros(1, 3, 32, 32)
SMALL = torch.zeros(1, 4, 6, 6)


def conv(kernel=1):
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2)


READY_MADE = {
    "paper": (lambda: SnasCellSpace(), CIFAR),
    "one cell, odd image": (
        lambda: SnasCellSpace(cells=1, channels=3, nodes=3, in_channels=1),
        torch.zeros(1, 1, 9, 7),
    ),
    "auxiliary": (lambda: SnasCellSpace(cells=3, channels=4, nodes=2, auxiliary=True, affine=True), CIFAR),
    "no norm behind pooling": (lambda: SnasCellSpace(cells=2, channels=2, nodes=2, pool_norm=False), CIFAR),
    "imagenet": (lambda: SnasCellSpace(cells=3, channels=4, nodes=2, stem="imagenet"), torch.zeros(1, 3, 65, 64)),
    "NAS-Bench-201": (lambda: NasBench201Space(channels=4, cells_per_stage=2), CIFAR),
}
HUB = {
    "NAS-Bench-201": (lambda: hub.NasBench201(stem_out_channels=4, num_modules_per_stack=2), CIFAR),
    "DARTS": (lambda: hub.DARTS(width=4, num_cells=3, dataset="cifar"), CIFAR),
    "DARTS with a choice of width": (lambda: hub.DARTS(width=(4, 8), num_cells=3, dataset="cifar"), CIFAR),
    "PNAS": (lambda: hub.PNAS(width=4, num_cells=3, dataset="cifar"), CIFAR),
    "ProxylessNAS": (
        lambda: hub.ProxylessNAS(base_widths=(8, 8, 8, 8, 8, 8, 8, 8, 16)),
        CIFAR,
    ),
    "ShuffleNet": (lambda: hub.ShuffleNetSpace(), torch.zeros(1, 3, 224, 224)),
    "MobileNetV3": (
        lambda: hub.MobileNetV3Space(
            base_widths=(8, 8, 16, 16, 16),
            width_multipliers=(0.5, 1.0),
            expand_ratios=(1.0, 2.0),
            squeeze_excite=("none", "optional"),
            depth_range=[(1, 2)],
            stride=(2, 1, 2, 1, 1),
            activation=("hswish", "relu", "hswish", "relu", "hswish"),
        ),
        CIFAR,
    ),
    "AutoFormer": (
        lambda: hub.AutoFormer(
            search_embed_dim=(192, 216), search_depth=(1, 2), search_num_heads=(3,), img_size=32, patch_size=8
        ),
        CIFAR,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("convention", [None, Convention.paper()], ids=["all", "paper"])
@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_spaces(kit, name, convention):
    make, inputs = READY_MADE[name]
    if name == "paper" and convention is not None:
        pytest.skip("its costs in that convention are compared with the published table")
    kit.assert_exact(kit.counted(make, inputs, convention), at_most=1 if name == "paper" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", HUB)
def test_hub_spaces(kit, name):
    make, inputs = HUB[name]
    kit.assert_exact(kit.counted(make, inputs), at_most=2)


def test_a_module_that_runs_all_its_candidates_at_once_is_refused(kit):
    """A form that somebody else wrote for NNI's DARTS asks for the weights of a sample, and counting has none."""
    with pytest.raises(SnasError, match="label 'a'.*cannot be counted"):
        kit.counted(
            lambda: Small(lambda space: setattr(space, "layer", LayerChoice([conv(), conv(3)], label="a"))),
            SMALL,
            mutation_hooks=[DifferentiableMixedLayer.mutate],
        )


class Small(ModelSpace):
    """A space whose constructor is one function."""

    def __init__(self, init, forward=None):
        super().__init__()
        init(self)
        self.run = forward

    def forward(self, *args):
        return self.layer(*args) if self.run is None else self.run(self, *args)


def tied_to_a_fixed_layer(space):
    first, candidate = conv(), conv()
    candidate.weight = first.weight
    space.layer = nn.Sequential(first, LayerChoice([candidate, conv(3)], label="a"))


def tied_candidates(space):
    a, b = conv(), conv()
    b.weight = a.weight
    space.layer = nn.Sequential(LayerChoice([a, conv(3)], label="a"), LayerChoice([b, conv(3)], label="b"))


def one_candidate_in_two_choices(space):
    a = conv()
    space.layer = nn.Sequential(LayerChoice([a, conv(3)], label="a"), LayerChoice([a, conv(3)], label="b"))


def a_fixed_layer_is_a_candidate_too(space):
    fixed = conv()
    space.fixed = fixed
    space.layer = nn.Sequential(fixed, LayerChoice([fixed, nn.Identity()], label="a"))


def one_weight_within_a_choice(space):
    a, b = conv(), conv()
    b.weight = a.weight
    space.layer = LayerChoice([a, b, nn.Sequential(a, b), nn.Identity()], label="a")


def called_twice(space):
    space.choice, space.fixed = LayerChoice([conv(), conv(3)], label="a"), conv()


def nested_and_shared(space):
    space.layer = LayerChoice(
        [
            nn.Sequential(conv(), LayerChoice([conv(3), nn.Identity()], label="inner")),
            LayerChoice([conv(), conv(3)], label="inner"),
        ],
        label="outer",
    )


def nested_in_its_own_label(space):
    space.layer = LayerChoice([conv(), LayerChoice([conv(3), conv(5)], label="a")], label="a")


def depth_of_two_labels(space):
    space.layer = Repeat(lambda _: conv(), nni.choice("a", [0, 1, 2]) + nni.choice("b", [1, 2]))


def concatenated(space):
    space.blocks = nn.ModuleList([conv(), conv(3), conv(5)])
    space.choice, space.project = InputChoice(3, n_chosen=2, reduction="concat", label="a"), nn.Conv2d(8, 4, 1)


def loose_ends(space):
    space.cell = Cell([conv(), nn.MaxPool2d(3, 1, 1)], 2, 2, 1, merge_op="loose_end", label="cell")


def larger_of_three_widths(space):
    """At the first candidates no label matters by itself."""
    a, b, c = nni.choice("a", [2, 8]), nni.choice("b", [8, 4]), nni.choice("c", [8, 1])
    width = MutableExpression.max(MutableExpression.max(a, b), c)
    space.layer = nn.Sequential(MutableConv2d(4, width, 1), nn.ReLU(), MutableConv2d(width, 4, 1))


def dilated(space):
    dilation = nni.choice("a", [1, 2])
    space.layer = MutableConv2d(4, 4, 3, padding=dilation, dilation=dilation)


def attending(space):
    width = nni.choice("a", [4, 8])
    space.embed, space.norm = MutableLinear(6, width), MutableLayerNorm(width)
    space.attention, space.head = MutableMultiheadAttention(width, 2, batch_first=True), MutableLinear(width, 3)


SPECIAL = [
    (tied_to_a_fixed_layer, None, SMALL),
    (tied_candidates, None, SMALL),
    (one_candidate_in_two_choices, None, SMALL),
    (a_fixed_layer_is_a_candidate_too, None, SMALL),
    (one_weight_within_a_choice, None, SMALL),
    (called_twice, lambda s, x: s.fixed(s.choice(s.choice(s.fixed(x)))), SMALL),
    (nested_and_shared, None, SMALL),
    (nested_in_its_own_label, None, SMALL),
    (depth_of_two_labels, None, SMALL),
    (concatenated, lambda s, x: s.project(s.choice([block(x) for block in s.blocks])), SMALL),
    (loose_ends, lambda s, x: s.cell([x]), SMALL),
    (larger_of_three_widths, None, SMALL),
    (dilated, None, SMALL),
    (attending, lambda s, x: s.head(s.norm(s.attention(*[s.embed(x)] * 3)[0])), torch.zeros(1, 5, 6)),
]


@pytest.mark.parametrize(("init", "forward", "inputs"), SPECIAL, ids=[init.__name__ for init, _, _ in SPECIAL])
def test_special_spaces_at_every_sample(kit, init, forward, inputs):
    case = kit.counted(lambda: Small(init, forward), inputs)
    kit.assert_exact(case, at_most=40)
    if init is not loose_ends:  # rebuilt, it has no postprocessing that would undo the missing nodes
        for sample in kit.samples(case.distribution, 6):
            rebuilt = build_child(Small, {"init": init, "forward": forward}, sample)
            assert case.model.of(sample) == count_child(rebuilt, inputs)


# ---- expectation -----------------------------------------------------------------------------------------------------


def expected_by_enumeration(kit, case, weights):
    """E[C] over all one-hot Z, each label independent with the given weights."""
    totals = dict.fromkeys(case.model.names, 0.0)
    for chosen in kit.indices(case.distribution):
        probability = math.prod(float(weights[label][index]) for label, index in chosen.items())
        for name, polynomial in case.model.polynomials.items():
            totals[name] += probability * polynomial.value(chosen)
    return totals


ENUMERABLE = [
    (nested_and_shared, None, SMALL),
    (tied_candidates, None, SMALL),
    (depth_of_two_labels, None, SMALL),
    (larger_of_three_widths, None, SMALL),
]


@pytest.mark.parametrize(("init", "forward", "inputs"), ENUMERABLE, ids=[init.__name__ for init, _, _ in ENUMERABLE])
def test_at_probabilities_and_at_relaxed_weights_it_is_the_expectation(kit, init, forward, inputs):
    case = kit.counted(lambda: Small(init, forward), inputs)
    for seed in range(3):
        kit.set_logits(case.distribution, seed)
        probabilities = {label: case.distribution.expected_weights(label) for label in case.distribution.choices}
        relaxed = case.distribution.draw(0.7).mean_weights()
        for weights in (probabilities, relaxed):
            exact = expected_by_enumeration(kit, case, weights)
            for name in case.model.names:
                assert float(case.model.cost(name, weights)) == pytest.approx(exact[name], rel=1e-12)
        for name in case.model.names:
            by_distribution = float(case.model.expected(name, case.distribution))
            assert by_distribution == pytest.approx(float(case.model.cost(name, probabilities)), rel=1e-14)


def test_of_children_chosen_at_random_the_mean_cost_tends_to_the_expectation(kit):
    """The same through NNI samples, in a space too large to enumerate: within 4 standard errors."""
    case = kit.counted(lambda: SnasCellSpace(channels=2, cells=3, nodes=2, in_channels=1), torch.zeros(1, 1, 8, 8))
    kit.set_logits(case.distribution, 1)
    generator = torch.Generator().manual_seed(0)
    costs = {name: [] for name in case.model.names}
    for _ in range(400):
        sample = case.distribution.draw(0.1, generator).values()
        for name, value in case.model.of(sample).items():
            if name in costs:
                costs[name].append(value)
    for name, values in costs.items():
        found = torch.tensor(values)
        error = found.std() / len(values) ** 0.5
        assert abs(found.mean() - case.model.expected(name, case.distribution)) < 4 * error, name


def test_parts_of_all_choices_and_of_none_add_up(kit):
    case = kit.counted(lambda: Small(nested_and_shared), SMALL)
    kit.set_logits(case.distribution)
    weights = {label: case.distribution.expected_weights(label) for label in case.distribution.choices}
    for name in case.model.names:
        by_choice = case.model.cost_by_choice(name, weights)
        constant = case.model.parts[name].get(None)
        total = sum(by_choice.values()) + (constant.value({}) if constant else 0.0)
        torch.testing.assert_close(total, case.model.cost(name, weights), rtol=1e-12, atol=0.0)


def test_layers_of_a_label_are_told_apart(kit):
    make = lambda: Small(
        lambda s: setattr(s, "layer", nn.Sequential(*(LayerChoice([conv(), conv(3)], label="a") for _ in range(3))))
    )
    case = kit.counted(make, SMALL)
    assert set(case.model.parts["params"]) == {("a", 0), ("a", 1), ("a", 2)}
    weights = {"a": torch.tensor([0.25, 0.75], dtype=torch.float64)}
    expected = 0.25 * 20 + 0.75 * (4 * 4 * 9 + 4)
    assert case.model.cost_by_choice("params", weights) == {("a", i): expected for i in range(3)}
    assert case.model.candidate_costs("a")[0]["params"] == 3 * 20


def nested(space):
    inner = LayerChoice([conv(3), nn.Identity()], label="inner")
    space.layer = LayerChoice([conv(), nn.Sequential(conv(), inner)], label="outer")


def test_candidates_of_nested_choices_cost_the_mean_over_the_others(kit):
    model = kit.counted(lambda: Small(nested), SMALL).model
    assert [cost["params"] for cost in model.candidate_costs("outer")] == [20, 20 + 148 / 2]
    assert [cost["params"] for cost in model.candidate_costs("inner")] == [148 / 2, 0]


def test_costs_are_in_the_precision_of_the_weights_and_differentiable(kit):
    case = kit.counted(lambda: Small(tied_candidates), SMALL)
    for dtype in (torch.float32, torch.float64):
        weights = {label: torch.full((2,), 0.5, dtype=dtype, requires_grad=True) for label in ("a", "b")}
        cost = case.model.cost("macs", weights)
        assert cost.dtype is dtype
        cost.backward()
        assert all((w.grad > 0).all() for w in weights.values())


def test_one_cost_of_a_child_is_the_one_among_all(kit):
    case = kit.counted(lambda: Small(tied_candidates), SMALL)
    sample = case.distribution.mode()
    everything = case.model.of(sample)
    assert {"macs", "params", "activation_peak"} <= set(everything)
    for name, cost in everything.items():
        assert case.model.of(sample, [name]) == {name: cost}


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_a_peak_has_no_expectation(kit):
    case = kit.counted(lambda: Small(tied_candidates), SMALL)
    with pytest.raises(SettingError, match=r"activation_peak is a maximum.*memory_access"):
        case.model.cost("activation_peak", {})
    with pytest.raises(SettingError, match="no cost 'flops'; there are params, macs, memory_access"):
        case.model.cost("flops", {})
    with pytest.raises(SettingError, match="no cost 'latency_ms'"):
        case.model.cost_by_choice("latency_ms", {})


def test_candidates_of_unequal_shapes_are_refused_by_label(kit):
    def unequal(space):
        space.layer = LayerChoice({"same": conv(), "less": nn.Conv2d(4, 4, 1, stride=2)}, label="step")

    with pytest.raises(UnsupportedSpaceError, match=r"label 'step'.*same: \(1, 4, 6, 6\), less: \(1, 4, 3, 3\)"):
        kit.counted(lambda: Small(unequal), SMALL)


def test_a_candidate_that_cannot_be_counted_is_refused_by_operation(kit):
    class Fourier(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    with pytest.raises(SnasError, match="_fft_r2c"):
        kit.counted(lambda: Small(lambda s: setattr(s, "layer", LayerChoice([conv(), Fourier()], label="a"))), SMALL)


def test_a_network_that_runs_other_operations_for_other_widths_is_refused(kit):
    class Doubtful(nn.Module):
        def forward(self, x):
            return x.relu() if x.shape[1] > 2 else x.relu().relu()

    def init(space):
        width = nni.choice("width", [2, 4])
        space.layer = nn.Sequential(MutableConv2d(4, width, 1), Doubtful(), MutableConv2d(width, 4, 1))

    with pytest.raises(UnsupportedSpaceError, match="label 'width'.*other operations"):
        kit.counted(lambda: Small(init), SMALL)


def test_too_many_joint_outcomes_are_refused(kit, monkeypatch):
    monkeypatch.setattr("snas_nni.resources.dependence.MAX_OUTCOMES", 3)
    with pytest.raises(UnsupportedSpaceError, match="labels a, b: .* 4 outcomes, more than 3"):

        def init(space):
            width = nni.choice("a", [2, 4]) * nni.choice("b", [1, 2])
            space.layer = nn.Sequential(MutableConv2d(4, width, 1), MutableConv2d(width, 4, 1))

        kit.counted(lambda: Small(init), SMALL)


def test_counting_draws_nothing_and_changes_nothing(kit):
    case = kit.counted(lambda: SnasCellSpace(channels=2, cells=2, nodes=1), CIFAR)
    before = {name: tensor.clone() for name, tensor in case.supernet.state_dict().items()}
    state, own = torch.get_rng_state(), case.distribution.generator.get_state()
    case.supernet.train()
    count_supernet(case.supernet, case.distribution, CIFAR)
    assert case.supernet.training
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(case.distribution.generator.get_state(), own)
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.supernet.state_dict().items())
    assert case.distribution.current.trace is None
