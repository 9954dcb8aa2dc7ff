"""Weighted sums, and which candidates need not run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni.errors import UnsupportedSpaceError
from snas_nni.supernet.weighting import negligible, weighted_sum

WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 1e-3)), min_size=1, max_size=8)


class TestNegligible:
    @given(WEIGHTS, st.floats(0, 0.5))
    def test_what_is_left_out_sums_to_no_more_than_the_allowance(self, weights, allowance):
        skip = negligible(weights, allowance)
        assert len(skip) == len(weights)
        assert sum(w for w, skipped in zip(weights, skip, strict=True) if skipped) <= allowance + 1e-12

    @given(WEIGHTS, st.floats(0, 10))
    def test_the_largest_always_runs(self, weights, allowance):
        skip = negligible(weights, allowance)
        assert max(weights) in [w for w, skipped in zip(weights, skip, strict=True) if not skipped]

    @given(WEIGHTS.filter(any), st.floats(0, 0.5))
    def test_zeros_never_run(self, weights, allowance):
        skip = negligible(weights, allowance)
        assert all(skipped for w, skipped in zip(weights, skip, strict=True) if w == 0)

    @given(WEIGHTS.filter(any), st.floats(0, 0.5))
    def test_nothing_more_could_be_left_out(self, weights, allowance):
        skip = negligible(weights, allowance)
        left_out = sum(w for w, skipped in zip(weights, skip, strict=True) if skipped)
        running = sorted(w for w, skipped in zip(weights, skip, strict=True) if not skipped)
        if len(running) > 1:
            assert left_out + running[0] > allowance - 1e-12
            assert all(w <= running[0] for w, skipped in zip(weights, skip, strict=True) if skipped)

    @pytest.mark.parametrize(
        ("weights", "allowance", "expected"),
        [
            ([0.5, 0.5], 0.0, [False, False]),
            ([0.98, 0.01, 0.01], 0.01, [False, True, False]),
            ([0.98, 0.01, 0.01], 0.02, [False, True, True]),
            ([0.0, 1.0, 0.0], 0.0, [True, False, True]),
            ([0.0, 0.0], 0.0, [True, False]),
            ([1.0], 5.0, [False]),
        ],
    )
    def test_examples(self, weights, allowance, expected):
        assert negligible(weights, allowance) == expected


class Wide(ModelSpace):
    """Parallel edges of real operations; with a linear loss, dL/dZ does not depend on Z."""

    def __init__(self, edges=4):
        super().__init__()
        self.edges = nn.ModuleList(
            LayerChoice(
                {
                    "conv3": nn.Conv2d(3, 3, 3, padding=1),
                    "conv1": nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()),
                    "pool": nn.AvgPool2d(3, 1, 1),
                    "skip": nn.Identity(),
                    "big": nn.Sequential(nn.Conv2d(3, 3, 1), nn.Hardtanh(-20, 20)),
                },
                label=f"edge{i}",
            )
            for i in range(edges)
        )

    def forward(self, x):
        return sum(edge(x) for edge in self.edges)


class Deep(Wide):
    """The same edges one after the other."""

    def forward(self, x):
        for edge in self.edges:
            x = torch.tanh(edge(x))
        return x


def logits_and_costs(tools, strategy, supernet, x, sample, tolerance, labels):
    """Gradient of each label's logits, and c = dL/dZ, with candidates left out at ``tolerance``."""
    distribution = strategy.distribution
    distribution.current.skip_tolerance = tolerance
    with distribution.use(sample):
        loss = tools.projection(supernet(x))
    targets = [*(distribution.logits_of(label) for label in labels), *(sample.weights[label] for label in labels)]
    gradients = torch.autograd.grad(loss, targets, retain_graph=True, allow_unused=True)
    return loss.detach(), gradients[: len(labels)], [c[0] for c in gradients[len(labels) :]]


def with_logits(tools, space, trained):
    strategy, supernet = tools.mutate(space, initial_logits_std=1.0 if trained else 0.0)
    return strategy, supernet.double(), strategy.distribution.double()


