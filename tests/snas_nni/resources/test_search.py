"""Penalties, budgets and credit in a whole search through ``NasExperiment``."""

import pytest
import pytorch_lightning as pl
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, Budget, ResourcePenalty
from snas_nni.one_shot.lightning_module import SnasLightningModule
from snas_nni.resources import cost_range, count_child

LABELS = ("a", "b", "shared")


class Small(ModelSpace):
    """Three labels, one of them shared; every candidate has another cost."""

    def __init__(self):
        super().__init__()

        def pair():
            return {"large": nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 6)), "small": nn.Linear(6, 6)}

        self.layers = nn.Sequential(
            LayerChoice(pair(), label="a"),
            LayerChoice({**pair(), "none": nn.Identity()}, label="b"),
            LayerChoice(pair(), label="shared"),
            LayerChoice(pair(), label="shared"),
            nn.Linear(6, 3),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
@pytest.mark.parametrize("cost", ["params", "macs", "memory_access"])
def test_the_child_is_within_its_budget(kit, share, cost):
    space = Small()
    probe = SNAS(seed=0)
    probe.mutate_model(Small())
    low, high = cost_range(probe.cost_model(torch.zeros(1, 6)), cost)
    budget = low + share * (high - low)
    strategy = SNAS(seed=2, budget=Budget(**{cost: budget}), logits_learning_rate=0.1)
    found = kit.searched(space, strategy, (6,), max_epochs=4)
    report = strategy.budget_report
    assert found.sample == report.sample
    assert report.within
    assert count_child(found.child, found.example)[cost] == report.costs[cost] <= budget
    assert found.metrics[f"budget/{cost}/mode"] == report.mode_costs[cost]
    assert found.metrics[f"budget/{cost}/expected"] == pytest.approx(report.expected_costs[cost], rel=1e-5)
    assert found.metrics[f"budget/{cost}/multiplier"] == pytest.approx(strategy.budget_controller.multipliers[cost])
    assert "penalty/budget" in found.metrics


def test_a_budget_that_does_not_bind_leaves_the_search_as_it_was(kit):
    def logits(**settings):
        strategy = SNAS(seed=2, logits_learning_rate=0.1, **settings)
        torch.manual_seed(0)
        kit.searched(Small(), strategy, (6,), max_epochs=2)
        return torch.cat([strategy.distribution.logits_of(label).detach() for label in LABELS])

    assert torch.equal(logits(), logits(budget=Budget(memory_access=900)))


# ---- credit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["expected", "relaxed"])
def test_credit_is_that_of_a_direct_computation(kit, monkeypatch, estimator):
    """One step: sum_k Z^k dL_task/dZ^k, and of the weights that the penalty read the same with the penalty."""
    penalty = ResourcePenalty({"params": 1e-3}, estimator=estimator)
    strategy = SNAS(seed=3, regularizers=[penalty], skip_tolerance=0.0, final_temperature=1.0)
    direct = {}
    original = SnasLightningModule._backward

    def watched(self, batch, batch_idx):
        generator = torch.Generator()
        generator.set_state(self.distribution.generator.get_state())
        sample = self.distribution.draw(self.temperature, generator)
        weights = {label: sample.weights[label] for label in LABELS}
        with self.distribution.use(sample):
            loss = self.training_module.training_step(batch, batch_idx)
        found = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
        for label, gradient in zip(LABELS, found, strict=True):
            direct[f"credit/task/{label}"] = float((weights[label] * gradient).sum())
        term = penalty(self.distribution, sample, 0)
        found = torch.autograd.grad(term.value, [term.read[label] for label in LABELS])
        for label, gradient in zip(LABELS, found, strict=True):
            direct[f"credit/cost/{label}"] = float((term.read[label] * gradient).sum())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SnasLightningModule, "_backward", watched)
    found = kit.searched(Small(), strategy, (6,), limit_train_batches=1)
    for name, value in direct.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert len(direct) == 6
    assert all(value > 0 for name, value in direct.items() if "cost" in name)


