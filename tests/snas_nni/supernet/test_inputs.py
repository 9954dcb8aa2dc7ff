"""InputChoice in the supernet."""

import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice
from torch import nn

from snas_nni import UnsupportedSpaceError, derive_child

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def space(tools, n_chosen, reduction, label="inputs"):
    def init(self):
        self.choose = InputChoice(3, n_chosen, reduction, label=label)
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

    return tools.space_of(init, lambda s, x: s.choose([x, s.a(x), s.b(x)]))


@pytest.mark.parametrize("reduction", ["sum", "mean", "concat", "none"])
@pytest.mark.parametrize("n_chosen", [1, 2, 3])
def test_so_many(tools, n_chosen, reduction):
    everything = n_chosen == 3  # no choice, so no gradient
    checked = tools.check_space(
        space(tools, n_chosen, reduction), [X], without_gradient=["inputs"] if everything else []
    )
    assert len(checked.samples) == {1: 3, 2: 3, 3: 1}[n_chosen]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_any_number_the_empty_set_included(tools, reduction):
    checked = tools.check_space(space(tools, None, reduction), [X])
    assert len(checked.samples) == 8
    empty = derive_child(checked.supernet, {"inputs": []})
    assert torch.equal(empty(X), torch.zeros_like(X))


@pytest.mark.parametrize("n_chosen", [1, 2, None])
def test_relaxed_sum_and_mean(tools, n_chosen):
    strategy, supernet = tools.mutate(space(tools, n_chosen, "sum")(), skip_tolerance=0)
    inputs = [X, supernet.a(X), supernet.b(X)]
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        gates = sample.weights["inputs"][0]
        total = sum(g * x for g, x in zip(gates, inputs, strict=True))
        torch.testing.assert_close(supernet(X), total)
        supernet.choose.reduction = "mean"
        count = {1: 1.0, 2: 2.0, None: max(1.0, float(gates.sum()))}[n_chosen]
        torch.testing.assert_close(supernet(X), total / count)


def test_relaxed_places_hold_the_expected_input(tools):
    strategy, supernet = tools.mutate(space(tools, 2, "none")(), skip_tolerance=0)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        p01, p02, p12 = sample.log_rows["inputs"][0, 0].exp()
        a, b = supernet.a(X), supernet.b(X)
        first, second = supernet(X)
    torch.testing.assert_close(first, (p01 + p02) * X + p12 * a)
    torch.testing.assert_close(second, p01 * a + (p02 + p12) * b)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("n_chosen", [1, 2, None])
def test_the_supernet_becomes_its_child_as_the_temperature_falls(tools, n_chosen, reduction):
    strategy, supernet = tools.mutate(space(tools, n_chosen, reduction)(), initial_logits_std=3.0)
    distribution = strategy.distribution
    seen = set()
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad(), distribution.use(distribution.draw(1e-3, generator)) as sample:
            relaxed = supernet(X)
        values = sample.values()
        seen.add(tuple(values["inputs"]))
        if max(min(w, 1 - w) for w in sample.numbers("inputs")) < 1e-6:  # no near-tie in this draw
            tools.assert_same(relaxed, tools.run_at(distribution, supernet, values, X), atol=1e-4)
    if n_chosen is None:
        assert () in seen  # the limit at the empty set was looked at too


def test_the_mean_of_nothing_is_zero_in_half_precision(tools):
    strategy, supernet = tools.mutate(space(tools, None, "mean")())
    output = tools.run_at(strategy.distribution, supernet.half(), {"inputs": []}, X.half())
    assert torch.equal(output, torch.zeros_like(X).half())


def test_two_modules_with_one_label(tools):
    def init(self):
        self.first, self.second = (InputChoice(2, 1, label="shared") for _ in range(2))
        self.a = nn.Linear(6, 6)

    def forward(self, x):
        y = self.first([x, self.a(x)])
        return self.second([torch.tanh(self.a(y)), y])

    tools.check_space(tools.space_of(init, forward), [X])


def test_inputs_that_are_choices_themselves(tools):
    def init(self):
        self.choose = InputChoice(2, None, "mean", label="inputs")
        self.a = LayerChoice([nn.Linear(6, 6), nn.Tanh()], label="a")

    tools.check_space(tools.space_of(init, lambda s, x: s.choose([x, s.a(x)])), [X])


@pytest.mark.parametrize("reduction", ["concat", "none"])
def test_any_number_without_a_fixed_shape_is_refused(tools, reduction):
    with pytest.raises(UnsupportedSpaceError, match=rf"label 'free'.*'{reduction}'.*no fixed shape.*n_chosen"):
        tools.mutate(space(tools, None, reduction, label="free")())


def test_a_wrong_number_of_inputs(tools):
    strategy, supernet = tools.mutate(
        tools.space_of(lambda s: setattr(s, "choose", InputChoice(3, label="three")), lambda s, x: s.choose([x]))()
    )
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'three'.*got 1 inputs, expected 3"),
    ):
        supernet(X)


@pytest.mark.parametrize("n_chosen", [1, 2, None])
def test_inputs_that_would_only_broadcast(tools, n_chosen):
    def init(self):
        self.choose = InputChoice(3, n_chosen, label="broad")

    strategy, supernet = tools.mutate(tools.space_of(init, lambda s, x: s.choose([x, x[:, :1], x]))())
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'broad'.*\(4, 6\), \(4, 1\), \(4, 6\)"),
    ):
        supernet(X)
