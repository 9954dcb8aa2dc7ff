"""A child that is not the network that was searched is refused, whatever made it another."""

import logging
import math

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, SnasError
from snas_nni.one_shot.evidence.verifying import largest_difference


class Space(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"linear": nn.Linear(6, 6), "tanh": nn.Tanh()}, label="layer")
        self.norm, self.drop, self.head = nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.layer(x))))


class Spectrum(Space):
    """Keeps complex weights, which a careless derivation makes real."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(4, dtype=torch.complex64))

    def forward(self, x):
        return super().forward(torch.fft.irfft(torch.fft.rfft(x) * self.filter, n=6))


class Noisy(Space):
    """Draws in evaluation mode too."""

    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


class NoisyInAnotherOrder(Noisy):
    def forward(self, x):
        if self.draws_first:
            torch.randn(1)
        return super().forward(x)

    def __init__(self):
        super().__init__()
        self.draws_first = False

    def freeze(self, sample):
        frozen = super().freeze(sample)
        frozen.draws_first = True
        return frozen


class Counts(Space):
    """Remembers in Python how often it ran: what a copy that was derived anew does not know."""

    def __init__(self):
        super().__init__()
        self.scale = [1.0]

    def forward(self, x):
        return super().forward(x) * self.scale[0]

    def freeze(self, sample):
        frozen = super().freeze(sample)
        frozen.scale = [1.5]
        return frozen


@pytest.fixture
def searched(tools):
    def search(space, **settings):
        torch.manual_seed(0)
        strategy = SNAS(seed=5, logits_learning_rate=0.05, **settings)
        tools.search(space, strategy, max_epochs=2)
        return strategy

    return search


def every_way(strategy):
    """All that hands out a child with the supernet's weights."""
    yield lambda: strategy.derive()
    yield lambda: strategy.derive(candidates=2)
    yield lambda: [model.executable_model() for model in strategy.list_models()]
    yield lambda: [model.executable_model() for model in strategy.list_models(limit=2)]
    yield lambda: strategy.child_of(strategy.compare(1)[0])


@pytest.mark.parametrize("space", [Space, Spectrum])
def test_the_network_itself_is_handed_out_and_nothing_is_drawn(searched, space, caplog):
    strategy = searched(space())
    for number, way in enumerate(every_way(strategy)):
        before = torch.get_rng_state()
        with caplog.at_level(logging.WARNING):
            way()
        assert number == 4 or torch.equal(torch.get_rng_state(), before)
    assert "not compared" not in caplog.text


@pytest.mark.parametrize("number", range(5))
def test_another_network_is_refused_every_time(searched, number):
    strategy = searched(Counts())
    with pytest.raises(SnasError, match="not the network that was searched: its outputs differ from the supernet's by"):
        list(every_way(strategy))[number]()


def test_weights_that_became_real_are_refused(searched, monkeypatch):
    """The fault itself, put back: everything is cast to the type of the first parameter."""
    from snas_nni.derivation import child as derivation

    strategy = searched(Spectrum())
    original = derivation.follow_precision

    def careless(child, names, supernet):
        original(child, names, supernet)
        child.filter.data = child.filter.data.real.to(torch.complex64)

    monkeypatch.setattr(derivation, "follow_precision", careless)
    with pytest.raises(SnasError, match="not the network that was searched"):
        strategy.derive()


def test_a_child_that_does_not_run_is_refused(searched, monkeypatch):
    strategy = searched(Space())

    def breaks(child, x):
        raise TypeError("no such type")

    monkeypatch.setattr(Space, "forward", lambda self, x: breaks(self, x) if type(self.layer) in (nn.Linear, nn.Tanh)
                        else self.head(self.norm(self.layer(x))))  # fmt: skip
    with pytest.raises(SnasError, match="does not run where the supernet does: no such type"):
        strategy.derive()


@pytest.mark.parametrize("space", [Noisy, NoisyInAnotherOrder])
def test_a_network_that_draws_in_evaluation_mode(searched, space, caplog):
    """Where both draw in one order they are compared; else it is told."""
    strategy = searched(space())
    with caplog.at_level(logging.WARNING):
        strategy.derive()
    assert ("gives other outputs each time, so the child was not compared" in caplog.text) == (space is not Noisy)


def test_differences():
    one = torch.tensor([1.0, -4.0])
    assert largest_difference({"a": one, "b": [one]}, {"a": one, "b": [one.clone()]}) == 0.0
    assert largest_difference(one, one + 0.004) == pytest.approx(1.0, rel=1e-3)  # a thousandth of the largest
    assert largest_difference(one.double(), one.double() + 4e-8) == pytest.approx(1.0, rel=1e-3)
    assert largest_difference(one, one.double()) == largest_difference(one, one[:1]) == math.inf
    assert largest_difference(one, [one, one]) == math.inf
    assert largest_difference(torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0])) == math.inf
    assert largest_difference(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan])) == 0.0
    assert largest_difference(torch.tensor([3]), torch.tensor([4])) is None
    assert largest_difference(one * 1j, one * -1j) > 1
