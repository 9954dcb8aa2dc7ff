"""Repeat in the supernet."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, Repeat
from torch import nn

from snas_nni import UnsupportedSpaceError, derive_child

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def block(_index=0):
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh())


def space(tools, depth, blocks=block):
    def init(self):
        chosen = depth() if callable(depth) else depth
        self.layer = Repeat(blocks, chosen, label="depth") if isinstance(chosen, tuple) else Repeat(blocks, chosen)

    return tools.space_of(init)


@pytest.mark.parametrize(
    ("depth", "outcomes"),
    [
        ((0, 2), 3),
        ((1, 3), 3),
        (lambda: nni.choice("depth", [1, 3]), 2),
        (lambda: nni.choice("depth", [4, 0, 2]), 3),
        (lambda: nni.choice("depth", [0, 1]) * 2 + 1, 2),
        (lambda: nni.choice("depth", [0, 1]) + nni.choice("more", [1, 2]), 4),
    ],
)
def test_depths(tools, depth, outcomes):
    assert len(tools.check_space(space(tools, depth), [X]).samples) == outcomes


@pytest.mark.parametrize("depth", [(0, 3), (2, 3)])
def test_one_choice_repeated(tools, depth):
    tools.check_space(
        space(tools, depth, lambda i: LayerChoice([nn.Linear(6, 6), nn.Tanh(), nn.Identity()], label="op")), [X]
    )


def test_a_choice_of_its_own_in_every_block(tools):
    tools.check_space(space(tools, (1, 3), lambda i: LayerChoice([nn.Linear(6, 6), nn.Tanh()], label=f"op{i}")), [X])


def test_a_repeat_inside_a_repeat(tools):
    tools.check_space(space(tools, (0, 2), lambda i: Repeat(block, (0, 2), label=f"inner{i}")), [X])


def test_a_fixed_number_of_choices(tools):
    tools.check_space(space(tools, 2, lambda i: LayerChoice([nn.Linear(6, 6), nn.Tanh()], label=f"op{i}")), [X])


def test_the_relaxed_output_is_the_weighted_sum_over_depths(tools):
    strategy, supernet = tools.mutate(space(tools, (0, 2))(), skip_tolerance=0)
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        w = sample.weights["depth"][0]
        once = supernet.layer.blocks[0](X)
        torch.testing.assert_close(supernet(X), w[0] * X + w[1] * once + w[2] * supernet.layer.blocks[1](once))


def test_an_expression_weighs_a_depth_by_all_the_ways_to_reach_it(tools):
    strategy, supernet = tools.mutate(
        space(tools, lambda: nni.choice("depth", [0, 1]) + nni.choice("more", [0, 1]))(), skip_tolerance=0
    )
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        a, b = sample.weights["depth"][0], sample.weights["more"][0]
        once = supernet.layer.blocks[0](X)
        twice = supernet.layer.blocks[1](once)
        expected = a[0] * b[0] * X + (a[0] * b[1] + a[1] * b[0]) * once + a[1] * b[1] * twice
        torch.testing.assert_close(supernet(X), expected)


def test_depth_zero_is_the_identity(tools):
    strategy, supernet = tools.mutate(space(tools, (0, 2))())
    assert torch.equal(tools.run_at(strategy.distribution, supernet, {"depth": 0}, X), X)
    assert torch.equal(derive_child(supernet, {"depth": 0})(X), X)


def test_blocks_that_no_depth_needs_do_not_run(tools):
    strategy, supernet = tools.mutate(space(tools, (0, 3))(), skip_tolerance=0.05)
    ran = []
    for index, module in enumerate(supernet.layer.blocks):
        module.register_forward_hook(lambda *_, index=index: ran.append(index))
    with torch.no_grad():
        strategy.distribution.logits_of("depth").copy_(torch.tensor([0.0, 0.0, -30.0, -30.0]))
        with strategy.distribution.use(strategy.distribution.draw(1.0)):
            supernet(X)
        assert ran == [0]
        ran.clear()
        tools.run_at(strategy.distribution, supernet, {"depth": 2}, X)
    assert ran == [0, 1]


def test_a_block_that_changes_the_shape(tools):
    strategy, supernet = tools.mutate(space(tools, (1, 2), lambda i: nn.Linear(6 - 2 * i, 4 - 2 * i))())
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'depth' \(Repeat 'layer'\).*\(4, 4\), \(4, 2\)"),
    ):
        supernet(X)
