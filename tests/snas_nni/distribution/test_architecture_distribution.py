"""The logits of all labels, and what is drawn or read from them."""

import copy
import itertools
import math

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, Repeat
from torch import nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from snas_nni.distribution.concrete import concrete_log_density
from snas_nni.errors import SettingError, UnsupportedSpaceError

CHOICES = {
    "op": OneOf("op", ("a", "b", "c")),
    "kernel": OneOf("kernel", (3, 5)),
    "pair": SubsetOf("pair", (0, 1, 2, 3), 2),
    "any": AnyOf("any", (0, 1, 2)),
}


def make(**settings):
    return ArchitectureDistribution(CHOICES, **{"seed": 1, **settings})


class ConvSpace(ModelSpace):
    """Two cells that share labels, a choice inside a choice, a depth."""

    def __init__(self):
        super().__init__()

        def operations():
            return {
                "conv": nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(3)),
                "pool": nn.MaxPool2d(3, 1, 1),
                "inner": LayerChoice([nn.Conv2d(3, 3, 1), nn.Identity()], label="inner"),
                "skip": nn.Identity(),
            }

        self.first = LayerChoice(operations(), label="op")
        self.second = LayerChoice(operations(), label="op")
        self.third = LayerChoice(operations(), label="other")
        self.tail = Repeat(lambda i: nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh()), (0, 2), label="depth")
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        x = self.tail(self.third(self.second(self.first(x))))
        return self.head(x.mean((2, 3)))


class TestGradientOfARealSupernet:
    """dL/da^k = Z^k (c^k - sum_m Z^m c^m) / lambda, with c = dL/dZ, in float64."""

    @pytest.fixture(scope="class")
    def net(self, tools):
        torch.manual_seed(0)
        strategy, supernet = tools.mutate(ConvSpace(), skip_tolerance=0, initial_logits_std=1.0)
        return strategy.distribution.double(), supernet.double()

    @pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2, 0.1, 0.03])
    def test_autograd_is_the_closed_form(self, net, temperature):
        distribution, supernet = net
        x, y = torch.randn(4, 3, 6, 6, dtype=torch.float64), torch.arange(4)
        sample = distribution.draw(temperature)
        labels = list(distribution.choices)
        with distribution.use(sample):
            loss = nn.functional.cross_entropy(supernet(x), y)
        z = [sample.weights[label] for label in labels]
        a = [distribution.logits_of(label) for label in labels]
        c = torch.autograd.grad(loss, z, retain_graph=True)
        gradients = torch.autograd.grad(loss, a)
        assert len(labels) == 4
        assert a[0].dtype == torch.float64
        for weights, cost, gradient in zip(z, c, gradients, strict=True):
            weights, cost = weights[0].detach(), cost[0]
            expected = weights * (cost - (weights * cost).sum()) / temperature
            torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-14)
            assert abs(float(gradient.sum())) < 1e-13 / temperature
        assert max(float(g.abs().max()) for g in gradients) > (1e-4 if temperature > 0.05 else 0)

    def test_rows_sum_to_zero_for_any_loss_that_sees_the_logits_through_z_and_the_softmax(self, net):
        distribution, supernet = net
        sample = distribution.draw(0.6)
        with distribution.use(sample):
            loss = supernet(torch.randn(2, 3, 6, 6, dtype=torch.float64)).square().sum()
        for label in distribution.choices:
            loss = loss + distribution.expected_weights(label).square().sum() * 3 + distribution.rows_of(label).var()
        distribution.zero_grad()
        loss.backward()
        for label in distribution.choices:
            gradient = distribution.logits_of(label).grad
            assert float(gradient.abs().max()) > 1e-3
            assert abs(float(gradient.sum())) < 1e-12

    def test_the_gradient_agrees_with_finite_differences_through_draw(self, net):
        distribution, supernet = net
        supernet.eval()
        x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
        logits = distribution.logits_of("op")

        def loss():
            with distribution.use(distribution.draw(0.5, torch.Generator().manual_seed(8))):
                return supernet(x).square().sum()

        gradient = torch.autograd.grad(loss(), logits)[0]
        for index, step in itertools.product(range(4), [1e-6]):
            with torch.no_grad():
                logits[index] += step
                above = loss()
                logits[index] -= 2 * step
                below = loss()
                logits[index] += step
            assert float((above - below) / (2 * step)) == pytest.approx(float(gradient[index]), rel=1e-5, abs=1e-8)
        supernet.train()


