"""A search that was cut and goes on is the uninterrupted one, to the bit, with every way to train."""

import nni
import pytest
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableConv2d
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from snas_nni import SNAS, Budget
from snas_nni.resumable_loader import ResumableLoader

EPOCHS = 3
SHAPE = (3, 4, 4)


class Space(ModelSpace):
    """A sliced convolution and dropout, which both draw from PyTorch's generator when costs are counted carelessly."""

    def __init__(self):
        super().__init__()
        self.conv = MutableConv2d(3, nni.choice("width", [2, 4]), 3, padding=1)
        self.layer = LayerChoice({"relu": nn.ReLU(), "tanh": nn.Tanh(), "drop": nn.Dropout(0.3)}, label="layer")
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(4, 3)

    def forward(self, x):
        x = self.layer(self.conv(x)).mean((2, 3))
        return self.head(self.drop(torch.cat([x, x.new_zeros(len(x), 4 - x.shape[1])], 1)))


class Plain(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"linear": nn.Linear(48, 6), "two": nn.Linear(48, 6, bias=False)}, label="layer")
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.drop(self.layer(x.flatten(1))))


def whole_and_resumed(tools, folder, step, *, train, val, limits=None, space=Plain, **settings):
    """A search that saves after every second batch, and one that goes on from a batch of it."""

    class Means(tools.PlainClassifier):
        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = nn.functional.cross_entropy(self(x), y)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

    found = []
    for name, seed in (("whole", 11), ("resumed", 99)):
        torch.manual_seed(seed)
        saves = ModelCheckpoint(folder / name, filename="{step}", every_n_train_steps=1, save_top_k=-1)
        at_end = ModelCheckpoint(folder / name, filename="{epoch}", every_n_epochs=1, save_top_k=-1)
        strategy = SNAS(seed=5, **{"settle_epochs": 1, **settings})
        evaluator = Lightning(
            Means(),
            Trainer(
                **{
                    **tools.quiet(max_epochs=EPOCHS, callbacks=[saves, at_end], num_sanity_val_steps=0),
                    "enable_checkpointing": True,
                    **(limits or {}),
                }
            ),
            train_dataloaders=train(tools.dataset(SHAPE, 3, 40, 1)),
            val_dataloaders=val(tools.dataset(SHAPE, 3, 24, 2)),
            fit_kwargs={"ckpt_path": folder / "whole" / f"{step}.ckpt"} if name == "resumed" else {},
        )
        strategy(RawFormatModelSpace(space(), evaluator), SequentialExecutionEngine())
        found.append((strategy, evaluator))
    return found


def assert_same(first, second):
    (one, whole), (two, resumed) = first, second
    states = [strategy._search.state_dict() for strategy in (one, two)]
    assert states[0].keys() == states[1].keys()
    kept = [{name: each for name, each in state.items() if isinstance(each, torch.Tensor)} for state in states]
    assert [name for name in kept[0] if not torch.equal(kept[0][name], kept[1][name])] == []
    assert {n: each for n, each in states[0].items() if n not in kept[0]} == {
        n: each for n, each in states[1].items() if n not in kept[1]
    }
    expected, metrics = whole.trainer.callback_metrics, resumed.trainer.callback_metrics
    assert expected.keys() >= metrics.keys() >= {"train_loss", "search/loss"}  # Lightning keeps those of earlier epochs
    assert {k: (expected[k], v) for k, v in metrics.items() if not torch.equal(v, expected[k])} == {}
    assert one.derive()[0] == two.derive()[0]


class Equal(ModelSpace):
    """Four candidates whose inputs have their outputs' shape."""

    def __init__(self):
        super().__init__()
        layers = {f"linear{n}": nn.Sequential(nn.Linear(48, n), nn.Linear(n, 48)) for n in (2, 4, 6, 8)}
        self.layer = LayerChoice(layers, label="layer")
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(48, 3)

    def forward(self, x):
        return self.head(self.drop(self.layer(x.flatten(1))))


def shuffled(data):
    return ResumableLoader(data, batch_size=8, shuffle=True)


def plain(data):
    return DataLoader(data, batch_size=8, shuffle=True)


def in_order(data):
    return ResumableLoader(data, batch_size=8)


