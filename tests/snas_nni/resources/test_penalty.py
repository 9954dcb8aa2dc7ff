"""The resource penalty: its value, its gradient against exact references, its refusals."""

import math

import nni
import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni import SNAS, SettingError, SnasError
from snas_nni.distribution.concrete import concrete_log_density
from snas_nni.one_shot.loop.step import SearchStep
from snas_nni.resources import LEVELS, OFFICIAL_COSTS, ResourcePenalty, penalty_level

# Two labels of two candidates, one of three; a product, a constant. All costs are above 1, where logarithms begin.
SIZES = {"a": 2, "b": 2, "c": 3}
COSTS = {
    "params": {
        (): 5.0,
        (("a", 0),): 2.0,
        (("a", 1),): 7.0,
        (("a", 1), ("b", 0)): 4.0,
        (("b", 1),): 11.0,
        (("c", 0),): 1.0,
        (("c", 2),): 6.0,
    },
    "macs": {(): 50.0, (("a", 1),): 30.0, (("b", 0), ("c", 1)): 90.0, (("b", 1), ("c", 2)): 10.0, (("c", 0),): 20.0},
}
SCALES = ("linear", "log", "log_per_choice")


def prepared(case, **settings):
    penalty = ResourcePenalty({"params": 2.0, "macs": 0.5}, **settings)
    penalty.prepare(case.model)
    return penalty


@pytest.fixture
def case(kit):
    made = kit.made(SIZES, COSTS)
    kit.set_logits(made.distribution, 2)
    return made


def gradient(value, distribution):
    return torch.autograd.grad(value, [distribution.logits_of(label) for label in distribution.choices])


def exact_value(kit, case, scale):
    """The penalty at the probabilities, from an enumeration of all children."""
    weights = {label: case.distribution.expected_weights(label).tolist() for label in SIZES}

    def expected(polynomial):
        return sum(
            math.prod(weights[label][index] for label, index in chosen.items()) * polynomial.value(chosen)
            for chosen in kit.indices(case.distribution)
        )

    factors = {"params": 2.0, "macs": 0.5}
    if scale == "linear":
        return sum(f * expected(case.model.polynomials[name]) for name, f in factors.items())
    if scale == "log":
        return sum(f * math.log(expected(case.model.polynomials[name])) for name, f in factors.items()) / 2.5
    return sum(
        f / 2.5 * math.log(max(1.0, expected(part)))
        for name, f in factors.items()
        for owner, part in case.model.parts[name].items()
        if owner is not None
    )


@pytest.mark.parametrize("scale", SCALES)
def test_expected_is_the_exact_expectation_and_its_gradient(kit, case, scale):
    """Against finite differences of an enumeration over all one-hot Z, in float64."""
    distribution = case.distribution
    penalty = prepared(case, weight=3.0, estimator="expected", scale=scale)
    value = penalty(distribution, distribution.draw(0.5), 0).value
    assert value.dtype is torch.float64
    assert float(value) == pytest.approx(3 * exact_value(kit, case, scale), rel=1e-12)
    gradients = dict(zip(SIZES, gradient(value, distribution), strict=True))
    step = 1e-5
    for label in SIZES:
        logits = distribution.logits_of(label)
        for k in range(len(logits)):
            with torch.no_grad():
                logits[k] += step
                above = 3 * exact_value(kit, case, scale)
                logits[k] -= 2 * step
                below = 3 * exact_value(kit, case, scale)
                logits[k] += step
            assert float(gradients[label][k]) == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("estimator", ["expected", "relaxed", "score"])
@pytest.mark.parametrize("scale", SCALES)
def test_gradients_of_a_row_sum_to_zero(case, estimator, scale):
    """Nothing depends on a constant added to all logits of a label."""
    penalty = prepared(case, estimator=estimator, scale=scale)
    for g in gradient(penalty(case.distribution, case.distribution.draw(0.3), 0).value, case.distribution):
        assert abs(float(g.sum())) < 1e-10 * max(1.0, float(g.abs().max()))
        assert g.abs().max() > 0


