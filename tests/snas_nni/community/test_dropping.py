"""Dropping is exact: the search goes on as in the smaller space, and within its budget."""

import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from torch import nn
from torch.nn.functional import cross_entropy

from snas_nni import SNAS, Budget, SettingError, SnasError, Sweep
from snas_nni.community.dropping import Dropping
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf
from snas_nni.one_shot.progress import Position, annealing_progress
from snas_nni.one_shot.settings import SearchSettings


class Layers(ModelSpace):
    """Two choices of four, by rising number of parameters: 20, 36, 68 and 132 each, and 15 of the head."""

    def __init__(self):
        super().__init__()
        for name in ("first", "second"):
            layers = {
                f"hidden{n}": nn.Sequential(nn.Linear(4, n, bias=False), nn.ReLU(), nn.Linear(n, 4))
                for n in (2, 4, 8, 16)
            }
            setattr(self, name, LayerChoice(layers, label=name))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def with_logits(choices, **logits):
    distribution = ArchitectureDistribution(choices, seed=0)
    with torch.no_grad():
        for label, values in logits.items():
            distribution.logits_of(label).copy_(torch.tensor(values))
    return distribution


OPS = {"op": OneOf("op", ("a", "b", "c", "d", "e")), "gates": AnyOf("gates", (0, 1, 2))}


def test_schedule():
    dropping = Dropping(2, 0.2, 0.8)
    assert [dropping.left(5, p) for p in (0, 0.19, 0.2, 0.39, 0.4, 0.6, 0.8, 1)] == [5, 5, 5, 5, 4, 3, 2, 2]
    assert dropping.left(2, 1.0) == 2
    assert dropping.left(1, 1.0) == 1
    assert Dropping().left(64, 1.0) == 64
    assert [Dropping(1, 0.5, 0.5).left(9, p) for p in (0.4, 0.5)] == [9, 1]
    for wrong in ({"keep": 0}, {"keep": 1.5}, {"start": -0.1}, {"end": 1.1}, {"end": 0.0, "start": 0.0}):
        with pytest.raises(SettingError, match="drop_"):
            Dropping(**{"keep": 2, **wrong})
    with pytest.raises(SettingError, match=r"drop_end is 0\.3, but must be at least drop_start, which is 0\.5"):
        Dropping(2, 0.5, 0.3)


def test_progress_is_that_of_the_temperature_in_whole_epochs():
    settings = SearchSettings(warmup_epochs=2, settle_epochs=3)
    at = [annealing_progress(Position(epoch, 10), settings) for epoch in range(10)]
    assert at == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1])
    assert annealing_progress(Position(0, 1), SearchSettings()) == 0  # there is no later epoch


def test_the_least_probable_go_and_the_childs_stay():
    distribution = with_logits(OPS, op=[0.3, -1.0, 0.5, -2.0, 0.1])
    asked = []

    def child():
        asked.append(1)
        return {"op": "d", "gates": []}

    dropping = Dropping(2, 0.0, 1.0)
    assert dropping.excluded(distribution, 0.0, child) == {}
    assert asked == []  # a solver is not asked for nothing
    assert dropping.excluded(distribution, 1 / 3, child) == {"op": (1,)}  # d is the weakest, and the child's
    assert dropping.excluded(distribution, 1.0, child) == {"op": (0, 1, 4)}  # gates keep all of their inputs


def test_what_was_excluded_before_counts_and_stays():
    distribution = with_logits(OPS, op=[0.3, -1.0, 0.5, -2.0, 0.1])
    distribution.exclude({"op": [2, 0]})
    dropping = Dropping(2, 0.0, 1.0)
    assert dropping.excluded(distribution, 0.5, distribution.mode) == {"op": (0, 2)}  # 4 may be left, 3 are
    assert dropping.excluded(distribution, 1.0, distribution.mode) == {"op": (0, 2, 3)}


