"""The learning rate of the logits that follows from the length of a search."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, SettingError
from snas_nni.one_shot.learning_rate import LARGEST, PAPER, REACH, derived_learning_rate


class Pair(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"a": nn.Linear(6, 6), "b": nn.Identity()}, label="layer")
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layer(x))


def test_the_papers_search_keeps_the_papers_rate():
    assert derived_learning_rate(150 * 782) == pytest.approx(PAPER, rel=0.01)


@pytest.mark.parametrize("steps", [117, 1000, 10**6])
def test_every_search_reaches_equally_far(steps):
    assert steps * derived_learning_rate(steps) == pytest.approx(REACH)


def test_few_steps_are_not_made_arbitrarily_large():
    assert derived_learning_rate(1) == LARGEST


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({}, 4 * 6), ({"warmup_epochs": 2}, 4 * 4), ({"accumulate_batches": 3}, 2 * 6), ({"bilevel": True}, 4 * 6)],
)
def test_the_steps_that_the_logits_have(tools, settings, steps):
    found = tools.search(Pair(), SNAS(seed=0, **settings), max_epochs=6)  # 32 examples in batches of 8
    assert found.lightning.logits_learning_rate == pytest.approx(min(LARGEST, REACH / steps))
    assert found.strategy.settings.logits_learning_rate is None


def test_long_enough_to_be_below_the_largest(tools):
    found = tools.search(Pair(), SNAS(seed=0), max_epochs=2, count=160, batch_size=1)
    assert found.lightning.logits_learning_rate == pytest.approx(REACH / 320)


def test_a_given_rate_stays(tools):
    found = tools.search(Pair(), SNAS(seed=0, logits_learning_rate=PAPER))
    assert found.lightning.logits_learning_rate == PAPER


def test_a_loader_without_a_length_is_told_to_give_one(tools):
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                yield torch.zeros(6), 0

    with pytest.raises(SettingError, match=r"logits_learning_rate.*0\.0003"):
        tools.search(
            Pair(), SNAS(seed=0), loader=lambda data, **_: torch.utils.data.DataLoader(Endless(), batch_size=4)
        )


def test_a_rate_below_zero_is_refused():
    with pytest.raises(SettingError, match="logits_learning_rate"):
        SNAS(logits_learning_rate=0.0)