@pytest.mark.parametrize(
    "settings",
    [
        {},  # the learning rate of the logits follows from the number of batches, which sets the loaders up early
        {"logits_learning_rate": 0.05},
        {"samples_per_step": 3},
        {"accumulate_batches": 2},
        {"bilevel": True},
        {"bilevel": True, "logits_learning_rate": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("cut", ["step=4", "step=14", "epoch=0"])  # a batch counts twice, once for each optimizer
def test_cut_within_an_epoch_and_between_two(tools, tmp_path, settings, cut):
    if "accumulate_batches" in settings:
        cut = {"step=4": "step=2", "step=14": "step=8"}.get(cut, cut)
    assert_same(*whole_and_resumed(tools, tmp_path, cut, train=shuffled, val=in_order, **settings))


@pytest.mark.parametrize("cut", ["step=4", "step=14", "epoch=1"])
@pytest.mark.parametrize("bound", [None, 800])
def test_a_fading_skip_and_dropped_candidates(tools, tmp_path, cut, bound):
    settings = {"auxiliary_skip": 0.5, "auxiliary_skip_gone_at": 1.0, "drop_to": 1, "drop_start": 0.0, "drop_end": 1.0}
    if bound is not None:
        settings["budget"] = Budget(params=bound)
    found = whole_and_resumed(
        tools, tmp_path, cut, train=shuffled, val=in_order, space=Equal, settle_epochs=0, **settings
    )
    assert_same(*found)
    assert found[0][0].distribution.excluded == found[1][0].distribution.excluded
    assert all(strategy.distribution.is_decided for strategy, _ in found)
    checkpoint = torch.load(tmp_path / "whole" / "epoch=1.ckpt", weights_only=True)
    assert len(checkpoint["state_dict"]["distribution._extra_state"]["layer"]) == 1  # of 3


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_weights_of_other_precisions_are_not_rounded(tools, tmp_path, precision):
    limits = {"precision": precision}
    assert_same(*whole_and_resumed(tools, tmp_path, "step=14", train=shuffled, val=in_order, limits=limits))


def test_between_two_epochs_with_any_loader(tools, tmp_path):
    assert_same(*whole_and_resumed(tools, tmp_path, "epoch=0", train=plain, val=plain))


@pytest.mark.parametrize("cut", ["step=4", "step=10", "epoch=1"])
def test_epochs_that_end_before_their_loaders(tools, tmp_path, cut):
    limits = {"limit_train_batches": 3, "limit_val_batches": 2}
    found = whole_and_resumed(tools, tmp_path, cut, train=shuffled, val=shuffled, limits=limits, bilevel=True)
    assert_same(*found)


def test_counting_costs_draws_nothing(tools, tmp_path):
    def run(**settings):
        torch.manual_seed(1)
        strategy = SNAS(seed=5, logits_learning_rate=0.05, settle_epochs=0, **settings)
        tools.search(Space(), strategy, shape=SHAPE, max_epochs=1)
        return torch.get_rng_state(), strategy._search.state_dict()

    (one, plain_search), (two, counted) = run(), run(budget=Budget(macs=1e9))
    assert torch.equal(one, two)
    assert all(torch.equal(plain_search[name], counted[name]) for name in plain_search)


@pytest.mark.parametrize("settle", [0, 1])
def test_after_the_last_step_the_child_is_within_the_budget(tools, tmp_path, settle):
    """The resumed search has no step left, so nothing but its beginning can count costs."""
    most = 6 * 48 + 6 + 3 * 6 + 3
    budget = Budget(params=most - 1, exclude=False)
    found = whole_and_resumed(
        tools,
        tmp_path,
        "epoch=2",
        train=shuffled,
        val=in_order,
        settle_epochs=settle,
        budget=budget,
        regularizers=[prefers_the_dearest],
        logits_learning_rate=0.3,
        initial_logits_std=0.0,
    )
    for strategy, _ in found:
        assert strategy.derive()[0] == {"layer": "two"}
        assert strategy.budget_report.within
    assert found[0][0].distribution.mode() == {"layer": "linear"}


def prefers_the_dearest(distribution, sample, step):
    return -50.0 * distribution.expected_weights("layer")[0]