def run(epochs=6, steps=3, **settings):
    torch.manual_seed(0)
    strategy = SNAS(**{"seed": 1, "settle_epochs": 1, "logits_learning_rate": 0.1, **settings})
    supernet = strategy.mutate_model(Layers())
    x, y = torch.randn(8, 4), torch.arange(8) % 3
    search = strategy.loop(torch.optim.SGD(supernet.parameters(), lr=0.05), [x] * steps, epochs=epochs)
    left, ran = [], []
    hooks = [
        module.register_forward_hook(lambda module, *_: ran.append(module))
        for choice in (supernet.first, supernet.second)
        for module in (choice[name] for name in choice.names)
    ]
    counts = []
    for _ in search:
        left.append([4 - len(strategy.distribution.excluded.get(label, ())) for label in ("first", "second")])
        ran.clear()
        for _ in range(steps):
            with search.sample(x):
                search.step(cross_entropy(supernet(x), y))
        counts.append(len(ran) / steps)
    assert hooks
    return strategy, left, counts


def test_a_search_drops_and_runs_less():
    strategy, left, ran = run(drop_to=1, drop_start=0.0, drop_end=1.0, skip_tolerance=0.0)
    assert left == [[4, 4], [4, 4], [3, 3], [2, 2], [1, 1], [1, 1]]
    assert ran == [8, 8, 6, 4, 2, 2]
    assert strategy.distribution.is_decided
    sample, child = strategy.derive()
    assert sample == strategy.distribution.mode()
    assert sum(p.numel() for p in child.parameters()) == strategy.cost_model(torch.zeros(1, 4)).of(sample)["params"]


def test_dropped_candidates_cost_nothing():
    strategy, *_ = run(drop_to=2)
    distribution = strategy.distribution
    model = strategy.cost_model(torch.zeros(1, 4))
    kept = {label: torch.softmax(distribution.rows_of(label)[0], -1) for label in ("first", "second")}
    params = torch.tensor([20.0, 36.0, 68.0, 132.0])
    expected = 15 + sum(float((p.detach() * params).sum()) for p in kept.values())
    assert float(model.expected("params", distribution)) == pytest.approx(expected, rel=1e-6)
    assert all((p == 0).sum() == 2 for p in kept.values())


@pytest.mark.parametrize("bound", [56, 75])  # of the cheapest child alone, 55; and of a few
def test_the_budget_keeps_what_it_needs(bound):
    strategy, left, _ = run(drop_to=1, drop_end=0.6, budget=Budget(params=bound, exclude=False))
    assert left[-1] == [1, 1]
    sample, _ = strategy.derive()
    assert strategy.budget_report.within
    assert strategy.distribution.mode() == sample


def test_a_budget_that_no_child_left_meets_says_why():
    strategy, *_ = run(drop_to=1, drop_end=0.6, budget=Budget(params=110, target=True, exclude=False))
    assert strategy.distribution.is_decided
    with pytest.raises(SnasError, match="among the candidates that the search has left"):
        strategy.selection(Budget(params=56)).current()


def test_what_the_budget_excludes_later_is_added():
    distribution = with_logits(OPS)
    distribution.exclude({"op": [1]})
    distribution.exclude_also({"op": [3, 1]})
    distribution.exclude_also({})
    assert distribution.excluded == {"op": (1, 3)}


def test_a_sweep_needs_all():
    with pytest.raises(SettingError, match="leave drop_to out"):
        SNAS(sweep=Sweep("params"), drop_to=2)


def test_input_choices_of_one_may_lose_inputs():
    class Inputs(ModelSpace):
        def __init__(self):
            super().__init__()
            self.choice = InputChoice(3, n_chosen=1, label="input")

        def forward(self, x):
            return self.choice([x, 2 * x, 3 * x])

    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(Inputs())
    distribution = strategy.distribution
    distribution.exclude(Dropping(1, 0.0, 1.0).excluded(distribution, 1.0, lambda: {"input": [2]}))
    with distribution.use(distribution.draw(1.0)):
        torch.testing.assert_close(supernet(torch.ones(2)), torch.full((2,), 3.0))
