"""Bounds drawn each step: the tilted distribution costs what it may, and a cut search goes on to the bit."""

import itertools

import pytest
import pytorch_lightning as pl
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, Budget, SettingError, SnasError
from snas_nni.resources import Sweep
from snas_nni.resumable_loader import ResumableLoader


class Layers(ModelSpace):
    """Two choices of 97, 32 and 0 parameters over 21 that all children have."""

    def __init__(self):
        super().__init__()
        for name in ("first", "second"):
            candidates = {
                "wide": nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 6)),
                "thin": nn.Sequential(nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 6)),
                "none": nn.Flatten(),
            }
            setattr(self, name, LayerChoice(candidates, label=name))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


@pytest.fixture
def made():
    strategy = SNAS(seed=0, initial_logits_std=1.0)
    strategy.mutate_model(Layers())
    sweep = Sweep("params")
    sweep.prepare(strategy.cost_model(torch.zeros(1, 6)))
    return strategy, sweep


def test_the_expected_cost_is_the_bound_where_it_binds(made):
    strategy, sweep = made
    model, distribution = strategy.cost_model(), strategy.distribution
    free = float(model.expected("params", distribution))
    low, high = (edge(model.of(sample)["params"] for sample in every(distribution)) for edge in (min, max))
    for share in (0.05, 0.3, 0.6, 0.95):
        bound = low + share * (free - low)
        with distribution.tilted(sweep.tilt(distribution, bound)):
            expected = float(model.expected("params", distribution))
            assert bound * 0.999 < expected <= bound * (1 + 1e-6)
    assert sweep.tilt(distribution, free + 1) == {} == sweep.tilt(distribution, high)
    with distribution.tilted(sweep.tilt(distribution, low)):
        assert model.of(distribution.mode())["params"] == low


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float16, torch.float64])
def test_what_is_drawn_is_that_of_any_default_type(default):
    """A search in `bf16-true` learns the costs within a step, where that is the default type, or before it."""

    def drawn():
        strategy = SNAS(seed=0, initial_logits_std=1.0)
        strategy.mutate_model(Layers())
        distribution, sweep = strategy.distribution, Sweep("params")
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(default)
            sweep.prepare(strategy.cost_model(torch.zeros(1, 6, dtype=torch.float32)))
            draws = (lambda: distribution.draw(0.5), lambda: distribution.draw_single_path(0.5))
            samples = [sweep.draw(distribution, draw) for draw in draws for _ in range(8)]
        finally:
            torch.set_default_dtype(before)
        return [sample.log_rows[label] for sample in samples for label in ("first", "second")]

    found, default = drawn(), torch.float32
    for alone, within in zip(drawn(), found, strict=True):
        assert alone.dtype == within.dtype
        assert torch.equal(alone, within)


def every(distribution):
    labels = list(distribution.choices)
    for values in itertools.product(*(distribution.choices[label].candidates for label in labels)):
        yield dict(zip(labels, values, strict=True))


def test_a_tilt_changes_odds_by_the_price_of_the_difference(made):
    """log p(a) / p(b) changes by m (cost of b - cost of a), for every pair."""
    strategy, sweep = made
    distribution = strategy.distribution
    before = torch.log_softmax(distribution.rows_of("first")[0].detach(), -1)
    tilt = sweep.tilt(distribution, 60.0)
    with distribution.tilted(tilt):
        after = torch.log_softmax(distribution.rows_of("first")[0].detach(), -1)
    change = (after - after[0]) - (before - before[0])
    assert torch.allclose(change, tilt["first"][0] - tilt["first"], atol=1e-5)
    assert torch.equal(torch.log_softmax(distribution.rows_of("first")[0].detach(), -1), before)


def test_gradients_reach_the_logits_through_the_tilt(made):
    strategy, sweep = made
    distribution = strategy.distribution
    sample = sweep.draw(distribution, lambda: distribution.draw(0.5))
    sum((weights * torch.arange(3.0)).sum() for weights in sample.mean_weights().values()).backward()
    for label in distribution.choices:
        assert distribution.logits_of(label).grad.abs().sum() > 0


def test_a_search_that_was_cut_goes_on_to_the_bit(tools, tmp_path):
    def run(made, **more):
        torch.manual_seed(0)
        return tools.search(Layers(), made, max_epochs=3, count=64, loader=ResumableLoader, shuffle=True, **more)

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "cut.ckpt")

    def strategy():
        return SNAS(seed=4, sweep=Sweep("params"), example_input=torch.zeros(1, 6))

    whole, resumed = strategy(), strategy()
    run(whole, callbacks=[Save()])
    run(resumed, fit_kwargs={"ckpt_path": tmp_path / "cut.ckpt", "weights_only": True})
    for key, value in whole.supernet.state_dict().items():
        assert torch.equal(resumed.supernet.state_dict()[key], value), key
    for label in whole.distribution.choices:
        assert torch.equal(whole.distribution.logits_of(label), resumed.distribution.logits_of(label))
    assert whole.oneshot_module.settling.chosen is None
    for bound in (21, 60, 200):
        sample, _ = whole.derive(budget=Budget(params=bound), candidates=3)
        assert whole.cost_model().of(sample)["params"] <= bound


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("rows",), "no cost 'rows'"), (("activation_peak",), "adds up"), (("params", 5, 5), "is empty"),
     (("params", -1), "positive")],
)  # fmt: skip
def test_mistakes_are_named(arguments, named):
    with pytest.raises(SettingError, match=named):
        Sweep(*arguments)


def test_what_cannot_be_is_refused(made):
    strategy, _ = made
    with pytest.raises(SettingError, match="no bound lies between"):
        Sweep("params", 10_000, 20_000).prepare(strategy.cost_model())
    with pytest.raises(SnasError, match="prepare"):
        Sweep("params").tilt(strategy.distribution, 1.0)
    with pytest.raises(SettingError, match="one of the two"):
        SNAS(sweep=Sweep("params"), budget=Budget(params=100))
