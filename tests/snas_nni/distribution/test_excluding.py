"""Excluded categories: everything is as in the smaller space, without NaN, also in gradients and checkpoints."""

import math

import pytest
import torch

from snas_nni import SnasError
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from snas_nni.distribution.concrete import concrete_log_density, concrete_log_sample, entropy, gumbel_noise
from snas_nni.one_shot.telemetry import EpochTelemetry, logit_movement, search_metrics

KEPT = [0, 2, 3]
CHOICES = {"op": OneOf("op", ("a", "b", "c", "d")), "other": OneOf("other", ("x", "y"))}


def made(excluded=None, choices=CHOICES):
    distribution = ArchitectureDistribution(choices, seed=1, initial_std=1.0).double()
    if excluded is not None:
        distribution.exclude(excluded)
    return distribution


def test_probabilities_entropy_and_mode_are_those_of_what_is_left():
    distribution = made()
    with torch.no_grad():
        distribution.logits_of("op").copy_(torch.tensor([0.3, 5.0, 0.1, -0.2]))
    logits = distribution.logits_of("op").detach()[KEPT]
    assert distribution.mode()["op"] == "b"
    distribution.exclude({"op": [1]})
    expected = torch.softmax(logits, -1)
    weights = distribution.expected_weights("op")
    torch.testing.assert_close(weights[KEPT], expected)
    assert weights[1] == 0
    assert distribution.entropies()["op"] == pytest.approx(float(-(expected * expected.log()).sum()), rel=1e-12)
    assert distribution.mode()["op"] == "a"
    assert distribution.log_probability({"op": "b", "other": "x"}) == -math.inf
    assert distribution.log_probability({"op": "c", "other": "x"}) == pytest.approx(
        float(expected[1].log() + torch.log_softmax(distribution.logits_of("other").detach(), -1)[0])
    )


@pytest.mark.parametrize("temperature", [1.0, 0.03])
def test_samples_and_their_gradients_are_those_of_the_smaller_space(temperature):
    logits = torch.tensor([0.3, 5.0, 0.1, -0.2], dtype=torch.float64)
    noise = gumbel_noise((4,), torch.Generator().manual_seed(2))
    whole = logits.clone().requires_grad_()
    masked = whole.masked_fill(torch.tensor([False, True, False, False]), -math.inf)
    small = logits[KEPT].clone().requires_grad_()
    of_whole = concrete_log_sample(masked, temperature, noise).exp()
    of_small = concrete_log_sample(small, temperature, noise[KEPT]).exp()
    torch.testing.assert_close(of_whole[KEPT], of_small)
    assert of_whole[1] == 0
    factors = torch.tensor([1.0, -7.0, 2.0, 3.0], dtype=torch.float64)
    (of_whole * factors).sum().backward()
    (of_small * factors[KEPT]).sum().backward()
    torch.testing.assert_close(whole.grad[KEPT], small.grad)
    assert whole.grad[1] == 0


def test_entropy_and_density_have_the_gradient_of_the_smaller_space():
    logits = torch.tensor([[0.3, 5.0, 0.1, -0.2]], dtype=torch.float64)
    mask = torch.tensor([False, True, False, False])
    log_small = concrete_log_sample(logits[:, KEPT], 0.7, gumbel_noise((1, 3), torch.Generator().manual_seed(2)))
    log_whole = torch.full((1, 4), -math.inf, dtype=torch.float64)
    log_whole[:, KEPT] = log_small
    for function in (
        lambda rows, log_z: entropy(rows),
        lambda rows, log_z: concrete_log_density(log_z, rows, 0.7),
    ):
        whole, small = logits.clone().requires_grad_(), logits[:, KEPT].clone().requires_grad_()
        a, b = function(whole.masked_fill(mask, -math.inf), log_whole), function(small, log_small)
        torch.testing.assert_close(a, b)
        a.sum().backward()
        b.sum().backward()
        torch.testing.assert_close(whole.grad[:, KEPT], small.grad)
        assert whole.grad[0, 1] == 0


def test_no_draw_has_an_excluded_candidate_and_the_others_keep_their_odds():
    """Of n = 4,000 draws the share of each kept candidate is within 4 standard errors of its probability."""
    distribution = made({"op": [1]})
    probabilities = distribution.expected_weights("op").detach()
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[distribution.draw_single_path(1.0).weights["op"][0].argmax()] += 1
    assert counts[1] == 0
    shares = counts / 4000
    errors = (probabilities * (1 - probabilities) / 4000).sqrt()
    assert ((shares - probabilities).abs() <= 4 * errors).all()


