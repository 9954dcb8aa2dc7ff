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
from nni.nas.hub.pytorch.nasnet import NDSStageDifferentiable

from snas_nni import UnsupportedSpaceError, derive_child
from snas_nni.inheritance import inherit_weights

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
        with caplog.at_level(logging.WARNING, logger="snas_nni.derivation"):
            child = derive_child(supernet, values).eval()
        expected = tools.run_at(distribution, supernet, values, IMAGES)
        scale = float(expected.abs().max())
        with torch.no_grad():
            tools.assert_same(child(IMAGES), expected, atol=1e-5 * scale)
        assert not tools.storages(child) & tools.storages(supernet)
    assert not caplog.records


def test_a_stage_of_one_cell_has_weights_that_the_supernet_lacks(tools):
    """Where a depth leaves a stage a single cell, NNI gives the next cell fewer channels than the supernet has."""
    strategy, supernet = trained(tools, lambda: DARTS(width=4, num_cells=(3, 6), dataset="cifar"))
    stages = [m for m in supernet.modules() if isinstance(m, NDSStageDifferentiable)]  # the space's own hook
    assert [s._arch_alpha["depth"] is strategy.distribution.logits_of("depth") for s in stages] == [True] * 3
    values = strategy.distribution.mode()
    deep = derive_child(supernet, {**values, "depth": 6}).eval()
    expected = tools.run_at(strategy.distribution, supernet, {**values, "depth": 6}, IMAGES)
    tools.assert_same(deep(IMAGES), expected)
    shallow = derive_child(supernet, {**values, "depth": 3})
    left = inherit_weights(shallow, supernet, {**values, "depth": 3})
    assert left
    assert all("preprocessor.pre0" in name for name in left)


def test_loose_ends_leave_only_what_reads_them(tools):
    """A child concatenates fewer nodes, so layers that read a cell have fewer input channels."""
    strategy, supernet = trained(tools, lambda: ENAS(width=4, num_cells=3, dataset="cifar"))
    values = tools.all_or_some_samples(strategy.distribution, 1, seed=1)[0]
    child = derive_child(supernet, values).eval()
    left = inherit_weights(child, supernet, values)
    readers = ("preprocessor.pre0", "preprocessor.pre1", "classifier.weight")
    assert all(any(reader in name for reader in readers) for name in left)
    # The columns of the nodes that the child keeps are the ones that make it equal.
    kept = {}
    for stage, wide in zip(child.stages, supernet.stages, strict=True):
        for cell, full in zip(stage, getattr(wide, "blocks", wide), strict=True):
            kept[len(kept)] = [n - 2 for n in cell.output_node_indices], len(full.output_node_indices)
    parameters, wide = dict(child.named_parameters()), dict(supernet.named_parameters())
    with torch.no_grad():
        for name in left:
            reads = 2 if name.startswith("classifier") else int(name.split(".")[1]) - (2 if "pre0" in name else 1)
            nodes, count = kept[reads]
            weight = wide[name.replace(".0.preprocessor", ".blocks.0.preprocessor")] if name not in wide else wide[name]
            parts = weight.split(weight.shape[1] // count, 1)
            parameters[name].copy_(torch.cat([parts[node] for node in nodes], 1))
        tools.assert_same(child(IMAGES), tools.run_at(strategy.distribution, supernet, values, IMAGES), atol=1e-4)


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
    with pytest.raises(UnsupportedSpaceError, match=r"label 'cell/.*NasBench101CellConstraint is not a choice"):
        tools.mutate(
            NasBench101(stem_out_channels=8, num_stacks=2, num_modules_per_stack=1, max_num_vertices=4, max_num_edges=5)
        )