def concrete_reference(case, temperature, scale):
    """Gradient of E[penalty(Z)] over concrete Z, for labels a and b of two candidates each, c held at its mean.

    Z^1 = sigmoid((a^1 - a^0 + L) / temperature) with L logistic; the trapezoidal rule on L converges exponentially.
    """
    grid = torch.linspace(-30, 30, 801, dtype=torch.float64)
    density = torch.sigmoid(grid) * torch.sigmoid(-grid)
    density = density / density.sum()
    z = {}
    for label in ("a", "b"):
        logits = case.distribution.logits_of(label)
        one = torch.sigmoid((logits[1] - logits[0] + grid) / temperature)
        z[label] = torch.stack([1 - one, one])
    total = 0.0
    factors = {"params": 2.0, "macs": 0.5}
    for name, factor in factors.items():
        cost = torch.zeros(801, 801, dtype=torch.float64)
        for term, value in case.model.polynomials[name].terms.items():
            product = torch.full((801, 801), value, dtype=torch.float64)
            for label, index in term:
                product = product * (z[label][index][:, None] if label == "a" else z[label][index][None, :])
            cost = cost + product
        total = total + factor * (cost if scale == "linear" else cost.log() / 2.5)
    return gradient((total * density[:, None] * density[None, :]).sum(), case.distribution)


TWO = {"a": 2, "b": 2}
TWO_COSTS = {
    name: {term: value for term, value in terms.items() if all(label in TWO for label, _ in term)}
    for name, terms in COSTS.items()
}


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_estimators_have_the_gradient_of_the_concrete_expectation_as_their_mean(kit, temperature, scale):
    """Pathwise, score, score with baseline: each within 4 standard errors of a quadrature, in every component."""
    case = kit.made(TWO, TWO_COSTS)
    kit.set_logits(case.distribution, 2)
    reference = torch.cat(concrete_reference(case, temperature, scale))
    penalties = {
        "relaxed": prepared(case, estimator="relaxed", scale=scale),
        "score": prepared(case, estimator="score", scale=scale),
        "baseline": prepared(case, estimator="score", scale=scale, baseline=True),
    }
    found = {name: [] for name in penalties}
    generator = torch.Generator().manual_seed(5)
    for step in range(800):
        sample = case.distribution.draw(temperature, generator)
        for name, penalty in penalties.items():
            value = penalty(case.distribution, sample, step).value
            found[name].append(
                torch.cat(torch.autograd.grad(value, list(case.distribution.parameters()), retain_graph=True))
            )
    spread = {}
    for name, rows in found.items():
        gradients = torch.stack(rows[1:])  # the first has no past to take a baseline from
        error = gradients.std(0) / len(gradients) ** 0.5
        assert ((gradients.mean(0) - reference).abs() < 4 * error).all(), (name, gradients.mean(0), reference, error)
        spread[name] = float(gradients.std(0).mean())
    assert spread["baseline"] < 0.5 * spread["score"]


def test_at_low_temperature_the_concrete_gradient_tends_to_the_categorical_one(kit):
    """Its error is of second order in the temperature: half the temperature, a quarter of the error."""
    case = kit.made(TWO, TWO_COSTS)
    kit.set_logits(case.distribution, 2)
    penalty = prepared(case, estimator="expected")
    exact = torch.cat(gradient(penalty(case.distribution, case.distribution.draw(1.0), 0).value, case.distribution))
    errors = [
        float((torch.cat(concrete_reference(case, temperature, "linear")) - exact).norm())
        for temperature in (0.2, 0.1, 0.05)
    ]
    assert errors[2] < 0.02 * float(exact.norm())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def mean_gradient(penalty, distribution, draw, count, generator_seed=5):
    rows = []
    generator = torch.Generator().manual_seed(generator_seed)
    for step in range(count):
        value = penalty(distribution, draw(generator), step).value
        rows.append(torch.cat(torch.autograd.grad(value, list(distribution.parameters()))))
    gradients = torch.stack(rows[1:])
    return gradients.mean(0), gradients.std(0) / len(gradients) ** 0.5


def test_score_at_a_low_temperature_is_the_categorical_gradient(kit, case):
    """Three candidates and products too: at 0.03 within 4 standard errors (the bias is 1000 times smaller)."""
    penalty = prepared(case, estimator="score", baseline=True)
    exact = prepared(case, estimator="expected")
    reference = torch.cat(gradient(exact(case.distribution, case.distribution.draw(1.0), 0).value, case.distribution))
    mean, error = mean_gradient(penalty, case.distribution, lambda g: case.distribution.draw(0.03, g), 1000)
    assert ((mean - reference).abs() < 4 * error).all(), (mean, reference, error)


def test_on_a_single_path_the_relaxed_penalty_has_the_categorical_gradient(kit, case):
    """Z is one-hot there, and its gradient the chosen candidate's credit times the score."""
    penalty = prepared(case, estimator="relaxed")
    exact = prepared(case, estimator="expected")
    reference = torch.cat(gradient(exact(case.distribution, case.distribution.draw(1.0), 0).value, case.distribution))
    mean, error = mean_gradient(penalty, case.distribution, lambda _: case.distribution.draw_single_path(1.0), 1000)
    assert ((mean - reference).abs() < 4 * error).all(), (mean, reference, error)


