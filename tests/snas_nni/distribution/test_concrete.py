"""The concrete distribution: its identities, in float64, and its numerics where float32 gives out."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import RelaxedOneHotCategorical

from snas_nni.distribution.concrete import concrete_log_density, concrete_log_sample, entropy, gumbel_noise

LOGITS = torch.tensor([0.3, -0.5, 0.9, 0.0], dtype=torch.float64)
COSTS = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
TEMPERATURES = [1.0, 0.5, 0.2, 0.1, 0.03]


def draws(count: int, temperature: float, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Logits with one row per draw, so that gradients come out per draw; their log samples and noise."""
    noise = gumbel_noise((count, 4), torch.Generator().manual_seed(seed))
    logits = LOGITS.expand(count, 4).clone().requires_grad_()
    return logits, concrete_log_sample(logits, temperature, noise), noise


def mean_and_error(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over draws and its standard error."""
    return rows.mean(0), rows.std(0) / math.sqrt(len(rows))


def scores(log_z: Tensor, temperature: float) -> Tensor:
    """d log p(z) / d a for each draw, by differentiation of the density."""
    logits = LOGITS.expand(log_z.shape).clone().requires_grad_()
    return torch.autograd.grad(concrete_log_density(log_z.detach(), logits, temperature).sum(), logits)[0]


def gradient_estimates(loss: str, temperature: float, count: int) -> dict[str, Tensor]:
    """Per-draw estimates of d E[loss(Z)] / d a: pathwise, score times loss, score times the Taylor credit."""
    logits, log_z, _ = draws(count, temperature)
    z = log_z.exp()
    linear = z @ COSTS
    value = {
        "affine": linear,
        "bounded": torch.tanh(linear) + torch.sin(2 * z[:, 0]),
        "exponential": torch.exp(0.8 * linear) + linear**2,
    }[loss]
    credit, pathwise = torch.autograd.grad(value.sum(), [z, logits])
    score = scores(log_z, temperature)
    return {
        "pathwise": pathwise,
        "score": score * value.detach()[:, None],
        "credit": score * (credit * z.detach()).sum(-1, keepdim=True),
    }


class TestIdentities:
    @pytest.mark.parametrize("temperature", TEMPERATURES)
    def test_the_gradient_of_a_sample_is_the_closed_form_and_its_rows_sum_to_zero(self, temperature):
        logits, log_z, _ = draws(500, temperature)
        z = log_z.exp()
        gradient = torch.autograd.grad((z @ COSTS).sum(), logits)[0]
        expected = z * (COSTS - (z @ COSTS)[:, None]) / temperature
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12 / temperature)
        torch.testing.assert_close(gradient.sum(-1), torch.zeros(500, dtype=torch.float64), rtol=0, atol=1e-12)
        assert gradient.abs().max() > 0.1

    @pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2])
    def test_score_times_any_loss_estimates_the_pathwise_gradient(self, temperature):
        estimates = gradient_estimates("bounded", temperature, 700_000)
        (pathwise, error_p), (score, error_s) = (mean_and_error(estimates[k]) for k in ("pathwise", "score"))
        assert max(error_p.max(), error_s.max()) < 0.003
        assert ((pathwise - score).abs() < 4 * (error_p**2 + error_s**2).sqrt()).all()
        assert (pathwise.abs() > 10 * error_p).all()  # it is not zero that they agree on

    @pytest.mark.parametrize(
        ("temperature", "published_pathwise", "published_score"),
        [
            (1.0, (0.0397, -0.2940, -0.0744, 0.3287), (0.0388, -0.2945, -0.0734, 0.3291)),
            (0.5, (0.0447, -0.3174, -0.1126, 0.3853), (0.0444, -0.3175, -0.1116, 0.3846)),
            (0.2, (0.0474, -0.3155, -0.1342, 0.4023), (0.0468, -0.3166, -0.1340, 0.4038)),
        ],
    )
    def test_credit_of_an_affine_loss_estimates_the_pathwise_gradient(
        self, temperature, published_pathwise, published_score
    ):
        estimates = gradient_estimates("affine", temperature, 700_000)
        (pathwise, error_p), (score, error_s) = (mean_and_error(estimates[k]) for k in ("pathwise", "credit"))
        assert max(error_p.max(), error_s.max()) < 0.003
        assert ((pathwise - score).abs() < 4 * (error_p**2 + error_s**2).sqrt()).all()
        # Measured once with 2e6 draws and standard errors up to 9e-4.
        for ours, error, theirs in ((pathwise, error_p, published_pathwise), (score, error_s, published_score)):
            difference = (ours - torch.tensor(theirs, dtype=torch.float64)).abs()
            assert (difference < 4 * (error**2 + 0.0009**2).sqrt()).all()

    def test_credit_of_a_nonlinear_loss_estimates_something_else(self):
        estimates = {k: mean_and_error(v) for k, v in gradient_estimates("exponential", 1.0, 1_000_000).items()}
        (pathwise, error_p), (score, error_s), (credit, error_c) = (
            estimates[k] for k in ("pathwise", "score", "credit")
        )
        assert ((pathwise - score).abs() < 4 * (error_p**2 + error_s**2).sqrt()).all()
        assert ((pathwise - credit).abs() > 8 * (error_p**2 + error_c**2).sqrt()).all()
        torch.testing.assert_close(
            pathwise, torch.tensor([-0.092, -0.695, -0.549, 1.336], dtype=torch.float64), rtol=0, atol=0.04
        )
        torch.testing.assert_close(
            credit, torch.tensor([-0.279, -1.300, -1.184, 2.762], dtype=torch.float64), rtol=0, atol=0.08
        )

    @pytest.mark.parametrize("temperature", TEMPERATURES)
    def test_tilted_softmax_of_a_sample_is_softmax_of_minus_its_noise(self, temperature):
        _, log_z, noise = draws(2000, temperature)
        tilted = torch.softmax(LOGITS - temperature * log_z.detach(), -1)
        torch.testing.assert_close(tilted, torch.softmax(-noise, -1), rtol=0, atol=1e-12)
        torch.testing.assert_close(scores(log_z, temperature), 1 - 4 * torch.softmax(-noise, -1), rtol=0, atol=1e-11)

    @pytest.mark.parametrize("temperature", [1.0, 0.2, 0.03, 1e-3])
    def test_argmax_frequencies_are_the_softmax(self, temperature):
        count = 200_000
        _, log_z, _ = draws(count, temperature, seed=int(1 / temperature))
        frequencies = torch.bincount(log_z.argmax(-1), minlength=4) / count
        expected = torch.softmax(LOGITS, 0)
        assert ((frequencies - expected).abs() < 4 * (expected * (1 - expected) / count).sqrt()).all()
        chi_square = float((count * (frequencies - expected) ** 2 / expected).sum())
        assert chi_square < 16.27  # 3 degrees of freedom, one in a thousand

    @pytest.mark.parametrize("temperature", [2.0, 1.0, 0.5, 0.2, 0.03])
    def test_density_of_two_categories_integrates_to_one(self, temperature):
        # In z = sigmoid(t) the density is a logistic bump of width 1 / temperature.
        t = torch.linspace(-45 / temperature, 45 / temperature, 40_001, dtype=torch.float64)
        log_z = torch.stack([torch.nn.functional.logsigmoid(t), torch.nn.functional.logsigmoid(-t)], -1)
        logits = torch.tensor([0.7, -0.4], dtype=torch.float64)
        density = concrete_log_density(log_z, logits.expand_as(log_z), temperature)
        integral = torch.trapezoid((density + log_z.sum(-1)).exp(), t)
        assert float(integral) == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("temperature", [1.0, 0.5])
    def test_density_of_three_categories_integrates_to_one(self, temperature):
        t = torch.linspace(-40 / temperature, 40 / temperature, 801, dtype=torch.float64)
        first, second = torch.meshgrid(t, t, indexing="ij")
        log_z = torch.log_softmax(torch.stack([first, second, torch.zeros_like(first)], -1), -1)
        logits = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)
        density = concrete_log_density(log_z, logits.expand_as(log_z), temperature)
        integral = torch.trapezoid(torch.trapezoid((density + log_z.sum(-1)).exp(), t), t)
        assert float(integral) == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("temperature", [1.0, 0.5, 0.2])
    def test_density_agrees_with_torch(self, temperature):
        _, log_z, _ = draws(300, temperature)
        log_z = log_z.detach()
        expected = RelaxedOneHotCategorical(torch.tensor(temperature, dtype=torch.float64), logits=LOGITS).log_prob(
            log_z.exp()
        )
        ours = concrete_log_density(log_z, LOGITS.expand_as(log_z), temperature)
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)

    def test_shifting_a_row_of_logits_changes_nothing(self):
        _, log_z, noise = draws(50, 0.3)
        shifted = LOGITS.expand(50, 4) + 17.5
        torch.testing.assert_close(concrete_log_sample(shifted, 0.3, noise), log_z, rtol=0, atol=1e-10)
        torch.testing.assert_close(
            concrete_log_density(log_z, shifted, 0.3), concrete_log_density(log_z, LOGITS.expand(50, 4), 0.3)
        )


class TestDetachTrap:
    @pytest.mark.parametrize("temperature", [1.0, 0.2])
    def test_an_attached_sample_leaves_a_different_gradient(self, temperature):
        logits, log_z, _ = draws(400_000, temperature)
        trapped = torch.autograd.grad(concrete_log_density(log_z, logits, temperature).sum(), logits)[0]
        torch.testing.assert_close(trapped, (4 * log_z.detach().exp() - 1) / temperature, rtol=1e-8, atol=1e-8)
        mean, error = mean_and_error(trapped)
        assert (mean[1:].abs() > 20 * error[1:]).all()
        if temperature == 0.2:
            published = torch.tensor([0.006, -2.73, 3.99, -1.27], dtype=torch.float64)
            assert ((mean - published).abs() < 4 * error + 0.006).all()

    def test_the_score_of_a_detached_sample_has_mean_zero(self):
        _, log_z, _ = draws(400_000, 0.2)
        mean, error = mean_and_error(scores(log_z, 0.2))
        assert (mean.abs() < 4 * error).all()


class TestNumerics:
    def test_noise_is_finite_and_standard_gumbel(self):
        noise = gumbel_noise((1_000_000,), torch.Generator().manual_seed(0))
        assert noise.dtype == torch.float64
        assert torch.isfinite(noise).all()
        assert float(noise.mean()) == pytest.approx(0.5772156649, abs=4 * 1.2825 / 1000)
        assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.02)

    @pytest.mark.parametrize(
        ("uniform", "expected"), [(0.0, -math.log(54 * math.log(2))), (1 - 2.0**-53, 53 * math.log(2))]
    )
    def test_noise_is_finite_at_the_extremes_of_a_uniform_generator(self, monkeypatch, uniform, expected):
        def constant(shape, generator=None, dtype=None, device=None):
            return torch.full(shape, uniform, dtype=dtype)

        monkeypatch.setattr(torch, "rand", constant)
        noise = gumbel_noise((2, 3))
        assert noise == pytest.approx(torch.full((2, 3), expected, dtype=torch.float64), rel=1e-6)

    def test_the_generator_decides_and_the_global_one_is_left_alone(self):
        before = torch.get_rng_state()
        first = gumbel_noise((5,), torch.Generator().manual_seed(3))
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(first, gumbel_noise((5,), torch.Generator().manual_seed(3)))
        assert not torch.equal(first, gumbel_noise((5,), torch.Generator().manual_seed(4)))

    @pytest.mark.parametrize("temperature", [0.03, 1e-3])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_log_sample_density_and_gradients_are_finite_where_a_sample_underflows(self, temperature, dtype):
        logits = torch.zeros(2000, 8, dtype=dtype, requires_grad=True)
        noise = gumbel_noise((2000, 8), torch.Generator().manual_seed(0)).to(dtype)
        log_z = concrete_log_sample(logits, temperature, noise)
        if dtype == torch.float32:
            assert (log_z.exp() == 0).any()
            assert not torch.isfinite(log_z.exp().log()).all()  # what must not be done
        assert torch.isfinite(log_z).all()
        assert (log_z <= 0).all()
        density = concrete_log_density(log_z.detach(), logits, temperature)
        assert torch.isfinite(density).all()
        (log_z.exp().square().sum() + density.sum()).backward()
        assert torch.isfinite(logits.grad).all()

    def test_entropy_of_known_distributions(self):
        logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [200.0, 0.0, 0.0, 0.0], [5.0, 5.0, -300.0, -300.0]])
        torch.testing.assert_close(entropy(logits), torch.tensor([math.log(4), 0.0, math.log(2)]))

    def test_entropy_falls_along_minus_its_gradient(self):
        logits = LOGITS.clone().requires_grad_()
        value = entropy(logits)
        gradient = torch.autograd.grad(value, logits)[0]
        p = torch.softmax(LOGITS, 0)
        torch.testing.assert_close(gradient, -p * (p.log() + value.detach()))
