"""Reduced precision, accumulated gradients, and the memory order of the images."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from search_spaces import SnasCellSpace
from snas_nni import SNAS


class Small(ModelSpace):
    """Convolutions without BatchNorm, whose mean over a batch is the mean over its halves."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="first"),
            nn.ReLU(),
            LayerChoice({"conv": nn.Conv2d(4, 4, 1), "pool": nn.AvgPool2d(3, 1, 1)}, label="second"),
        )
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        return self.classifier(self.layers(x).mean((2, 3)))


def gradients(supernet, strategy, loss):
    named = {**dict(supernet.named_parameters()), **dict(strategy.distribution.named_parameters())}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(named, found, strict=True) if gradient is not None}


class TestBfloat16:
    @pytest.mark.parametrize("temperature", [1.0, 0.1])
    def test_a_step_under_autocast_is_close_to_one_in_full_precision(self, tools, temperature):
        torch.manual_seed(1)
        strategy, supernet = tools.mutate(Small())
        x, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 3
        results = []
        for enabled in (False, True):
            sample = strategy.distribution.draw(temperature, torch.Generator().manual_seed(4))
            with strategy.distribution.use(sample), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                loss = nn.functional.cross_entropy(supernet(x), y)
            results.append(gradients(supernet, strategy, loss))
        full, half = results
        assert full.keys() == half.keys()
        for name, expected in full.items():
            assert half[name].dtype == torch.float32
            assert (half[name] - expected).norm() < 0.1 * expected.norm() + 1e-4, name

    @pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
    @pytest.mark.parametrize("sampling", ["relaxed", "single_path"])
    def test_a_search_stays_finite_and_keeps_logits_in_full_precision(self, tools, precision, sampling):
        strategy = SNAS(seed=1, sampling=sampling, logits_learning_rate=0.01)
        found = tools.search(
            SnasCellSpace(channels=2, cells=2, nodes=1, classes=3),
            strategy,
            shape=(3, 8, 8),
            max_epochs=2,
            precision=precision,
        )
        for logits in strategy.distribution.parameters():
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()
        expected = torch.float32 if precision == "bf16-mixed" else torch.bfloat16
        assert {p.dtype for p in strategy.supernet.parameters()} == {expected}
        assert all(torch.isfinite(p).all() for p in strategy.supernet.parameters())
        assert found.lightning.search_step == 8


def test_accumulating_two_batches_equals_one_of_double_size(tools):
    def searched(batch_size, accumulate, clip):
        torch.manual_seed(3)
        strategy = SNAS(
            seed=1,
            accumulate_batches=accumulate,
            skip_tolerance=0.0,
            weights_gradient_clip=clip,
            logits_learning_rate=0.05,
            logits_weight_decay=0.0,
        )
        space = Small()
        original = strategy.mutate_model

        def mutate_and_fix_the_draws(model):
            mutated = original(model)
            distribution, draw = strategy.distribution, strategy.distribution.draw
            # Batches that are summed up must see the same Z for the sum to be that of one batch.
            distribution.draw = lambda t, g=None: draw(t, torch.Generator().manual_seed(9))
            return mutated

        strategy.mutate_model = mutate_and_fix_the_draws
        tools.search(space, strategy, shape=(3, 6, 6), count=32, batch_size=batch_size, max_epochs=2)
        return {**dict(strategy.supernet.named_parameters()), **dict(strategy.distribution.named_parameters())}

    accumulated, at_once = searched(4, 2, 0.5), searched(8, 1, 0.5)
    separate = searched(4, 1, 0.5)
    for name, parameter in at_once.items():
        torch.testing.assert_close(accumulated[name], parameter, rtol=1e-4, atol=1e-5, msg=name)
    assert any(not torch.allclose(separate[name], p, rtol=1e-4, atol=1e-5) for name, p in at_once.items())


class TestChannelsLast:
    def searched(self, tools, channels_last, watch=None):
        torch.manual_seed(2)
        strategy = SNAS(seed=1, channels_last=channels_last, logits_learning_rate=0.01)
        space = SnasCellSpace(channels=2, cells=2, nodes=2, classes=3)
        if watch is not None:
            space.cells.register_forward_hook(watch)
            for cell in space.cells:
                cell.register_forward_hook(watch)
        tools.search(space, strategy, shape=(3, 8, 8), count=16, max_epochs=1, limit_val_batches=0)
        return strategy

    def test_gives_the_same_search_to_rounding(self, tools):
        plain, ordered = (self.searched(tools, channels_last) for channels_last in (False, True))
        found = dict(ordered.distribution.named_parameters())
        for name, logits in plain.distribution.named_parameters():
            torch.testing.assert_close(found[name], logits, rtol=1e-2, atol=1e-4)
        weights = dict(ordered.supernet.named_parameters())
        moved = torch.cat([p.flatten() - weights[name].flatten() for name, p in plain.supernet.named_parameters()])
        whole = torch.cat([p.flatten() for p in plain.supernet.parameters()])
        assert moved.norm() < 1e-2 * whole.norm()

    @pytest.mark.parametrize("channels_last", [False, True, None])
    def test_is_kept_through_the_cells_on_a_cpu_unless_refused(self, tools, channels_last):
        orders = []

        def watch(_cell, inputs, output):
            tensors = [t for t in (*inputs, output) if t.shape[1] > 1 and t.shape[2] > 1]
            orders.extend(t.is_contiguous(memory_format=torch.channels_last) for t in tensors)

        self.searched(tools, channels_last, watch)
        assert len(orders) >= 12
        assert all(orders) if channels_last in (True, None) else not any(orders)

    def test_is_gone_after_the_search(self, tools):
        strategy = self.searched(tools, True)
        seen = []
        strategy.supernet.stem.register_forward_hook(lambda _stem, inputs, _output: seen.append(inputs[0]))
        images = torch.randn(2, 3, 8, 8)
        with strategy.distribution.use(strategy.distribution.mode_sample()):
            strategy.supernet(images)
        assert seen[0] is images
        assert not strategy.supernet._forward_pre_hooks