# ---- the trap --------------------------------------------------------------------------------------------------------


def undetached_log_density(distribution, sample):
    return torch.stack(
        [
            concrete_log_density(sample.log_rows[label], distribution.rows_of(label), sample.temperature).sum()
            for label in distribution.choices
        ]
    ).sum()


def test_a_score_of_an_attached_sample_would_pull_without_a_reason(kit, monkeypatch):
    """All candidates cost the same: the gradient is noise around 0. With the sample attached it is not.

    What the trap leaves has the mean (n E[Z] - 1) / temperature: a pull to the uniform distribution (for n = 4,
    temperature 0.2 and these logits: 0.006, -2.73, 3.99, -1.27).
    """
    case = kit.made({"a": 4}, {"params": {(("a", k),): 1.0 for k in range(4)}})
    with torch.no_grad():
        case.distribution.double().logits_of("a").copy_(torch.tensor([0.3, -0.5, 0.9, 0.0]))
    penalty = ResourcePenalty({"params": 1.0}, estimator="score")
    penalty.prepare(case.model)
    draw = lambda generator: case.distribution.draw(0.2, generator)
    mean, error = mean_gradient(penalty, case.distribution, draw, 1000)
    assert (mean.abs() < 4 * error).all()

    monkeypatch.setattr(case.distribution, "log_density", lambda s: undetached_log_density(case.distribution, s))
    mean, error = mean_gradient(penalty, case.distribution, draw, 1000)
    trapped = torch.tensor([0.006, -2.73, 3.99, -1.27], dtype=torch.float64)
    assert ((mean - trapped).abs() < 4 * error + 0.01).all(), (mean, error)
    assert (mean.abs() > 4 * error).any()


def test_score_shows_the_cost_itself(case):
    sample = case.distribution.draw(0.5)
    score, relaxed = (
        prepared(case, **settings)(case.distribution, sample, 0)
        for settings in ({"estimator": "score", "baseline": True}, {"estimator": "relaxed"})
    )
    assert float(score.value) == pytest.approx(float(relaxed.value), rel=1e-12)


def test_the_baseline_is_the_mean_of_the_past_and_survives_a_checkpoint(case):
    penalty, again = (prepared(case, estimator="score", baseline=True) for _ in range(2))
    for step in range(5):
        penalty(case.distribution, case.distribution.draw(0.5), step)
    again.load_state_dict(penalty.state_dict())
    sample = case.distribution.draw(0.5)
    first, second = (
        torch.cat(gradient(p(case.distribution, sample, 5).value, case.distribution)) for p in (penalty, again)
    )
    assert torch.equal(first, second)
    fresh = prepared(case, estimator="score", baseline=True)(case.distribution, sample, 5)
    assert not torch.equal(first, torch.cat(gradient(fresh.value, case.distribution)))


# ---- scales ----------------------------------------------------------------------------------------------------------


def test_costs_below_one_count_as_one_in_a_logarithm(kit):
    case = kit.made({"a": 2}, {"params": {(("a", 0),): 0.25, (("a", 1),): 0.5}})
    kit.set_logits(case.distribution)
    for scale in ("log", "log_per_choice"):
        penalty = ResourcePenalty({"params": 1.0}, scale=scale)
        penalty.prepare(case.model)
        value = penalty(case.distribution, case.distribution.draw(1.0), 0).value
        assert float(value) == 0.0
        assert not any(g.any() for g in gradient(value, case.distribution))


def test_log_per_choice_is_the_mean_over_layers_summed_over_labels(kit):
    class Stack(ModelSpace):
        def __init__(self):
            super().__init__()
            choices = [LayerChoice([nn.Linear(n, n), nn.Linear(n, n, bias=False)], label="a") for n in (4, 4, 4)]
            self.layers = nn.Sequential(*choices, LayerChoice([nn.Linear(4, 4), nn.Identity()], label="b"))

        def forward(self, x):
            return self.layers(x)

    case = kit.counted(Stack, torch.zeros(1, 4))
    penalty = ResourcePenalty({"params": 3.0}, scale="log_per_choice")
    penalty.prepare(case.model)
    weights = {"a": torch.tensor([0.5, 0.5]), "b": torch.tensor([0.25, 0.75])}
    assert float(penalty.combined(weights)) == pytest.approx(math.log(18) + math.log(5), rel=1e-6)


