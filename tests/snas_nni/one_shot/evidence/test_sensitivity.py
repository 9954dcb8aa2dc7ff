"""Logits that were measured: rises and logits in closed form, the child by them, a search that begins with them."""

import itertools
import math

import nni
import pytest
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableConv2d
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from snas_nni import SNAS, Budget, derive_child
from snas_nni.distribution.choices import OneOf
from snas_nni.errors import NotFiniteError, SettingError
from snas_nni.one_shot.evidence.batches import Batches
from snas_nni.one_shot.evidence.sensitivity import (
    REACH,
    begin_from_sensitivities,
    first_child,
    logits_of_rises,
    losses_of_children,
    measured_rises,
)
from snas_nni.resumable_loader import ResumableLoader

CHOICES = {"a": OneOf("a", (8, 4, 2)), "b": OneOf("b", ("keep", "skip"))}
RISES = {"a": [0.0, 0.5, 3.0], "b": [0.0, 1.0]}


def additive(sample):
    return 7.0 + RISES["a"][(8, 4, 2).index(sample["a"])] + RISES["b"][("keep", "skip").index(sample["b"])]


def test_rises_of_a_loss_that_adds_up_are_exact_wherever_they_are_measured():
    asked, told = [], []
    found = measured_rises(
        lambda sample: asked.append(sample) or additive(sample),
        CHOICES,
        first_child(CHOICES),
        told=lambda: told.append(1),
    )
    assert {label: each.tolist() for label, each in found.items()} == RISES
    assert len(asked) == len(told) == 1 + 2 + 1
    elsewhere = measured_rises(additive, CHOICES, {"a": 2, "b": "skip"})
    assert elsewhere["a"].tolist() == [-3.0, -2.5, 0.0]
    assert torch.equal(logits_of_rises(elsewhere)["a"], logits_of_rises(found)["a"])


def test_excluded_candidates_are_not_measured():
    asked = []
    found = measured_rises(
        lambda sample: asked.append(sample["a"]) or additive(sample), CHOICES, first_child(CHOICES), {"a": (0, 2)}
    )
    assert found["a"].tolist() == [0.0, 0.5, math.inf]
    assert 2 not in asked


def test_logits_fall_in_proportion_to_the_squares_of_the_rises_whatever_their_unit():
    rises = {label: torch.tensor(each, dtype=torch.float64) for label, each in RISES.items()}
    scale = (3.0**2 + 1.0**2) / 2
    for unit in (1e-6, 1.0, 1e6):
        found = logits_of_rises({label: unit * each for label, each in rises.items()})
        torch.testing.assert_close(found["a"], torch.tensor([0.0, -0.25, -9.0]) * REACH / scale)
        torch.testing.assert_close(found["b"], torch.tensor([0.0, -1.0]) * REACH / scale)


def test_what_is_not_finite_counts_as_the_largest_rise_and_nothing_as_none():
    found = logits_of_rises({"a": torch.tensor([0.0, math.nan, math.inf]), "b": torch.tensor([0.0, 2.0])})
    assert found["a"].tolist() == [0.0, -REACH, -REACH]
    assert logits_of_rises({"a": torch.zeros(3)})["a"].tolist() == [0.0, 0.0, 0.0]


def test_a_network_whose_loss_is_not_finite_is_refused():
    with pytest.raises(NotFiniteError, match="is nan on training batches"):
        measured_rises(lambda sample: math.nan, CHOICES, first_child(CHOICES))


class Widths(ModelSpace):
    """Two sliced convolutions in a row, so that MACs have products, with normalization."""

    def __init__(self):
        super().__init__()
        first, second = nni.choice("first", [6, 4, 2]), nni.choice("second", [8, 5, 3])
        self.one, self.two = MutableConv2d(3, first, 3, padding=1), MutableConv2d(first, second, 3, padding=1)
        self.between = LayerChoice({"norm": nn.BatchNorm2d(3), "none": nn.Identity()}, label="between")
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.two(self.one(self.between(x)).relu()).mean((2, 3))
        return self.drop(x)[:, :3]


@pytest.fixture
def supernet(tools):
    torch.manual_seed(0)
    return tools.mutate(Widths(), budget=Budget(macs="40%"))


def test_the_solver_s_child_is_the_one_of_the_least_sum_of_squares(supernet):
    strategy, _ = supernet
    strategy.budget_controller.prepare(strategy.cost_model(torch.zeros(1, 3, 4, 4)))
    distribution, model = strategy.distribution, strategy.cost_model(torch.zeros(1, 3, 4, 4))
    generator = torch.Generator().manual_seed(3)
    table = {
        label: torch.rand(len(choice.candidates), generator=generator) for label, choice in distribution.choices.items()
    }

    def loss(sample):
        return sum(float(table[label][c.categories(sample[label])[0]]) for label, c in distribution.choices.items())

    def predicted(sample):
        losses = [(table[label], c.categories(sample[label])[0]) for label, c in distribution.choices.items()]
        return sum(float(each[k] - each.min()) ** 2 for each, k in losses)

    begin_from_sensitivities(distribution, loss)
    values = [[choice.value([k]) for k in range(len(choice.candidates))] for choice in distribution.choices.values()]
    children = [dict(zip(distribution.choices, each, strict=True)) for each in itertools.product(*values)]
    bound = strategy.budget_controller.bounds.bounds["macs"]
    within = [child for child in children if model.of(child)["macs"] <= bound]
    assert 1 < len(within) < len(children)
    assert strategy.selection().current() == min(within, key=predicted)
    # The log-probability of a child is that sum, up to a factor and a constant.
    points = sorted((predicted(child), distribution.log_probability(child)) for child in children)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(points) if b[0] - a[0] > 1e-3]
    assert slopes == pytest.approx([slopes[0]] * len(slopes), rel=1e-2)
    assert slopes[0] < 0


