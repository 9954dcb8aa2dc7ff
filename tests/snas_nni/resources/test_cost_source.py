"""Costs are counted when they are first asked for, on what is there to count them on."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, SnasError
from snas_nni.distribution.polynomial import ONE
from snas_nni.resources import LatencyTable
from snas_nni.resources.cost_source import CostSource

ROWS = torch.zeros(8, 6)
ONE_ROW = 6 * 3  # multiply-accumulates of the head for one example


class Small(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"linear": nn.Linear(6, 6), "skip": nn.Identity()}, label="layer")
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layer(x))


def source(**settings):
    strategy = SNAS(seed=1)
    supernet = strategy.mutate_model(Small())
    return CostSource(supernet, strategy.distribution, **settings)


@pytest.mark.parametrize("batch", [ROWS, [ROWS, torch.zeros(8)], (ROWS, torch.zeros(8))])
def test_on_the_first_example_of_a_batch(batch):
    costs = source().for_batch(batch)
    assert costs.of({"layer": "skip"})["macs"] == ONE_ROW


def test_once_and_on_the_given_example_before_any_other():
    known = source(example_input=ROWS[:2])
    costs = known.for_batch({"not": "looked at"})
    assert costs.of({"layer": "skip"})["macs"] == 2 * ONE_ROW
    assert known.model(ROWS) is known.for_batch(None) is costs


def test_without_an_example_it_says_what_to_give():
    with pytest.raises(SnasError, match=r"pass example_input, such as torch.zeros\(1, 3, 32, 32\)"):
        source().model()
    with pytest.raises(SnasError, match=r"does not begin with a tensor of inputs. Pass SNAS\(example_input"):
        source().for_batch({"images": ROWS})


def test_latency_is_measured_only_if_wanted_and_then_agreed_upon():
    agreed = LatencyTable({None: ONE * 7.0})
    asked = []

    def first_of_all(table):
        asked.append(table)
        return agreed

    assert "latency_ms" not in source(agreed=first_of_all).model(ROWS[:1]).names
    measured = source(wanted=["latency_ms"], agreed=first_of_all).model(ROWS[:1])
    assert measured.of({"layer": "skip"})["latency_ms"] == 7.0
    assert len(asked) == 1
    assert asked[0].parts[("layer", 0)].value({"layer": 0}) > 0
    given = source(latency_table=LatencyTable({None: ONE * 3.0}), agreed=first_of_all).model(ROWS[:1])
    assert given.of({"layer": "skip"})["latency_ms"] == 3.0
    assert len(asked) == 1


def test_a_checkpoint_keeps_the_latencies_as_they_were(tmp_path):
    """They are neither measured nor read again, on a machine that has become faster or without the file."""
    first = source(wanted=["latency_ms"])
    assert first.state_dict() == {}
    costs = first.model(ROWS[:1])
    torch.save(first.state_dict(), tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)

    def never(table):
        raise AssertionError("measured again")

    for other in (source(wanted=["latency_ms"], agreed=never), source(latency_table=tmp_path / "is_gone.json")):
        other.load_state_dict(state)
        again = other.model(ROWS[:1])
        for layer in ("linear", "skip"):
            assert again.of({"layer": layer})["latency_ms"] == costs.of({"layer": layer})["latency_ms"]
        assert other.state_dict() == state
    without = source(latency_table=LatencyTable({None: ONE * 3.0}))
    without.load_state_dict({})  # of a former version
    assert without.model(ROWS[:1]).of({"layer": "skip"})["latency_ms"] == 3.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_supernet_of_another_precision_is_counted_on_the_usual_example(dtype):
    strategy = SNAS(seed=1)
    supernet = strategy.mutate_model(Small()).to(dtype)
    costs = CostSource(supernet, strategy.distribution).model((ROWS[:1],))
    assert costs.of({"layer": "skip"})["macs"] == ONE_ROW
