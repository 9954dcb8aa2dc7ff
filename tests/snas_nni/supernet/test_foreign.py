"""Supernet modules written for NNI's DARTS read this project's sample."""

import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from torch import nn

ROWS = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def two_layers(tools):
    def init(self):
        self.first, self.second = (LayerChoice([nn.Linear(6, 6), nn.Tanh()], label="shared") for _ in range(2))
        self.mix = InputChoice(2, label="inputs")

    return tools.space_of(init, lambda s, x: s.mix([s.first(x), s.second(x)]))()


def test_a_hook_of_nni_gets_the_one_sample(tools):
    strategy, supernet = tools.mutate(
        two_layers(tools), mutation_hooks=[DifferentiableMixedLayer.mutate], skip_tolerance=0
    )
    assert type(supernet.first) is DifferentiableMixedLayer
    with strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        w, g = sample.weights["shared"][0], sample.weights["inputs"][0]
        first, second = (w[0] * layer[0](ROWS) + w[1] * torch.tanh(ROWS) for layer in (supernet.first, supernet.second))
        output = supernet(ROWS)
        torch.testing.assert_close(output, g[0] * first + g[1] * second)
        tools.projection(output).backward()
    assert strategy.distribution.logits_of("shared").grad.all()


def test_its_logits_are_those_of_the_distribution(tools):
    strategy, supernet = tools.mutate(two_layers(tools), mutation_hooks=[DifferentiableMixedLayer.mutate])
    logits = strategy.distribution.logits_of("shared")
    assert supernet.first._arch_alpha is supernet.second._arch_alpha is logits


def test_nothing_is_drawn_twice(tools):
    strategy, supernet = tools.mutate(two_layers(tools), mutation_hooks=[DifferentiableMixedLayer.mutate])
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)):
        assert torch.equal(supernet(ROWS), supernet(ROWS))


def test_a_hook_of_the_user_goes_first(tools):
    class Doubled(nn.Module):
        def __init__(self, reader, layers):
            super().__init__()
            self.reader, self.layers = reader, nn.ModuleList(layers)

        def forward(self, x):
            return 2 * sum(w * layer(x) for w, layer in zip(self.reader.weights(), self.layers, strict=True))

    def hook(module, name, memo, mutate_kwargs):
        if type(module) is LayerChoice and module.label == "shared":
            return Doubled(mutate_kwargs["distribution"].bind("shared"), list(module)), True
        return None

    strategy, supernet = tools.mutate(two_layers(tools), mutation_hooks=[hook])
    assert isinstance(supernet.first, Doubled)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(0.7)) as sample:
        w = sample.weights["shared"][0]
        expected = 2 * (w[0] * supernet.first.layers[0](ROWS) + w[1] * torch.tanh(ROWS))
        torch.testing.assert_close(supernet.first(ROWS), expected)
