"""NNI's own spaces: they mutate, train, derive; and where the child cannot equal the supernet, why."""

import logging

import pytest
import torch
from nni.nas.hub.pytorch import (
    DARTS,
    ENAS,
    AutoFormer,
    MobileNetV3Space,
    NasBench101,
    NasBench201,
    ProxylessNAS,
    ShuffleNetSpace,
)
from nni.nas.hub.pytorch.nasnet import NDS, NDSStageDifferentiable

from snas_nni import UnsupportedSpaceError, derive_child
from snas_nni.derivation.inheritance import inherit_weights
from snas_nni.resources import count_child
from snas_nni.supernet.stage import PredecessorReader

pytestmark = pytest.mark.slow

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
NARROW = (8, 8, 8, 8, 8, 8, 8, 8, 16)

EQUAL = {
    "darts of 5 cells with a stem for large images": lambda: DARTS(width=4, num_cells=5, dataset="imagenet"),
    "darts of 3 cells with a choice of width": lambda: DARTS(width=(4, 8), num_cells=3, dataset="cifar"),
    "darts with a choice of depth": lambda: DARTS(width=4, num_cells=(6, 7), dataset="cifar"),
    "nasbench201": lambda: NasBench201(stem_out_channels=4, num_modules_per_stack=1),
    "proxylessnas": lambda: ProxylessNAS(num_labels=4, base_widths=NARROW),
    "mobilenetv3": lambda: MobileNetV3Space(num_labels=4, base_widths=NARROW, width_multipliers=(0.5, 1.0)),
    "shufflenet": lambda: ShuffleNetSpace(num_labels=4, channel_search=True),
}


def trained(tools, make):
    torch.manual_seed(0)
    strategy, supernet = tools.mutate(make(), skip_tolerance=0)
    weights = torch.optim.SGD(supernet.parameters(), lr=0.01)
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        tools.projection(supernet(IMAGES)).backward()
    torch.nn.utils.clip_grad_norm_(supernet.parameters(), 1.0, error_if_nonfinite=True)
    weights.step()
    return strategy, supernet.eval()


@pytest.mark.parametrize("name", EQUAL)
def test_one_step_then_a_child_equal_to_the_supernet(tools, caplog, name):
    strategy, supernet = trained(tools, EQUAL[name])
    distribution = strategy.distribution
    for label in distribution.choices:
        gradient = distribution.logits_of(label).grad
        assert torch.isfinite(gradient).all(), label
        assert gradient.any(), label
    for values in [distribution.mode(), *tools.all_or_some_samples(distribution, 1, seed=1)]:
        with caplog.at_level(logging.WARNING, logger="snas_nni.derivation.child"):
            child = derive_child(supernet, values).eval()
        expected = tools.run_at(distribution, supernet, values, IMAGES)
        scale = float(expected.abs().max())
        with torch.no_grad():
            tools.assert_same(child(IMAGES), expected, atol=1e-5 * scale)
        assert not tools.storages(child) & tools.storages(supernet)
    assert not caplog.records


SHALLOW = {
    "darts": lambda: DARTS(width=4, num_cells=(3, 5), dataset="cifar"),
    "darts for large images": lambda: DARTS(width=(4, 8), num_cells=(3, 6), dataset="imagenet"),
    "loose ends": lambda: small_loose((4, 8), (3, 4, 8)),
}


@pytest.mark.parametrize("name", SHALLOW)
def test_a_stage_of_one_cell(tools, name):
    """Behind it the child has another layer than behind a deeper stage; the supernet has both."""
    strategy, supernet = trained(tools, SHALLOW[name])
    assert any(isinstance(module, PredecessorReader) for module in supernet.modules())
    assert not any(isinstance(module, NDSStageDifferentiable) for module in supernet.modules())
    gradient = strategy.distribution.logits_of("depth").grad
    assert torch.isfinite(gradient).all()
    assert gradient.all()
    costs = strategy.cost_model(IMAGES[:1])
    for depth in strategy.distribution.choices["depth"].candidates:
        values = {**tools.all_or_some_samples(strategy.distribution, 1, seed=depth)[0], "depth": depth}
        child = derive_child(supernet, values).eval()
        assert inherit_weights(child, supernet, values) == []
        expected = tools.run_at(strategy.distribution, supernet, values, IMAGES)
        with torch.no_grad():
            tools.assert_same(child(IMAGES), expected, atol=1e-5 * float(expected.abs().max()))
        assert costs.of(values) == count_child(child, IMAGES[:1])


