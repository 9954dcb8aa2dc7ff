"""What a search shows: closed forms on known distributions."""

import math

import pytest
import torch

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from snas_nni.one_shot.telemetry import CreditMeter, logit_movement, search_metrics
from snas_nni.regularizer import RegularizerTerm


def make(choices, logits=None):
    distribution = ArchitectureDistribution({c.label: c for c in choices}, initial_std=0.0)
    with torch.no_grad():
        for label, values in (logits or {}).items():
            distribution.logits_of(label).copy_(torch.tensor(values))
    return distribution


EDGES = [OneOf("a", ("none", "skip_connect", "conv")), OneOf("b", ("none", "conv"))]


def test_of_a_uniform_distribution():
    metrics = search_metrics(make(EDGES))
    assert metrics == pytest.approx(
        {
            "search/entropy": math.log(3) + math.log(2),
            "search/entropy_share": 1.0,
            "search/top2_gap": 0.0,
            "search/zero_share": (1 / 3 + 1 / 2) / 2,
            "search/skip_share": 1 / 3,
            "entropy/a": math.log(3),
            "entropy/b": math.log(2),
            **{f"probability/a/{name}": 1 / 3 for name in ("none", "skip_connect", "conv")},
            **{f"probability/b/{name}": 1 / 2 for name in ("none", "conv")},
        },
        abs=1e-6,
    )


def test_of_a_decided_distribution():
    metrics = search_metrics(make(EDGES, {"a": [50.0, 0.0, 0.0], "b": [0.0, 50.0]}))
    assert metrics["search/entropy"] == pytest.approx(0, abs=1e-6)
    assert metrics["search/entropy_share"] == pytest.approx(0, abs=1e-6)
    assert metrics["search/top2_gap"] == pytest.approx(1)
    assert metrics["search/zero_share"] == pytest.approx(0.5)
    assert metrics["search/skip_share"] == pytest.approx(0)


def test_the_gap_is_between_the_two_largest():
    metrics = search_metrics(make([OneOf("a", ("x", "y", "z"))], {"a": [math.log(0.5), math.log(0.3), math.log(0.2)]}))
    assert metrics["search/top2_gap"] == pytest.approx(0.2, abs=1e-6)


def test_shares_appear_only_where_there_is_such_an_operation():
    metrics = search_metrics(make([OneOf("kernel", (3, 5))]))
    assert not {"search/zero_share", "search/skip_share"} & metrics.keys()


def test_every_kind_of_choice():
    choices = [OneOf("one", (1, 2)), SubsetOf("some", (0, 1, 2), 2), AnyOf("any", (0, 1, 2)), OneOf("fixed", (1,))]
    metrics = search_metrics(make(choices))
    assert {k: metrics[f"entropy/{k}"] for k in ("one", "some", "any", "fixed")} == pytest.approx(
        {"one": math.log(2), "some": math.log(3), "any": 3 * math.log(2), "fixed": 0.0}, abs=1e-6
    )
    assert metrics["search/entropy_share"] == pytest.approx(1)


def test_a_space_with_one_outcome():
    metrics = search_metrics(make([OneOf("fixed", (1,))]))
    assert metrics["search/entropy_share"] == 0.0
    assert metrics["search/top2_gap"] == 1.0


def test_a_label_may_equal_a_name_of_an_operation():
    assert "search/zero_share" not in search_metrics(make([OneOf("none", (1, 2))]))


def test_movement_is_the_root_mean_square_change_of_log_probabilities():
    distribution = make(EDGES)
    before = {k: torch.log_softmax(distribution.rows_of(k), -1).detach() for k in ("a", "b")}
    assert logit_movement(before, distribution) == 0.0
    with torch.no_grad():
        distribution.logits_of("a").add_(4.0)  # a shift of a row changes no probability
    assert logit_movement(before, distribution) == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        distribution.logits_of("b").copy_(torch.tensor([0.0, math.log(3)]))  # to 1/4 and 3/4
    changes = [0.0, 0.0, 0.0, math.log(0.25 / 0.5), math.log(0.75 / 0.5)]
    assert logit_movement(before, distribution) == pytest.approx(math.sqrt(sum(c * c for c in changes) / 5), abs=1e-6)


def test_nothing_holds_a_graph():
    assert all(isinstance(value, float) for value in search_metrics(make(EDGES)).values())


class TestCredit:
    """Sum over k of Z^k dL/dZ^k, split into the task's and the terms' part, for losses with a known gradient."""

    slope = torch.tensor([1.0, -2.0, 0.5])

    def metered(self, terms_of):
        distribution = make(EDGES, {"a": [0.3, 0.1, -0.2]})
        torch.manual_seed(0)
        sample, meter = distribution.draw(1.0), CreditMeter()
        terms = terms_of(distribution, sample)
        loss = (sample.weights["a"][0] * self.slope).sum() + sum(term.value for term in terms)
        meter.watch(sample, terms)
        loss.backward()
        return meter.metrics(), sample.weights["a"][0].detach(), distribution.expected_weights("a").detach()

    def test_of_the_task_alone(self):
        found, z, _ = self.metered(lambda distribution, sample: [])
        assert found == {"credit/task/a": pytest.approx(float((z * self.slope).sum()))}

    def test_terms_through_the_sample_are_taken_off_the_task_once(self):
        """Two terms that read the same weights: their gradient there is one sum."""

        def terms(distribution, sample):
            read = sample.mean_weights()
            values = (read["a"].square().sum(), 3 * read["a"][1])
            return [RegularizerTerm(value, read, through_sample=True) for value in values]

        found, z, _ = self.metered(terms)
        assert found["credit/task/a"] == pytest.approx(float((z * self.slope).sum()), abs=1e-6)
        assert found["credit/cost/a"] == pytest.approx(float(2 * z.square().sum() + 3 * z[1]))

    def test_terms_of_the_probabilities_do_not_touch_the_task(self):
        def terms(distribution, sample):
            read = {label: distribution.expected_weights(label) for label in distribution.choices}
            return [RegularizerTerm(read["a"].square().sum(), read)]

        found, z, p = self.metered(terms)
        assert found["credit/task/a"] == pytest.approx(float((z * self.slope).sum()))
        assert found["credit/cost/a"] == pytest.approx(float(2 * p.square().sum()))
