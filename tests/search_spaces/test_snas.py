import copy
import functools
import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import OPERATIONS, SnasCellSpace
from search_spaces.edges import edge_pairs
from search_spaces.operations import NormedPool
from search_spaces.snas import reduction_positions

LEVELS = ("mild", "moderate", "aggressive")
LABELS = [f"{kind}/edge_{i}_{j}" for kind in ("normal", "reduction") for i, j in edge_pairs(2, 4)]
RETRAINED = {"cells": 20, "channels": 36, "affine": True}
samples = st.fixed_dictionaries({label: st.sampled_from(list(OPERATIONS)) for label in LABELS})


def sample_of(level, paper_cells):
    return SnasCellSpace.sample_from_cells(paper_cells[level])


@pytest.fixture(scope="module")
def retrained_child(paper_cells, build_child):
    """The CIFAR-10 network of each of the paper's cells, with auxiliary head, built once."""

    @functools.cache
    def build(level):
        return build_child(SnasCellSpace, sample_of(level, paper_cells), **RETRAINED, auxiliary=True)

    return build


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 1_930_618),
        ({"affine": True}, 2_005_114),
        ({"cells": 20, "channels": 36}, 19_932_310),
    ],
)
def test_supernet_size(arguments, expected, count_parameters):
    space = SnasCellSpace(**arguments)
    assert count_parameters(space) == expected


def test_labels_are_those_of_28_edges_whatever_the_number_of_cells():
    assert list(SnasCellSpace(channels=2, cells=8).simplify()) == LABELS
    assert list(SnasCellSpace(channels=2, cells=3).simplify()) == LABELS
    choice = SnasCellSpace(channels=2, cells=3).simplify()["reduction/edge_4_5"]
    assert list(choice.values) == list(OPERATIONS)


@pytest.mark.parametrize(
    ("level", "plain", "auxiliary", "no_pool_norm", "conv_macs"),
    [
        ("mild", 2_663_542, 3_139_968, 2_661_382, 422_212_608),
        ("moderate", 2_848_222, 3_324_648, 2_847_358, 440_681_472),
        ("aggressive", 2_313_622, 2_790_048, 2_313_622, 374_906_880),
    ],
)
def test_paper_cells_on_cifar(
    level, plain, auxiliary, no_pool_norm, conv_macs, retrained_child, count_parameters, count_conv_macs
):
    child = retrained_child(level)
    assert count_parameters(child) == auxiliary
    assert count_parameters(child) - count_parameters(child.auxiliary_head) == plain
    assert count_conv_macs(child, (3, 32, 32)) == conv_macs
    assert child.classifier.weight.numel() == 5_760
    pool_norms = [module.norm for module in child.modules() if isinstance(module, NormedPool)]
    assert plain - sum(map(count_parameters, pool_norms)) == no_pool_norm


def test_a_net_without_auxiliary_head_and_pool_norm(paper_cells, build_child, count_parameters):
    arguments = {**RETRAINED, "pool_norm": False}
    child = build_child(SnasCellSpace, sample_of("moderate", paper_cells), **arguments)
    assert count_parameters(child) == 2_847_358


@pytest.mark.parametrize(
    ("level", "before_6", "cell_6", "cell_7", "before_13", "cell_13", "cell_14", "last"),
    [
        ("mild", (19_764, 21_060, 22_356), 28_872, 73_224, 83_592, 109_584, 281_232, 322_704),
        ("moderate", (19_224, 20_520, 21_816), 99_720, 69_552, 79_920, 354_960, 263_520, 304_992),
        ("aggressive", (16_992, 18_288, 19_584), 49_536, 59_904, 70_272, 182_016, 223_488, 264_960),
    ],
)
def test_paper_cells_cell_by_cell(
    level,
    before_6,
    cell_6,
    cell_7,
    before_13,
    cell_13,
    cell_14,
    last,
    retrained_child,
    count_parameters,
):
    child = retrained_child(level)
    first, second, others = before_6
    expected = [first, second, *[others] * 4, cell_6, cell_7, *[before_13] * 5, cell_13, cell_14, *[last] * 5]
    assert [count_parameters(cell) for cell in child.cells] == expected
    assert count_parameters(child.stem) == 3_132
    assert count_parameters(child.classifier) == 5_770


