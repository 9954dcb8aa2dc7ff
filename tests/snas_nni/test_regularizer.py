"""The interface of a term of the loss, and plain functions as terms."""

import functools
from types import SimpleNamespace

import pytest
import torch

from snas_nni import Regularizer, RegularizerTerm, SettingError
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.one_shot.loop.regularization import Regularization
from snas_nni.regularizer import as_regularizer, name_of


def distribution_of_two():
    return ArchitectureDistribution({"a": OneOf("a", ("x", "y"))}, seed=1)


class OnlyTheCall(Regularizer):
    def __call__(self, distribution, sample, step):
        return distribution.logits_of("a").sum() + step


class Asking(OnlyTheCall):
    name = "asking"
    costs = ("params",)

    def prepare(self, cost_model):
        self.model = cost_model


class OnlyPreparing(OnlyTheCall):
    def prepare(self, cost_model):
        self.model = cost_model


def plain(distribution, sample, step):
    return torch.tensor(2.0 + step)


def test_the_call_is_all_that_is_asked_for():
    with pytest.raises(TypeError, match="abstract"):
        Regularizer()
    term, distribution = OnlyTheCall(), distribution_of_two()
    term.prepare(None)
    term.load_state_dict({})
    assert (term.metrics(distribution), term.state_dict(), tuple(term.costs)) == ({}, {}, ())


def test_a_plain_function_is_a_regularizer_under_the_name_of_its_type():
    terms = [OnlyTheCall(), as_regularizer(plain), as_regularizer(functools.partial(plain, step=0)), Asking()]
    names = [name_of(term, position) for position, term in enumerate(terms)]
    assert names == ["OnlyTheCall_0", "function_1", "partial_2", "asking"]
    assert as_regularizer(terms[1]) is terms[1]


class Unheard:
    costs = ("params",)

    def __call__(self, distribution, sample, step):
        return torch.zeros(())

    def prepare(self, cost_model):
        raise AssertionError


@pytest.mark.parametrize(("term", "words"), [(Unheard(), "Unheard has costs, prepare"), (3, "int is not a")])
def test_hooks_that_nobody_would_call_are_refused(term, words):
    with pytest.raises(SettingError, match=words):
        as_regularizer(term)


def test_terms_come_whole_in_order():
    distribution = distribution_of_two()
    sample = distribution.draw(1.0)
    own = RegularizerTerm(torch.tensor(1.0), sample.mean_weights(), through_sample=True)
    regularization = Regularization([plain, lambda *_: own, OnlyTheCall()])
    (first, second, third) = regularization.terms(distribution, sample, 3)
    assert (first[0], float(first[1].value), first[1].read) == ("function_0", 5.0, {})
    assert second == ("function_1", own)
    assert float(third[1].value) == pytest.approx(float(distribution.logits_of("a").sum()) + 3)


@pytest.mark.parametrize(("terms", "counted"), [([plain, OnlyTheCall()], 0), ([Asking()], 1), ([OnlyPreparing()], 1)])
def test_costs_are_counted_once_and_only_for_those_that_ask(terms, counted):
    batches, model = [], SimpleNamespace()

    def count(batch):
        batches.append(batch)
        return model

    regularization = Regularization(terms, count)
    regularization.prepare("first")
    regularization.prepare("second")
    assert batches == ["first"] * counted
    assert all(term.model is model for term in terms if isinstance(term, (Asking, OnlyPreparing)))


class Counting(OnlyTheCall):
    calls = 0

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]

    def metrics(self, distribution):
        return {"counting/calls": float(self.calls)}


def test_states_go_into_a_checkpoint_by_position():
    before, after = Regularization([plain, Counting()]), Regularization([plain, Counting()])
    before.regularizers[1].calls = 7
    assert before.state_dict() == [{}, {"calls": 7}]
    after.load_state_dict(before.state_dict())
    assert after.metrics(distribution_of_two()) == {"counting/calls": 7.0}
    after.load_state_dict([None, {"calls": 8}])  # as a former version wrote it
    assert after.regularizers[1].calls == 8