def test_the_cost_credit_of_a_linear_penalty_is_its_share_of_the_cost(kit):
    """At the probabilities, sum_k p^k dC/dp^k of a label without nesting is what its layers are expected to cost."""
    strategy = SNAS(seed=3, regularizers=[ResourcePenalty({"params": 1.0})], initial_logits_std=0.0)
    found = kit.searched(Small(), strategy, (6,), limit_train_batches=1)
    large, small = 6 * 12 + 12 + 12 * 6 + 6, 6 * 6 + 6
    assert found.metrics["credit/cost/a"] == pytest.approx((large + small) / 2)
    assert found.metrics["credit/cost/b"] == pytest.approx((large + small) / 3)
    assert found.metrics["credit/cost/shared"] == pytest.approx(large + small)
    assert found.metrics["penalty/resources"] == pytest.approx(1.5 * (large + small) + (large + small) / 3 + 21)


def test_without_a_penalty_there_is_no_cost_credit(kit):
    found = kit.searched(Small(), SNAS(seed=3), (6,), limit_train_batches=1)
    assert {f"credit/task/{label}" for label in LABELS} <= set(found.metrics)
    assert not any(name.startswith("credit/cost") for name in found.metrics)


# ---- checkpoints and regularizers of one's own -----------------------------------------------------------------------


def test_a_checkpoint_keeps_the_multiplier(kit, tmp_path):
    strategy = SNAS(seed=2, budget=Budget(params=330), logits_learning_rate=0.1)
    found = kit.searched(Small(), strategy, (6,), max_epochs=4)
    before = strategy.budget_controller.state_dict()
    assert before["multipliers"]["params"] + before["sample_multipliers"]["params"] > 0
    found.trainer.save_checkpoint(tmp_path / "search.ckpt")
    checkpoint = torch.load(tmp_path / "search.ckpt", weights_only=False)
    other = SNAS(seed=9, budget=Budget(params=330))
    other.mutate_model(Small())
    module = other.configure_oneshot_module(kit.Module())
    module.on_load_checkpoint(checkpoint)
    assert other.budget_controller.state_dict() == before


def test_a_resumed_search_gives_the_same_multipliers_and_child(kit, tmp_path):
    def strategy():
        return SNAS(seed=2, budget=Budget(params=330), logits_learning_rate=0.1)

    whole = strategy()
    torch.manual_seed(0)
    kit.searched(Small(), whole, (6,), max_epochs=4)

    class StopAfter(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "cut.ckpt")

    torch.manual_seed(0)
    kit.searched(Small(), strategy(), (6,), max_epochs=4, callbacks=[StopAfter()])
    resumed = strategy()
    torch.manual_seed(1)
    kit.searched(
        Small(), resumed, (6,), max_epochs=4, fit_kwargs={"ckpt_path": tmp_path / "cut.ckpt", "weights_only": False}
    )
    assert resumed.budget_controller.state_dict() == whole.budget_controller.state_dict()
    assert resumed.budget_report == whole.budget_report


def low_entropy(distribution, sample, step):
    """Pull the distribution towards a decision."""
    rows = [distribution.rows_of(label) for label in distribution.choices]
    return 1.0 * sum(-(row.softmax(-1) * row.log_softmax(-1)).sum() for row in rows)


def test_a_regularizer_is_any_function(kit):
    """The example of the documentation lowers the entropy that a search without it keeps."""

    def entropy(**settings):
        strategy = SNAS(seed=3, logits_learning_rate=0.1, initial_logits_std=0.5, **settings)
        torch.manual_seed(0)
        found = kit.searched(Small(), strategy, (6,), module=kit.Module(task=0.0), max_epochs=4)
        return found.metrics

    without, with_it = entropy(), entropy(regularizers=[low_entropy])
    assert with_it["search/entropy"] < 0.7 * without["search/entropy"]
    assert with_it["penalty/function_0"] > 0