@pytest.mark.parametrize(
    ("level", "parameters", "conv_macs"),
    [
        ("mild", 201_914, 35_917_824),
        ("moderate", 272_410, 43_978_752),
        ("aggressive", 198_778, 35_815_424),
    ],
)
def test_paper_cells_at_search_size(
    level, parameters, conv_macs, paper_cells, build_child, count_parameters, count_conv_macs
):
    child = build_child(SnasCellSpace, sample_of(level, paper_cells), affine=True)
    assert count_parameters(child) == parameters
    assert count_conv_macs(child, (3, 32, 32)) == conv_macs


@pytest.mark.parametrize(
    ("level", "channels", "parameters", "million_macs"),
    [
        ("mild", 48, 3_942_208, 438.0),
        ("mild", 50, 4_238_875, 474.2),
        ("moderate", 48, 4_313_728, 465.6),
        ("moderate", 50, 4_637_475, 503.5),
        ("aggressive", 48, 3_561_952, 395.7),
        ("aggressive", 50, 3_823_575, 427.7),
    ],
)
def test_paper_cells_on_imagenet(
    level, channels, parameters, million_macs, paper_cells, build_child, count_parameters, count_conv_macs
):
    child = build_child(
        SnasCellSpace,
        sample_of(level, paper_cells),
        cells=14,
        channels=channels,
        classes=1000,
        stem="imagenet",
        affine=True,
    )
    assert count_parameters(child) == parameters
    macs = count_conv_macs(child, (3, 224, 224)) + child.classifier.weight.numel()
    assert round(macs / 1e6, 1) == million_macs


@pytest.mark.parametrize(
    ("cells", "positions"),
    [(1, ()), (2, (1,)), (3, (1, 2)), (4, (1, 2)), (5, (1, 3)), (8, (2, 5)), (14, (4, 9)), (20, (6, 13))],
)
def test_reduction_positions(cells, positions):
    assert reduction_positions(cells) == positions


@pytest.mark.parametrize("cells", [1, 2, 3, 5])
def test_nets_of_few_cells_run_on_handwritten_digits(cells, paper_cells, build_child):
    child = build_child(
        SnasCellSpace, sample_of("moderate", paper_cells), cells=cells, channels=4, in_channels=1, classes=7
    )
    assert child(torch.randn(3, 1, 8, 8)).shape == (3, 7)
    assert [cell.cell_type for cell in child.cells].count("reduction") == min(cells - 1, 2)
    assert child.classifier.in_features == 4 * 4 * 2 ** min(cells - 1, 2)


def test_the_unsearched_space_runs():
    assert SnasCellSpace(channels=2, cells=3, nodes=2)(torch.randn(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 224)])
def test_auxiliary_logits_come_in_training_only(stem, side, paper_cells, build_child):
    child = build_child(
        SnasCellSpace,
        sample_of("mild", paper_cells),
        cells=3,
        channels=2,
        classes=5,
        stem=stem,
        auxiliary=True,
    )
    images = torch.randn(2, 3, side, side)
    logits, auxiliary_logits = child.train()(images)
    assert logits.shape == auxiliary_logits.shape == (2, 5)
    (logits.sum() + auxiliary_logits.sum()).backward()
    assert all(parameter.grad is not None for parameter in child.auxiliary_head.parameters())
    assert child.eval()(images).shape == (2, 5)