class TestDrawing:
    @pytest.mark.parametrize("temperature", [2.0, 1.0, 0.3, 0.03, 1e-3])
    def test_rows_are_finite_in_log_space_and_sum_to_one(self, temperature):
        sample = make().draw(temperature)
        assert sample.temperature == temperature
        for log_z in sample.log_rows.values():
            assert torch.isfinite(log_z).all()
            torch.testing.assert_close(log_z.exp().sum(-1), torch.ones(log_z.shape[:-1]))

    def test_the_same_seed_draws_the_same(self):
        first, second, other = make(), make(), make(seed=2)
        for label in CHOICES:
            assert torch.equal(first.logits_of(label), second.logits_of(label))
            assert not torch.equal(first.logits_of(label), other.logits_of(label))
        for _ in range(3):
            a, b, c = first.draw(0.5), second.draw(0.5), other.draw(0.5)
            for label in CHOICES:
                assert torch.equal(a.log_rows[label], b.log_rows[label])
                assert not torch.equal(a.log_rows[label], c.log_rows[label])

    def test_successive_draws_differ(self):
        distribution = make()
        assert not torch.equal(distribution.draw(0.5).weights["op"], distribution.draw(0.5).weights["op"])

    def test_the_global_generator_neither_decides_nor_moves(self):
        torch.manual_seed(1)
        first = make().draw(0.5)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        second = make().draw(0.5)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(first.weights["op"], second.weights["op"])

    def test_a_borrowed_generator_leaves_the_own_one_alone(self):
        looked, undisturbed = make(), make()
        looked.draw(0.5, torch.Generator().manual_seed(5))
        assert torch.equal(looked.draw(0.5).weights["op"], undisturbed.draw(0.5).weights["op"])

    def test_labels_are_independent(self):
        distribution = make(initial_std=0.0)
        draws = [distribution.draw(1.0) for _ in range(1000)]
        with torch.no_grad():
            first = torch.stack([s.weights["op"][0, 0] for s in draws])
            second = torch.stack([s.weights["kernel"][0, 0] for s in draws])
        correlation = float(torch.corrcoef(torch.stack([first, second]))[0, 1])
        assert abs(correlation) < 4 / math.sqrt(1000)

    @pytest.mark.parametrize("temperature", [1.0, 0.1])
    def test_the_nearest_value_follows_the_probabilities(self, temperature):
        distribution = make(initial_std=1.0)
        count = 1000
        with torch.no_grad():
            drawn = [distribution.draw(temperature).values() for _ in range(count)]
        expected = distribution.probabilities()
        for label in ("op", "kernel", "pair", "any"):
            for candidate, p in expected[label].items():
                seen = sum(v[label] == candidate if label in ("op", "kernel") else candidate in v[label] for v in drawn)
                assert abs(seen / count - p) < 4 * math.sqrt(p * (1 - p) / count), (label, candidate)

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
    def test_the_temperature_must_be_positive(self, temperature):
        with pytest.raises(SettingError, match=f"temperature must be positive, got {temperature}"):
            make().draw(temperature)