def test_losses_are_those_of_the_children_in_batches_of_their_own_statistics(supernet, tools):
    strategy, network = supernet
    module = tools.PlainClassifier()
    module.set_model(network)
    batches = list(DataLoader(tools.dataset((3, 4, 4), 3, 24, 1), batch_size=8))
    network.train()
    network.drop.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes, random = [each.training for each in module.modules()], torch.get_rng_state()
    with losses_of_children(module, strategy.distribution, Batches(batches, 2)) as loss:
        for values in ({"first": 6, "second": 8, "between": "norm"}, {"first": 2, "second": 5, "between": "none"}):
            child = derive_child(network, values).train()
            child.drop.eval()
            with torch.no_grad():
                expected = [float(cross_entropy(child(x), y)) for x, y in batches[:2]]
            assert loss(values) == pytest.approx(sum(expected) / 2, abs=1e-5)
    assert [each.training for each in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def searched(tools, folder, checkpoint=None, seed=11, **settings):
    """A search of three epochs that saves after each step, or one that goes on from a checkpoint."""
    torch.manual_seed(seed)
    saves = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    strategy = SNAS(seed=5, **{"initial_logits": "sensitivity", "budget": Budget(macs="60%"), **settings})
    train = ResumableLoader(tools.dataset((3, 4, 4), 3, 32, 1), batch_size=8, shuffle=True)
    module = tools.PlainClassifier()
    evaluator = Lightning(
        module,
        Trainer(
            **{**tools.quiet(max_epochs=3, callbacks=[saves], num_sanity_val_steps=0), "enable_checkpointing": True}
        ),
        train_dataloaders=train,
        val_dataloaders=DataLoader(tools.dataset((3, 4, 4), 3, 16, 2), batch_size=8),
        fit_kwargs={"ckpt_path": checkpoint} if checkpoint else {},
    )
    torch.manual_seed(1)  # the given network, equal in both
    strategy(RawFormatModelSpace(Widths(), evaluator), SequentialExecutionEngine())
    return strategy, module


@pytest.mark.parametrize("settle", [1, 3])
def test_a_search_begins_where_the_measurement_says_and_a_resumed_one_does_not_measure_again(
    tools, tmp_path, monkeypatch, settle
):
    """With three epochs of settling, the child is chosen before the first step, and no logit ever moves."""
    measured = []
    whole, module = searched(tools, tmp_path / "whole", settle_epochs=settle, candidates=1, logits_learning_rate=0.1)
    steps = {int(each.stem.split("=")[1]): each for each in (tmp_path / "whole").glob("*.ckpt")}
    monkeypatch.setattr("snas_nni.one_shot.search_module.begin_from_sensitivities", lambda *_: measured.append("again"))
    middle = sorted(steps)[len(steps) // 2]
    resumed, _ = searched(
        tools, tmp_path / "resumed", steps[middle], 99, settle_epochs=settle, candidates=1, logits_learning_rate=0.1
    )
    assert measured == []
    states = [each._search.state_dict() for each in (whole, resumed)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items() if torch.is_tensor(value))
    assert whole.derive()[0] == resumed.derive()[0]
    first = torch.load(steps[min(steps)], weights_only=True)["state_dict"]
    logits = {name: value for name, value in first.items() if "label:" in name}
    assert len(logits) == 3
    moved = [float((value - states[0][name]).abs().max()) for name, value in logits.items()]
    assert (max(moved) == 0) == (settle == 3)
    assert len(module.training_losses) >= 12


def test_the_first_step_has_the_logits_of_the_measurement(tools, tmp_path):
    seen = {}

    def remember(distribution, loss, counter):
        seen["loss"] = {label: [loss({**first_child(distribution.choices), label: v}) for v in choice.candidates]
                        for label, choice in distribution.choices.items()}  # fmt: skip
        begin_from_sensitivities(distribution, loss, counter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snas_nni.one_shot.search_module.begin_from_sensitivities", remember)
        strategy, _ = searched(tools, tmp_path, settle_epochs=3, candidates=1, budget=None)
    rises = {label: torch.tensor(each, dtype=torch.float64) - each[0] for label, each in seen["loss"].items()}
    for label, logits in logits_of_rises(rises).items():
        torch.testing.assert_close(strategy.distribution.logits_of(label).detach(), logits)
    best = {
        label: choice.value([int(rises[label].argmin())]) for label, choice in strategy.distribution.choices.items()
    }
    assert strategy.derive()[0] == best


def test_a_choice_of_several_is_refused_by_name():
    class Several(ModelSpace):
        def __init__(self):
            super().__init__()
            self.inputs = InputChoice(3, 2, label="several")

    strategy = SNAS(seed=0)
    strategy.mutate_model(Several())
    distribution = strategy.distribution
    with pytest.raises(SettingError, match="label 'several' chooses several"):
        begin_from_sensitivities(distribution, lambda sample: 0.0)


def test_a_loop_of_one_s_own_has_no_loss_to_measure(tools):
    strategy, network = tools.mutate(Widths(), initial_logits="sensitivity")
    with pytest.raises(SettingError, match="initial_logits is sensitivity"):
        strategy.loop(torch.optim.SGD(network.parameters(), lr=0.1), [torch.zeros(2, 3, 4, 4)], epochs=2)


def test_only_measured_logits_need_no_epoch_to_search_in(tools, tmp_path):
    with pytest.raises(SettingError, match="no epoch is left to search in"):
        searched(tools, tmp_path, initial_logits="random", settle_epochs=3)