def test_a_space_without_costs_of_choice_is_refused(kit):
    case = kit.made({"a": 2}, {"params": {(): 10.0}})
    penalty = ResourcePenalty({"params": 1.0}, scale="log_per_choice")
    penalty.prepare(case.model)
    with pytest.raises(SnasError, match="no choice of this space has a cost"):
        penalty(case.distribution, case.distribution.draw(1.0), 0)


# ---- the real step ---------------------------------------------------------------------------------------------------


class Nested(ModelSpace):
    """Nested choices, a shared label, a depth; the label ``idle`` chooses between equals."""

    def __init__(self):
        super().__init__()
        inner = LayerChoice([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)], label="inner")
        self.layers = nn.Sequential(
            LayerChoice([inner, nn.Identity()], label="outer"),
            Repeat(
                lambda _: LayerChoice([nn.Linear(4, 4), nn.Identity()], label="shared"), nni.choice("depth", [1, 3])
            ),
            LayerChoice([nn.Linear(4, 4), nn.Identity()], label="shared"),
            LayerChoice([nn.ReLU(), nn.Sigmoid()], label="idle"),
            nn.Linear(4, 3),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("estimator", ["expected", "relaxed", "score"])
@pytest.mark.parametrize("scale", SCALES)
def test_the_penalty_alone_moves_every_logit_that_can_change_the_cost(kit, monkeypatch, estimator, scale):
    """Through the strategy's own training step, with a task loss of zero."""
    penalty = ResourcePenalty({"params": 1.0, "macs": 1.0}, estimator=estimator, scale=scale)
    strategy = SNAS(seed=1, regularizers=[penalty])
    seen = []
    original = SearchStep.step_logits

    def watched(self, optimizer):
        distribution = self._distribution
        seen.append({label: distribution.logits_of(label).grad.clone() for label in distribution.choices})
        original(self, optimizer)

    monkeypatch.setattr(SearchStep, "step_logits", watched)
    kit.searched(Nested(), strategy, (4,), module=kit.Module(task=0.0), max_epochs=2)
    for label, found in seen[0].items():
        assert torch.isfinite(found).all(), label
        if label == "idle" and estimator != "score":  # a score is of all labels of the sample, costly or not
            assert not found.any()
        else:
            assert (found != 0).all(), (label, found)


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"costs": {}}, "at least one cost"),
        ({"costs": {"params": -1.0}}, "positive weight"),
        ({"costs": {"params": 0.0}}, "positive weight"),
        ({"costs": {"params": math.nan}}, "positive weight"),
        ({"costs": {"params": math.inf}}, "positive weight"),
        ({"weight": -1.0}, "weight of the resource penalty"),
        ({"weight": math.nan}, "weight of the resource penalty"),
        ({"weight": math.inf}, "weight of the resource penalty"),
        ({"estimator": "reinforce"}, "'relaxed', 'expected' or 'score', got 'reinforce'"),
        ({"scale": "sqrt"}, "'linear', 'log' or 'log_per_choice', got 'sqrt'"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        ResourcePenalty(**settings)


def test_costs_that_were_not_counted_are_refused(case):
    for name, words in (("latency_ms", "no cost 'latency_ms'"), ("activation_peak", "is a maximum")):
        with pytest.raises(SettingError, match=words):
            ResourcePenalty({name: 1.0}).prepare(case.model)
    with pytest.raises(SnasError, match="prepare"):
        ResourcePenalty()(case.distribution, case.distribution.draw(1.0), 0)


def test_levels_are_the_official_penalty_with_growing_weight():
    weights = [penalty_level(level).weight for level in ("mild", "moderate", "aggressive")]
    assert weights == sorted(LEVELS.values())
    penalty = penalty_level("moderate")
    assert (penalty.estimator, penalty.scale, penalty.weight) == ("relaxed", "log_per_choice", 1.5e-3)
    assert set(penalty.costs) == set(OFFICIAL_COSTS)
    with pytest.raises(SettingError, match="mild, moderate, aggressive, got 'fierce'"):
        penalty_level("fierce")


def test_a_level_with_a_weight_of_ones_own_checks_it():
    assert penalty_level("mild", 0.25).weight == 0.25
    assert penalty_level("mild", 0).weight == 0
    for weight in (-0.1, math.inf, math.nan):
        with pytest.raises(SettingError, match=f"weight of the resource penalty must be finite and >= 0, got {weight}"):
            penalty_level("mild", weight)