class TestInitialLogits:
    def test_their_spread(self):
        choices = {str(i): OneOf(str(i), tuple(range(8))) for i in range(500)}
        distribution = ArchitectureDistribution(choices, initial_std=0.01)
        values = torch.cat([p.detach() for p in distribution.parameters()])
        assert float(values.std()) == pytest.approx(0.01, rel=4 / math.sqrt(2 * len(values)))
        assert abs(float(values.mean())) < 4 * 0.01 / math.sqrt(len(values))

    def test_none(self):
        assert not any(p.any() for p in make(initial_std=0.0).parameters())


class TestReading:
    def test_expected_weights_are_probabilities_with_gradient(self):
        distribution = make(initial_std=1.0)
        torch.testing.assert_close(distribution.expected_weights("op"), torch.softmax(distribution.logits_of("op"), 0))
        assert float(distribution.expected_weights("pair").sum().detach()) == pytest.approx(2)
        for label in CHOICES:
            distribution.zero_grad()
            distribution.expected_weights(label)[0].backward()
            gradient = distribution.logits_of(label).grad
            assert torch.isfinite(gradient).all()
            assert gradient.any()

    def test_probabilities_are_named_by_candidate(self):
        distribution = make(initial_std=1.0)
        probabilities = distribution.probabilities()
        assert {label: tuple(p) for label, p in probabilities.items()} == {k: c.candidates for k, c in CHOICES.items()}
        assert sum(probabilities["op"].values()) == pytest.approx(1)
        assert all(isinstance(p, float) for p in probabilities["any"].values())

    def test_the_mode_has_the_largest_probability_of_all_outcomes(self, tools):
        distribution = make(initial_std=1.0)
        mode = distribution.mode()

        def log_probability(label, value):
            rows = torch.log_softmax(distribution.rows_of(label), -1)
            return sum(float(rows[r, k]) for r, k in enumerate(CHOICES[label].categories(value)))

        for label, choice in CHOICES.items():
            best = max(tools.outcomes(choice), key=lambda value, label=label: log_probability(label, value))
            assert mode[label] == best
        assert distribution.mode_sample().values() == mode

    def test_the_mode_may_be_a_zero_operation(self):
        distribution = ArchitectureDistribution({"x": OneOf("x", ("conv", "none"))})
        with torch.no_grad():
            distribution.logits_of("x").copy_(torch.tensor([0.0, 1.0]))
        assert distribution.mode() == {"x": "none"}

    def test_entropies(self):
        distribution = make(initial_std=0.0)
        entropies = distribution.entropies()
        assert entropies == pytest.approx(
            {"op": math.log(3), "kernel": math.log(2), "pair": math.log(6), "any": 3 * math.log(2)}
        )

    def test_log_density_is_the_sum_over_all_rows(self):
        distribution = make(initial_std=1.0)
        sample = distribution.draw(0.4)
        expected = sum(
            float(concrete_log_density(sample.log_rows[label][0, row], distribution.rows_of(label)[row], 0.4).detach())
            for label in CHOICES
            for row in range(len(distribution.rows_of(label)))
        )
        assert float(distribution.log_density(sample).detach()) == pytest.approx(expected, rel=1e-5)

    def test_log_density_takes_the_sample_as_a_constant(self):
        distribution = make(initial_std=1.0).double()
        sample = distribution.draw(0.4)
        distribution.log_density(sample).backward()
        log_z, logits = sample.log_rows["op"][0, 0].detach(), distribution.logits_of("op")
        expected = 1 - 3 * torch.softmax(logits.detach() - 0.4 * log_z, 0)
        torch.testing.assert_close(logits.grad, expected)

    def test_log_density_is_finite_where_the_sample_underflows(self):
        distribution = make()
        sample = distribution.draw(1e-3)
        assert any((w == 0).any() for w in sample.weights.values())
        value = distribution.log_density(sample)
        value.backward()
        assert torch.isfinite(value)
        assert all(torch.isfinite(p.grad).all() for p in distribution.parameters())