class TestLeavingOut:
    @pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2, 0.1, 0.03])
    @pytest.mark.parametrize("trained", [False, True])
    @pytest.mark.parametrize("tolerance", [0.01, 0.2])
    def test_the_gradient_moves_by_no_more_than_the_bound(self, tools, temperature, trained, tolerance):
        strategy, supernet, distribution = with_logits(tools, Wide(), trained)
        labels = list(distribution.choices)
        x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
        moved = 0
        for _ in range(20):
            sample = distribution.draw(temperature)
            _, exact, costs = logits_and_costs(tools, strategy, supernet, x, sample, 0.0, labels)
            _, approximate, _ = logits_and_costs(tools, strategy, supernet, x, sample, tolerance, labels)
            for label, true, near, cost in zip(labels, exact, approximate, costs, strict=True):
                z = sample.weights[label][0].detach()
                skip = torch.tensor(negligible(z.tolist(), tolerance * temperature))
                difference = float((true - near).abs().sum())
                tight = 2 * float((z * cost.abs())[skip].sum()) / temperature
                assert difference <= tight * (1 + 1e-6) + 1e-13
                assert tight <= 2 * tolerance * float(cost.abs().max()) + 1e-13
                moved += difference > 0
        if tolerance == 0.2:
            assert moved  # something was left out that had a gradient

    @pytest.mark.parametrize("temperature", [1.0, 0.2, 0.03])
    def test_in_a_deep_network_the_bound_holds_to_first_order(self, tools, temperature):
        strategy, supernet, distribution = with_logits(tools, Deep(), True)
        labels = list(distribution.choices)
        x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
        for _ in range(10):
            sample = distribution.draw(temperature)
            _, exact, costs = logits_and_costs(tools, strategy, supernet, x, sample, 0.0, labels)
            for tolerance in (1e-2, 1e-3):
                _, near, _ = logits_and_costs(tools, strategy, supernet, x, sample, tolerance, labels)
                # Every label also feels what the others left out, so the largest c of all rows bounds each.
                bound = 2 * tolerance * sum(float(c.abs().max()) for c in costs)
                for true, approximate in zip(exact, near, strict=True):
                    assert float((true - approximate).abs().sum()) <= bound

    @pytest.mark.parametrize("temperature", [1.0, 0.2, 0.1, 0.03])
    def test_at_tolerance_zero_nothing_changes_in_a_single_bit(self, tools, monkeypatch, temperature):
        strategy, supernet, distribution = with_logits(tools, Deep(), True)
        supernet.float()
        distribution.float()
        labels = list(distribution.choices)
        x = torch.randn(2, 3, 5, 5)
        for _ in range(5):
            sample = distribution.draw(temperature)
            loss, gradients, _ = logits_and_costs(tools, strategy, supernet, x, sample, 0.0, labels)
            with monkeypatch.context() as patch:
                patch.setattr("snas_nni.supernet.base.negligible", lambda weights, allowance: [False] * len(weights))
                all_run = logits_and_costs(tools, strategy, supernet, x, sample, 0.0, labels)
            assert torch.equal(loss, all_run[0])
            assert all(torch.equal(a, b) for a, b in zip(gradients, all_run[1], strict=True))

    def test_what_is_left_out_does_not_run(self, tools):
        strategy, supernet = tools.mutate(Wide(1), skip_tolerance=0.05)
        ran = []
        for name in supernet.edges[0].names:
            supernet.edges[0][name].register_forward_hook(lambda *_, name=name: ran.append(name))
        with torch.no_grad():
            strategy.distribution.logits_of("edge0").copy_(torch.tensor([0.0, -20.0, 0.0, -20.0, -20.0]))
            with strategy.distribution.use(strategy.distribution.draw(1.0)):
                supernet(torch.randn(1, 3, 4, 4))
        assert ran == ["conv3", "pool"]

    def test_fewer_candidates_run_as_the_temperature_falls(self, tools):
        strategy, _ = tools.mutate(Wide(), skip_tolerance=0.01)
        counts = {}
        for temperature in (1.0, 0.2, 0.03):
            samples = [strategy.distribution.draw(temperature) for _ in range(200)]
            counts[temperature] = sum(
                not skipped
                for sample in samples
                for label in strategy.distribution.choices
                for skipped in negligible(sample.numbers(label), 0.01 * temperature)
            ) / (200 * 4)
        assert counts[1.0] > 4.5
        assert counts[1.0] > counts[0.2] > counts[0.03]
        assert counts[0.03] < 1.5