def test_nodes_without_input_run_train_and_stay_zero(paper_cells, build_child):
    child = build_child(SnasCellSpace, sample_of("aggressive", paper_cells), cells=3, channels=4, affine=True)
    outputs = []
    child.cells[1].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    child(torch.randn(4, 3, 16, 16)).square().sum().backward()
    live, dead = outputs[0].chunk(2, dim=1)  # nodes 2, 3 | nodes 4, 5
    assert live.abs().max() > 0
    assert torch.equal(dead, torch.zeros_like(dead))
    gradients = [parameter.grad for parameter in child.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    unused = child.cells[1].preprocess1.conv.weight.grad
    assert unused is None or not unused.any()


def test_a_net_of_zeros_is_its_classifiers_bias(build_child):
    child = build_child(SnasCellSpace, dict.fromkeys(LABELS, "none"), cells=3, channels=2)
    assert torch.equal(child(torch.randn(2, 3, 8, 8)), child.classifier.bias.expand(2, 10))


@pytest.mark.parametrize("seed", range(3))
def test_frozen_space_keeps_its_weights_and_equals_a_rebuilt_child(seed, build_child):
    draw = random.Random(seed)
    sample = {label: draw.choice(list(OPERATIONS)) for label in LABELS}
    space = SnasCellSpace(channels=4, cells=3)
    frozen = space.freeze(sample)
    rebuilt = build_child(SnasCellSpace, sample, channels=4, cells=3)
    assert list(rebuilt.state_dict()) == list(frozen.state_dict())
    chosen = sample["normal/edge_0_2"]
    for name, weight in space.cells[0].edges["edge_0_2"][chosen].state_dict().items():
        assert torch.equal(frozen.state_dict()[f"cells.0.edges.edge_0_2.{name}"], weight)
    rebuilt.load_state_dict(copy.deepcopy(frozen.state_dict()))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(rebuilt.eval()(images), frozen.eval()(images))


@pytest.mark.slow
def test_nnis_own_one_shot_strategy_takes_the_space():
    from nni.nas.strategy import DARTS

    space = SnasCellSpace(channels=2, cells=3, nodes=2)
    sample = dict.fromkeys(space.simplify(), "dil_conv_5x5")
    DARTS().mutate_model(space)
    images = torch.randn(2, 3, 8, 8)
    space(images).square().sum().backward()
    assert space.freeze(sample)(images).shape == (2, 10)


@given(sample=samples)
@settings(max_examples=30, deadline=None)
def test_describing_cells_can_be_undone(sample):
    cells = SnasCellSpace.describe_cells(sample)
    assert list(cells) == ["normal", "reduction"]
    assert [(edge["from"], edge["to"]) for edge in cells["normal"]] == edge_pairs(2, 4)
    assert SnasCellSpace.sample_from_cells(json.loads(json.dumps(cells))) == sample


@pytest.mark.parametrize("level", LEVELS)
def test_published_form_is_read(level, paper_cells):
    described = SnasCellSpace.describe_cells(sample_of(level, paper_cells))
    assert described == {"normal": paper_cells[level]["normal"], "reduction": paper_cells[level]["reduce"]}


def test_a_net_without_reduction_cells_has_no_reduction_edges():
    space = SnasCellSpace(channels=2, cells=1, nodes=2)
    sample = dict.fromkeys(space.simplify(), "skip_connect")
    cells = SnasCellSpace.describe_cells(sample)
    assert cells["reduction"] == []
    assert len(cells["normal"]) == 5
    assert SnasCellSpace.sample_from_cells(cells) == sample


def test_wrong_samples_and_cells_are_named(paper_cells):
    with pytest.raises(ValueError, match=r"label 'middle/edge_0_2' is not an edge of this space"):
        SnasCellSpace.describe_cells({"middle/edge_0_2": "none"})
    with pytest.raises(ValueError, match=r"cell type is 'middle'; it must be one of 'normal'"):
        SnasCellSpace.sample_from_cells({"middle": []})
    both = {"reduce": paper_cells["mild"]["reduce"], "reduction": paper_cells["mild"]["reduce"]}
    with pytest.raises(ValueError, match="given twice"):
        SnasCellSpace.sample_from_cells(both)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels is 0; it must be a whole number of at least 1"),
        ({"cells": 2.0}, "cells is 2.0; it must be a whole number"),
        ({"nodes": True}, "nodes is True; it must be a whole number"),
        ({"in_channels": -1}, "in_channels is -1"),
        ({"classes": "10"}, "classes is '10'"),
        ({"stem": "mnist"}, "stem is 'mnist'; it must be one of 'cifar', 'imagenet'"),
        ({"stem": "imagenet", "channels": 5}, "channels is 5; the stem 'imagenet' needs an even number"),
        ({"auxiliary": True, "cells": 2}, "auxiliary is True with cells 2"),
        ({"affine": "false"}, "affine is 'false'; it must be True or False"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SnasCellSpace(**arguments)