class TestOneHotSample:
    def test_every_outcome_reads_back(self, tools):
        distribution = make()
        for values in tools.all_or_some_samples(distribution, 1000, seed=0):
            sample = distribution.one_hot_sample(values)
            assert sample.values() == values
            assert all(n in (0.0, 1.0) for label in CHOICES for n in sample.numbers(label))
            assert not any(w.requires_grad for w in sample.weights.values())

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"op": "z"}, r"label 'op': the sample has 'z' for it; it chooses among 'a', 'b', 'c'"),
            ({"pair": [0, 9]}, r"label 'pair': the sample has \[0, 9\]"),
            ({"pair": 0}, r"label 'pair': the sample has 0"),
            ({"any": [7]}, r"label 'any': the sample has \[7\]"),
            ({"kernel": ...}, r"label 'kernel': the sample has 'nothing'"),
        ],
    )
    def test_a_value_that_no_candidate_has_names_the_label(self, wrong, message):
        values = {"op": "a", "kernel": 3, "pair": [0, 1], "any": [], **wrong}
        with pytest.raises(ValueError, match=message):
            make().one_hot_sample({label: value for label, value in values.items() if value is not ...})


class TestLabels:
    @pytest.mark.parametrize(
        "label", ["a.b", "a%2Eb", "type", "values", "keys", "training", "forward", "half", "_parameters", "ö - ü"]
    )
    def test_any_label_can_name_logits(self, label):
        distribution = ArchitectureDistribution({label: OneOf(label, (0, 1)), "other": OneOf("other", (0, 1, 2))})
        assert distribution.logits_of(label).shape == (2,)
        assert set(distribution.draw(1.0).weights) == {label, "other"}
        again = ArchitectureDistribution(dict(distribution.choices), seed=9)
        again.load_state_dict(distribution.state_dict())
        assert torch.equal(again.logits_of(label), distribution.logits_of(label))

    def test_labels_that_differ_only_by_an_escape_have_their_own_logits(self):
        labels = ["a.b", "a%2Eb", "a%252Eb"]
        distribution = ArchitectureDistribution({label: OneOf(label, (0, 1)) for label in labels})
        assert len({id(distribution.logits_of(label)) for label in labels}) == 3

    def test_a_label_the_space_does_not_have(self):
        with pytest.raises(UnsupportedSpaceError, match=r"label 'nope'.*The space has: any, kernel, op, pair"):
            make().bind("nope")

    def test_readers_of_a_label_are_numbered(self):
        distribution = make()
        assert [distribution.bind("op").layer for _ in range(3)] == [0, 1, 2]
        assert distribution.bind("kernel").layer == 0