class TestWeightedSum:
    def test_of_tensors(self):
        a, b = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
        total = weighted_sum([a, b], [torch.tensor(0.25), torch.tensor(0.5)], str)
        assert total.tolist() == [5.25, 10.5]

    def test_of_nests(self):
        def nest(value):
            t = torch.full((2,), value)
            return {"a": (t, [2 * t]), "b": 3 * t}

        total = weighted_sum([nest(1.0), nest(10.0)], [torch.tensor(1.0), torch.tensor(0.1)], str)
        assert list(total) == ["a", "b"]
        assert isinstance(total["a"], tuple)
        assert isinstance(total["a"][1], list)
        assert [t.tolist() for t in (total["a"][0], total["a"][1][0], total["b"])] == [[2.0] * 2, [4.0] * 2, [6.0] * 2]

    @pytest.mark.parametrize("count", [1, 2, 4])
    @pytest.mark.parametrize("layout", ["contiguous", "channels_last", "mixed", "transposed"])
    def test_its_gradients_are_those_of_finite_differences(self, count, layout):
        def laid_out(index):
            t = torch.randn(2, 3, 4, 5, dtype=torch.float64)
            if layout == "channels_last" or (layout == "mixed" and index % 2):
                return t.contiguous(memory_format=torch.channels_last)
            return t.permute(3, 0, 2, 1) if layout == "transposed" else t

        outputs = [laid_out(index).requires_grad_() for index in range(count)]
        weights = torch.rand(count, dtype=torch.float64, requires_grad=True)
        torch.autograd.gradcheck(lambda w, *o: weighted_sum(o, w.unbind(), str), (weights, *outputs))

    @pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
    def test_gradients_come_in_the_memory_order_of_the_outputs(self, order):
        outputs = [torch.randn(2, 3, 4, 5).contiguous(memory_format=order).requires_grad_() for _ in range(2)]
        weights = torch.rand(2, requires_grad=True)
        total = weighted_sum(outputs, weights.unbind(), str)
        factor = torch.randn(2, 3, 4, 5)
        for gradient, weight in zip(torch.autograd.grad((total * factor).sum(), outputs), weights, strict=True):
            assert gradient.is_contiguous(memory_format=order)
            torch.testing.assert_close(gradient, factor * weight)

    @pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
    def test_it_is_the_sum_of_products_and_so_are_its_gradients(self, dtype):
        outputs = [torch.randn(3, 4, dtype=dtype).requires_grad_() for _ in range(3)]
        weights = torch.rand(3, dtype=torch.float64, requires_grad=True)
        plain = sum(w * o for w, o in zip(weights, outputs, strict=True))
        ours = weighted_sum(outputs, weights.unbind(), str)
        torch.testing.assert_close(ours, plain)
        factor = torch.randn(3, 4, dtype=dtype)

        def gradients(value):
            loss = (value * factor).sum()
            loss = loss.real + 2 * loss.imag if loss.is_complex() else loss
            return torch.autograd.grad(loss, [weights, *outputs], retain_graph=True)

        for mine, expected in zip(gradients(ours), gradients(plain), strict=True):
            torch.testing.assert_close(mine, expected)

    def test_of_outputs_without_gradients_and_of_fixed_weights(self):
        output, fixed = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
        weights = torch.tensor([0.25, 0.75], requires_grad=True)
        weighted_sum([output, fixed], weights.unbind(), str).sum().backward()
        torch.testing.assert_close(weights.grad, torch.stack([output.sum(), fixed.sum()]).detach())
        torch.testing.assert_close(output.grad, torch.full((2, 3), 0.25))
        output.grad = None
        weighted_sum([output, fixed], weights.detach().unbind(), str).sum().backward()
        torch.testing.assert_close(output.grad, torch.full((2, 3), 0.25))

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("trains", [True, False])
    def test_of_two_precisions(self, order, trains):
        """Under autocast a convolution returns bfloat16, and a skip what it was given."""
        outputs = [torch.ones(2, 3, dtype=torch.bfloat16), torch.full((2, 3), 1 / 3)]
        outputs = [outputs[index].requires_grad_(trains) for index in order]
        weights = torch.tensor([0.5, 0.5], requires_grad=trains)
        total = weighted_sum(outputs, weights.unbind(), str)
        assert total.dtype == torch.float32
        torch.testing.assert_close(total, torch.full((2, 3), 0.5 + 1 / 6))
        if trains:
            total.sum().backward()
            assert [o.grad.dtype for o in outputs] == [o.dtype for o in outputs]
            torch.testing.assert_close(weights.grad, torch.tensor([float(o.float().sum()) for o in outputs]))

    def test_keeps_the_precision_of_the_outputs(self):
        half = torch.ones(2, dtype=torch.bfloat16)
        assert weighted_sum([half, half], [torch.tensor(0.5)] * 2, str).dtype == torch.bfloat16

    @pytest.mark.parametrize(
        ("outputs", "described"),
        [
            ([torch.zeros(2, 3), torch.zeros(2, 1)], r"\(2, 3\), \(2, 1\)"),
            ([torch.zeros(2), (torch.zeros(2),)], r"\(2,\), tuple"),
            ([{"a": torch.zeros(1)}, {"b": torch.zeros(1)}], "dict, dict"),
            ([(torch.zeros(1),), (torch.zeros(1), torch.zeros(1))], "tuple, tuple"),
            ([(torch.zeros(1),), torch.zeros(1)], r"tuple, \(1,\)"),
            ([[torch.zeros(2)], [torch.zeros(3)]], r"\(2,\), \(3,\)"),
            (["a", "b"], "str, str"),
        ],
    )
    def test_refuses_what_would_only_broadcast(self, outputs, described):
        with pytest.raises(UnsupportedSpaceError, match=rf"label 'x': .*{described}.*the same shape"):
            weighted_sum(outputs, [torch.tensor(0.5)] * 2, lambda: "label 'x'")
