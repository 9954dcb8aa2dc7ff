"""What leaving out candidates of small weight does to the logits' gradient in a whole network."""

import math

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces import SnasCellSpace
from snas_nni.one_shot.settings import SearchSettings

DEFAULT = SearchSettings().skip_tolerance
TEMPERATURES = [0.7, 0.5, 0.2, 0.03]


class Parallel(ModelSpace):
    """Edges side by side: with a linear loss each credit dL/dZ is the same whatever else runs."""

    def __init__(self):
        super().__init__()
        self.edges = nn.ModuleList(
            LayerChoice([nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)], label=f"edge{i}") for i in range(8)
        )

    def forward(self, x):
        return sum(edge(x) for edge in self.edges)


def gradient(strategy, supernet, sample, loss, tolerance):
    """Of all logits, flat."""
    distribution = strategy.distribution
    distribution.current.skip_tolerance = tolerance
    with distribution.use(sample):
        value = loss(supernet)
    logits = list(distribution.parameters())
    found = torch.autograd.grad(value, logits, retain_graph=True, allow_unused=True)
    return torch.cat(
        [(torch.zeros_like(a) if g is None else g).reshape(-1) for a, g in zip(logits, found, strict=True)]
    )


def preset(strategy, trained):
    """Uniform logits, or 0.9 on one candidate of each label."""
    for index, logits in enumerate(strategy.distribution.parameters()):
        with torch.no_grad():
            logits.zero_()
            if trained:
                logits[index % len(logits)] = math.log(9 * (len(logits) - 1))


def parallel_errors(tools, temperature, trained, draws=40):
    strategy, supernet = tools.mutate(Parallel())
    supernet.double()
    strategy.distribution.double()
    preset(strategy, trained)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    moved, exact = [], []
    for _ in range(draws):
        sample = strategy.distribution.draw(temperature)
        true, near = (
            gradient(strategy, supernet, sample, lambda net: tools.projection(net(x)), t) for t in (0.0, DEFAULT)
        )
        moved.append(float((near - true).norm()))
        exact.append(float(true.norm()))
    return torch.tensor(moved), torch.tensor(exact)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("trained", [False, True])
def test_missing_credit_is_a_small_part_of_the_gradient(tools, temperature, trained):
    moved, exact = parallel_errors(tools, temperature, trained)
    assert moved.max() > 0  # something that had a gradient was left out
    assert moved.mean() < 0.01 * exact.mean()


@pytest.mark.parametrize("temperature", [0.2, 0.03])
def test_it_is_small_too_beside_the_small_gradient_of_a_nearly_one_hot_sample(tools, temperature):
    """Each draw by itself: the allowance shrinks with 1 - max Z as the gradient does."""
    moved, exact = parallel_errors(tools, temperature, trained=True)
    assert (moved / exact).mean() < 0.01


def test_undecided_is_what_the_largest_weight_lacks(tools):
    strategy, _ = tools.mutate(Parallel())
    sample = strategy.distribution.draw(0.02)
    lacking = [1 - float(z.max()) for z in sample.rows.values()]
    assert sample.undecided() == pytest.approx(sum(lacking) / len(lacking), rel=0.05)
    assert strategy.distribution.mode_sample().undecided() == 0


class Whole:
    """A supernet of cells with images and labels."""

    def __init__(self, tools, trained):
        self.strategy, self.supernet = tools.mutate(SnasCellSpace(channels=4, cells=3, nodes=3))
        preset(self.strategy, trained)
        self.images, self.labels = torch.randn(8, 3, 16, 16), torch.arange(8)

    def gradient(self, sample, tolerance, noise=0.0):
        images = self.images + noise * torch.randn_like(self.images)
        return gradient(
            self.strategy,
            self.supernet,
            sample,
            lambda net: nn.functional.cross_entropy(net(images), self.labels),
            tolerance,
        )

    def errors(self, temperature, tolerance, draws=4):
        """Relative to the exact gradient at the same sample: with candidates left out, and with noise on the images."""
        found = []
        for _ in range(draws):
            sample = self.strategy.distribution.draw(temperature)
            exact = self.gradient(sample, 0.0)
            left_out = self.gradient(sample, tolerance) - exact
            noisy = self.gradient(sample, 0.0, noise=tolerance) - exact
            found.append((float(left_out.norm() / exact.norm()), float(noisy.norm() / exact.norm())))
        return torch.tensor(found).T


@pytest.mark.parametrize("temperature", [0.5, 0.3, 0.1])
def test_in_a_deep_network_it_moves_the_gradient_like_noise_of_that_size_on_the_images(tools, temperature):
    """ReLUs that switch make any gradient of a deep network jump; what counts is what jumps it is compared with."""
    left_out, noisy = Whole(tools, trained=False).errors(temperature, DEFAULT)
    assert left_out.mean() > 0
    assert left_out.mean() < 1.5 * noisy.mean()


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
def test_the_error_falls_with_the_tolerance(tools, trained):
    whole = Whole(tools, trained)
    errors = [float(whole.errors(0.5, tolerance, draws=3)[0].mean()) for tolerance in (0.05, 0.0001)]
    assert errors[0] > 0.05
    assert errors[1] < 0.05
    assert whole.errors(0.5, 0.0, draws=1)[0].max() == 0


class HostReads(TorchDispatchMode):
    """Counts reads of a tensor's value by Python."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_the_host_reads_the_sample_once_per_step(tools, monkeypatch):
    strategy, supernet = tools.mutate(SnasCellSpace(channels=2, cells=3))
    lists = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(tensor.shape) or original(tensor))
    for step in (1, 2):
        with HostReads() as reads, strategy.distribution.use(strategy.distribution.draw(0.5)):
            loss = supernet(torch.randn(2, 3, 8, 8)).square().sum()
            loss.backward()
        assert reads.count == 0
        assert len(lists) == step
    with HostReads() as reads:
        float(loss)
    assert reads.count == 1  # so the counter counts
