"""``sampling="single_path"``: a step runs one child, and its gradient is right on average."""

import itertools
from collections import Counter

import nni
import pytest
import torch
from nni.nas.evaluator.pytorch import DataLoader
from nni.nas.experiment import NasExperiment
from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, MutableConv2d, Repeat
from torch import nn

from search_spaces import SnasCellSpace
from snas_nni import SNAS


def linear_choice(label, count=3):
    return LayerChoice([nn.Linear(3, 3) for _ in range(count)], label=label)


def three_inputs(self, x):
    return self.layer([first(x) for first in self.inputs])


def with_inputs(**arguments):
    def init(self):
        self.inputs = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
        self.layer = InputChoice(n_candidates=3, label="inputs", **arguments)

    return init, three_inputs


def of_layer(make):
    def init(self):
        self.layer = make()

    return init, None


def cell():
    def operation(node, slot, source):
        return nn.Linear(3, 3)

    return Cell({"a": operation, "b": operation}, 2, 1, 2, merge_op="loose_end", concat_dim=1, label="cell")


def sliced_layers(self):
    side, width = nni.choice("side", [1, 3]), nni.choice("width", [2, 4])
    kernel = MutableConv2d(2, 2, kernel_size=side, padding=side // 2)
    self.layer = nn.Sequential(kernel, MutableConv2d(2, out_channels=width, kernel_size=1))


def sum_of_channels(self, x):
    return self.layer(x).sum(1)


def padded(modes):
    return nn.Sequential(MutableConv2d(2, 2, 3, padding=1, padding_mode=nni.choice("mode", modes)))


# In each the loss is affine in the Z of every label: no activations, and no label twice on one path.
AFFINE = {
    "two layers": (
        of_layer(lambda: nn.Sequential(linear_choice("a"), linear_choice("b", 2))),
        lambda: torch.randn(2, 3),
    ),
    "nested": (
        of_layer(
            lambda: LayerChoice(
                [nn.Linear(3, 3), nn.Sequential(linear_choice("inner"), nn.Linear(3, 3))], label="outer"
            )
        ),
        lambda: torch.randn(2, 3),
    ),
    "one input": (with_inputs(n_chosen=1), lambda: torch.randn(2, 3)),
    "two inputs": (with_inputs(n_chosen=2), lambda: torch.randn(2, 3)),
    "any inputs": (with_inputs(n_chosen=None), lambda: torch.randn(2, 3)),
    "places": (with_inputs(n_chosen=2, reduction="concat"), lambda: torch.randn(2, 3)),
    "repeat": (of_layer(lambda: Repeat(lambda i: nn.Linear(3, 3), (0, 3), label="depth")), lambda: torch.randn(2, 3)),
    "repeated choices": (
        of_layer(lambda: Repeat(lambda i: linear_choice(f"block{i}", 2), (1, 2), label="depth")),
        lambda: torch.randn(2, 3),
    ),
    "cell": (of_layer(cell), lambda: torch.randn(1, 3), lambda: torch.randn(1, 3)),
    "sliced layers": ((sliced_layers, sum_of_channels), lambda: torch.randn(1, 2, 4, 4)),
    "arguments": (of_layer(lambda: padded(["zeros", "reflect", "circular"])), lambda: torch.randn(1, 2, 4, 4)),
}


def probability(distribution, values):
    return distribution.log_density(distribution.one_hot_sample(values)).exp()


def draw_exactly(distribution, values, monkeypatch):
    """The single-path sample whose draw came out as ``values``."""
    with monkeypatch.context() as patch:
        patch.setattr(distribution, "draw", lambda *_: distribution.one_hot_sample(values))
        return distribution.draw_single_path(1.0)


@pytest.mark.parametrize("case", AFFINE)
def test_the_mean_gradient_over_all_children_is_that_of_the_expected_loss(tools, monkeypatch, case):
    (init, forward), *make_inputs = AFFINE[case]
    torch.manual_seed(0)
    strategy, supernet = tools.mutate(tools.space_of(init, forward)(), initial_logits_std=0.7)
    supernet.double()
    distribution = strategy.distribution.double()
    logits = list(distribution.parameters())
    inputs = [make().double() for make in make_inputs]
    expected_loss, mean, total = 0.0, [torch.zeros_like(a) for a in logits], 0.0
    choices = {label: tools.outcomes(choice) for label, choice in distribution.choices.items()}
    for combination in itertools.product(*choices.values()):
        values = dict(zip(choices, combination, strict=True))
        p = probability(distribution, values)
        with distribution.use(draw_exactly(distribution, values, monkeypatch)):
            loss = tools.projection(supernet(*inputs))
        expected_loss, total = expected_loss + p * loss.detach(), total + float(p)
        found = torch.autograd.grad(loss, logits, allow_unused=True)
        mean = [m if g is None else m + p.detach() * g for m, g in zip(mean, found, strict=True)]
        child = tools.run_at(distribution, supernet, values, *inputs)
        torch.testing.assert_close(loss.detach(), tools.projection(child))
    assert total == pytest.approx(1)
    exact = torch.autograd.grad(expected_loss, logits)
    assert all(gradient.abs().max() > 1e-4 for gradient in exact)
    for m, gradient in zip(mean, exact, strict=True):
        torch.testing.assert_close(m, gradient, rtol=1e-9, atol=1e-10)


def test_one_draw_gives_credit_times_score(tools, monkeypatch):
    strategy, supernet = tools.mutate(tools.space_of(lambda self: setattr(self, "layer", linear_choice("op")))())
    supernet.double()
    distribution = strategy.distribution.double()
    logits = distribution.logits_of("op")
    with torch.no_grad():
        logits.copy_(torch.tensor([0.5, -1.0, 2.0]))
    x = torch.randn(4, 3, dtype=torch.float64)
    chosen = 1
    with distribution.use(draw_exactly(distribution, {"op": chosen}, monkeypatch)):
        output = supernet(x)
    (output**2).sum().backward()
    layer = supernet.layer[chosen]
    credit = float((2 * layer(x) * layer(x)).sum())  # dL/dZ = <dL/dO, O>
    score = torch.tensor([0.0, 1.0, 0.0]).double() - torch.softmax(torch.tensor([0.5, -1.0, 2.0]).double(), 0)
    torch.testing.assert_close(logits.grad, credit * score)


def test_a_layer_passes_its_weights_the_childs_gradient(tools, monkeypatch):
    strategy, supernet = tools.mutate(tools.space_of(lambda self: setattr(self, "layer", linear_choice("op")))())
    x = torch.randn(4, 3)
    with strategy.distribution.use(draw_exactly(strategy.distribution, {"op": 2}, monkeypatch)):
        supernet(x).square().sum().backward()
    chosen = supernet.layer[2]
    expected = torch.autograd.grad(chosen(x).square().sum(), list(chosen.parameters()))
    torch.testing.assert_close([p.grad for p in chosen.parameters()], list(expected))
    assert all(p.grad is None for name in (0, 1) for p in supernet.layer[name].parameters())


def test_only_the_drawn_candidate_of_each_choice_runs(tools):
    strategy, supernet = tools.mutate(SnasCellSpace(channels=2, cells=2, nodes=2), sampling="single_path")
    ran = Counter()
    drawn = {}
    for cell in supernet.cells:
        for edge in cell.edges.values():
            for name in edge.names:
                edge[name].register_forward_hook(lambda *_, key=(edge, name): ran.update([key]))
    for _ in range(5):
        ran.clear()
        sample = strategy.distribution.draw_single_path(0.1)
        drawn = sample.values()
        with strategy.distribution.use(sample):
            supernet(torch.randn(2, 3, 8, 8)).sum().backward()
        for (edge, name), count in ran.items():
            assert count == 1
            assert drawn[edge.label] == name
        working = [e for cell in supernet.cells for e in cell.edges.values() if drawn[e.label] != "none"]
        assert {edge for edge, name in ran if name != "none"} == set(working)


@pytest.mark.parametrize("temperature", [1.0, 0.03])
def test_candidates_are_drawn_as_often_as_their_probability_says(tools, temperature):
    strategy, _ = tools.mutate(tools.space_of(lambda self: setattr(self, "layer", linear_choice("op")))())
    logits = torch.tensor([0.0, 1.0, -1.0])
    with torch.no_grad():
        strategy.distribution.logits_of("op").copy_(logits)
    draws = 4000
    counts = Counter(strategy.distribution.draw_single_path(temperature).values()["op"] for _ in range(draws))
    for index, p in enumerate(torch.softmax(logits, 0).tolist()):
        deviation = (p * (1 - p) / draws) ** 0.5
        assert abs(counts[index] / draws - p) < 4 * deviation


def test_a_search_finds_the_better_candidate_through_nni(tools):
    """One candidate can fit the labels, the other is blind to the input."""

    def init(self):
        blind = nn.Sequential(nn.Linear(6, 8), nn.Threshold(1e9, 0.0))
        self.layer = nn.Sequential(LayerChoice({"blind": blind, "sees": nn.Linear(6, 8)}, label="op"), nn.Linear(8, 3))

    strategy = SNAS(seed=1, sampling="single_path", logits_learning_rate=0.1)
    evaluator = tools.Classification(
        learning_rate=0.02,
        num_classes=3,
        train_dataloaders=DataLoader(tools.dataset((6,), 3, 128, 1), batch_size=16, shuffle=True),
        val_dataloaders=DataLoader(tools.dataset((6,), 3, 32, 2), batch_size=32),
        **tools.quiet(max_epochs=12),
    )
    experiment = NasExperiment(tools.space_of(init)(), evaluator, strategy)
    experiment.run()
    found = experiment.export_top_models(formatter="dict")[0]
    experiment.stop()
    assert found == {"op": "sees"}
    assert strategy.distribution.probabilities()["op"]["sees"] > 0.8


class Normalized(nni.nas.nn.pytorch.ParametrizedModule):
    """Built anew for each number of channels, where others are sliced."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(x)


def test_validation_runs_what_the_steps_run(tools):
    """A relaxed sample would run every candidate, and a size that the next module does not have."""

    def init(self):
        width = nni.choice("width", [2, 4])
        self.layer = nn.Sequential(MutableConv2d(3, width, 1), Normalized(width))
        self.last = MutableConv2d(width, 3, 1)

    def forward(self, x):
        return self.last(self.layer(x)).mean((2, 3))

    strategy = SNAS(seed=1, sampling="single_path")
    evaluator = tools.Classification(
        num_classes=3,
        train_dataloaders=DataLoader(tools.dataset((3, 4, 4), 3, 32, 1), batch_size=16),
        val_dataloaders=DataLoader(tools.dataset((3, 4, 4), 3, 16, 2), batch_size=16),
        **tools.quiet(max_epochs=2),
    )
    experiment = NasExperiment(tools.space_of(init, forward)(), evaluator, strategy)
    experiment.run()
    assert set(experiment.export_top_models(formatter="dict")[0]) == {"width"}
    experiment.stop()