def test_a_stage_runs_only_what_a_single_path_chose(tools):
    strategy, supernet = trained(tools, lambda: small_loose(4, (3, 8)))
    values = strategy.distribution.mode()
    for depth in (3, 8):
        sample = strategy.distribution.one_hot_sample({**values, "depth": depth})
        with strategy.distribution.use(sample):
            tools.assert_same(supernet(IMAGES), derive_child(supernet, {**values, "depth": depth}).eval()(IMAGES))


def small_loose(width=4, num_cells=4):
    return NDS(["skip_connect", "conv_1x1"], "loose_end", 3, width=width, num_cells=num_cells, dataset="cifar")


LOOSE = {
    "enas": lambda: ENAS(width=4, num_cells=3, dataset="cifar"),
    "three nodes": small_loose,
    "three nodes and a choice of width": lambda: small_loose((4, 8)),
}


@pytest.mark.parametrize("name", LOOSE)
def test_layers_behind_loose_ends_inherit_the_columns_they_read(tools, name):
    """A child concatenates fewer nodes, so layers that read a cell have fewer input channels."""
    strategy, supernet = trained(tools, LOOSE[name])
    costs = strategy.cost_model(IMAGES[:1])
    full = dict(supernet.named_parameters())["classifier.weight"].shape
    narrower = 0
    for values in tools.all_or_some_samples(strategy.distribution, 3, seed=1):
        child = derive_child(supernet, values).eval()
        assert inherit_weights(child, supernet, values) == []
        expected = tools.run_at(strategy.distribution, supernet, values, IMAGES)
        tools.assert_same(child(IMAGES), expected, atol=1e-5 * float(expected.detach().abs().max()))
        assert costs.of(values) == count_child(child, IMAGES[:1])
        narrower += child.classifier.weight.shape[1] < full[1]
    assert narrower


def test_the_expected_cost_of_loose_ends_is_the_mean_over_children(tools):
    strategy, _ = trained(tools, small_loose)
    costs = strategy.cost_model(IMAGES[:1])
    samples = [costs.indices(strategy.distribution.draw(0.01).values()) for _ in range(1000)]
    counted = torch.tensor([costs.polynomials["params"].value(values) for values in samples])
    expected = float(costs.expected("params", strategy.distribution))
    assert abs(float(counted.mean()) - expected) < 4 * float(counted.std()) / 1000**0.5
    assert float(counted.std()) > 100


def test_autoformer(tools):
    def make():
        return AutoFormer(
            search_embed_dim=(64, 128),
            search_mlp_ratio=(2.0, 3.0),
            search_num_heads=(1, 2),
            search_depth=(1, 2),
            img_size=32,
            patch_size=8,
            num_labels=4,
            drop_path_rate=0.0,
        )

    strategy, supernet = trained(tools, make)
    for values in tools.all_or_some_samples(strategy.distribution, 4, seed=0):
        child = derive_child(supernet, values).eval()
        expected = tools.run_at(strategy.distribution, supernet, values, IMAGES)
        tools.assert_same(child(IMAGES), expected)
        assert inherit_weights(child, supernet, values) == []


def test_nasbench101_has_a_constraint_between_choices(tools):
    with pytest.raises(UnsupportedSpaceError, match=r"label 'cell/.*CellConstraint is not a choice but a constraint"):
        tools.mutate(
            NasBench101(stem_out_channels=8, num_stacks=2, num_modules_per_stack=1, max_num_vertices=4, max_num_edges=5)
        )