class TestPrecision:
    @pytest.mark.parametrize("cast", ["bfloat16", "half"])
    def test_logits_stay_in_float32_when_the_model_around_them_is_cast(self, cast):
        model = nn.ModuleDict({"net": nn.Linear(2, 2), "distribution": make()})
        getattr(model, cast)()
        assert model["net"].weight.dtype == getattr(torch, {"bfloat16": "bfloat16", "half": "float16"}[cast])
        assert {p.dtype for p in model["distribution"].parameters()} == {torch.float32}

    def test_values_survive_the_cast_bit_for_bit(self):
        distribution = make()
        before = distribution.logits_of("op").detach().clone()
        distribution.bfloat16()
        assert torch.equal(distribution.logits_of("op"), before)

    def test_float64_is_kept(self):
        distribution = make().double()
        assert distribution.draw(0.5).weights["op"].dtype == torch.float64

    def test_a_supernet_in_bfloat16_trains_its_logits(self, tools):
        strategy, supernet = tools.mutate(ConvSpace())
        supernet.bfloat16()
        with strategy.distribution.use(strategy.distribution.draw(0.5)):
            output = supernet(torch.randn(2, 3, 6, 6, dtype=torch.bfloat16))
        assert output.dtype == torch.bfloat16
        output.float().square().sum().backward()
        for label in strategy.distribution.choices:
            logits = strategy.distribution.logits_of(label)
            assert logits.dtype == logits.grad.dtype == torch.float32
            assert torch.isfinite(logits.grad).all()
            assert logits.grad.any()

    def test_autocast_leaves_a_supernet_trainable(self, tools):
        strategy, supernet = tools.mutate(ConvSpace(), skip_tolerance=0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with strategy.distribution.use(strategy.distribution.draw(0.5)):
                output = supernet(torch.randn(2, 3, 6, 6))
            loss = output.float().square().sum()
        assert output.dtype == torch.bfloat16
        loss.backward()
        for logits in strategy.distribution.parameters():
            assert torch.isfinite(logits.grad).all()
            assert logits.grad.any()

    def test_autocast_does_not_reach_the_sample(self):
        distribution = make(initial_std=1.0)
        expected = distribution.draw(0.05, torch.Generator().manual_seed(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sample = distribution.draw(0.05, torch.Generator().manual_seed(1))
            probabilities = distribution.expected_weights("pair")
        for label in CHOICES:
            assert sample.weights[label].dtype == torch.float32
            assert torch.equal(sample.weights[label], expected.weights[label]), label
        assert torch.equal(probabilities, distribution.expected_weights("pair"))


def test_a_copy_is_the_same_distribution():
    distribution = make()
    assert copy.deepcopy({"x": distribution})["x"] is distribution


class TestSinglePath:
    """One child for each step: its gradient is credit times score."""

    def test_it_is_one_hot_and_distributed_as_the_softmax(self):
        distribution = make(initial_std=1.0)
        count, seen = 1000, {label: torch.zeros(len(c.candidates)) for label, c in CHOICES.items()}
        with torch.no_grad():
            for _ in range(count):
                sample = distribution.draw_single_path(0.5)
                assert sample.is_one_hot
                for label in CHOICES:
                    seen[label] += sample.weights[label][0]
                    assert set(sample.numbers(label)) <= {0.0, 1.0}
        for label in CHOICES:
            p = distribution.expected_weights(label).detach()
            assert ((seen[label] / count - p).abs() <= 4 * (p * (1 - p) / count).sqrt() + 1e-6).all(), label

    def test_the_gradient_of_one_draw(self):
        distribution = make(initial_std=1.0).double()
        costs = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
        sample = distribution.draw_single_path(0.5)
        (sample.weights["op"][0] * costs).sum().backward()
        chosen = sample.weights["op"][0].detach()
        expected = (chosen * costs).sum() * (chosen - torch.softmax(distribution.logits_of("op").detach(), 0))
        torch.testing.assert_close(distribution.logits_of("op").grad, expected)

    def test_its_mean_is_the_gradient_of_the_expectation(self):
        distribution = make(initial_std=1.0).double()
        costs = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
        logits = distribution.logits_of("op")
        exact = torch.autograd.grad((distribution.expected_weights("op") * costs).sum(), logits)[0]
        draws = torch.stack(
            [
                torch.autograd.grad((distribution.draw_single_path(1.0).weights["op"][0] * costs).sum(), logits)[0]
                for _ in range(1000)
            ]
        )
        error = draws.std(0) / math.sqrt(len(draws))
        assert ((draws.mean(0) - exact).abs() < 4 * error).all()
        assert (exact.abs() > 4 * error).any()

    def test_only_the_chosen_candidate_runs(self, tools):
        strategy, supernet = tools.mutate(ConvSpace(), sampling="single_path")
        ran = []
        for name in supernet.first.names:
            supernet.first[name].register_forward_hook(lambda *_, name=name: ran.append(name))
        sample = strategy.distribution.draw_single_path(0.5)
        with strategy.distribution.use(sample):
            output = supernet(torch.randn(2, 3, 6, 6))
        assert ran == [sample.values()["op"]]
        tools.projection(output).backward()
        assert strategy.distribution.logits_of("op").grad.any()