@pytest.mark.parametrize("draw", ["draw", "draw_single_path"])
def test_every_gradient_of_a_step_is_finite(draw):
    distribution = made({"op": [1], "other": [0]})
    sample = getattr(distribution, draw)(0.03)
    loss = sum((weights * torch.arange(1.0, weights.shape[-1] + 1)).sum() for weights in sample.weights.values())
    (loss + distribution.log_density(sample)).backward()
    for label in CHOICES:
        assert torch.isfinite(distribution.logits_of(label).grad).all()
    assert distribution.logits_of("op").grad[1] == 0


def test_one_candidate_left_is_decided():
    distribution = made({"other": [1]})
    assert distribution.entropies()["other"] == 0
    assert not distribution.is_decided
    assert distribution.expected_weights("other").tolist() == [1.0, 0.0]
    sample = distribution.draw(0.5)
    assert sample.weights["other"].tolist() == [[1.0, 0.0]]
    sample.weights["other"].sum().backward()
    assert distribution.logits_of("other").grad.tolist() == [0.0, 0.0]
    distribution.exclude({"op": [0, 1, 3], "other": [1]})
    assert distribution.is_decided
    assert distribution.mode() == {"op": "c", "other": "x"}


def test_a_subset_choice_excludes_subsets():
    choices = {"in": SubsetOf("in", (0, 1, 2), 2)}  # subsets 01, 02, 12
    distribution = made({"in": [0, 1]}, choices)
    assert distribution.mode() == {"in": [1, 2]}
    assert distribution.expected_weights("in").tolist() == [0.0, 1.0, 1.0]


def test_telemetry_is_that_of_what_is_left(caplog):
    distribution = made()
    telemetry = EpochTelemetry(distribution)
    telemetry.begin()
    before = {label: torch.log_softmax(distribution.rows_of(label), -1) for label in CHOICES}
    distribution.exclude({"op": [1], "other": [0]})
    with torch.no_grad():
        for label in CHOICES:
            distribution.logits_of(label).zero_()
            before[label] = torch.zeros_like(before[label])
    metrics = search_metrics(distribution)
    assert metrics["search/entropy"] == pytest.approx(math.log(3))
    assert metrics["search/entropy_share"] == pytest.approx(1.0)
    assert metrics["probability/op/b"] == 0
    assert logit_movement(before, distribution) == pytest.approx(0.0, abs=1e-12)  # excluding moves no logit
    with torch.no_grad():
        distribution.logits_of("op").copy_(torch.tensor([1.0, 9.0, 0.0, 0.0]))
    moved = torch.log_softmax(torch.tensor([1.0, 0.0, 0.0]), -1) + math.log(3)
    expected = math.sqrt(float(moved.square().sum()) / 4)  # three of "op", one of "other"
    assert logit_movement(before, distribution) == pytest.approx(expected)


def test_a_decided_search_is_not_said_to_stand_still(caplog):
    for excluded, words in (({"op": [0, 1, 3], "other": [1]}, 0), ({"op": [1]}, 1)):
        distribution = made(excluded)
        telemetry = EpochTelemetry(distribution)
        telemetry.begin()
        telemetry.watch(1.0, distribution.draw(1.0), [])
        caplog.clear()
        assert telemetry.end(0, 1.0, resting=False)["search/logit_movement"] == 0
        assert caplog.text.count("no logit moved") == words


def test_a_checkpoint_keeps_what_is_excluded_and_older_ones_load():
    distribution = made({"op": [1, 3]})
    state = distribution.state_dict()
    other = made()
    other.load_state_dict(state)
    assert other.excluded == {"op": (1, 3)}
    assert torch.equal(other.rows_of("op"), distribution.rows_of("op"))
    del state["_extra_state"]
    other.load_state_dict(state)
    assert other.excluded == {}


@pytest.mark.parametrize(
    ("excluded", "words"),
    [({"op": [0, 1, 2, 3]}, "all of its candidates"), ({"op": [4]}, "none such"), ({"nothing": [0]}, "none such")],
)
def test_what_cannot_be_excluded_is_refused_by_label(excluded, words):
    with pytest.raises(SnasError, match=rf"label '{next(iter(excluded))}'.*{words}"):
        made(excluded)


def test_gates_cannot_be_excluded():
    with pytest.raises(SnasError, match="label 'any'"):
        made({"any": [0]}, {"any": AnyOf("any", (0, 1))})
