import random

import pytest
import torch
from nni.nas.hub.pytorch import NasBench201
from nni.nas.space import model_context

from search_spaces import NasBench201Space, to_arch_string
from search_spaces.edges import edge_pairs
from search_spaces.nasbench201 import NASBENCH201_OPERATIONS

PAIRS = edge_pairs(1, 3)
LABELS = [f"cell/edge_{source}_{target}" for source, target in PAIRS]


def random_sample(seed):
    draw = random.Random(seed)
    return {label: draw.choice(list(NASBENCH201_OPERATIONS)) for label in LABELS}


@pytest.mark.parametrize("seed", range(8))
def test_parameters_are_those_of_the_benchmark(seed, build_child, count_parameters):
    sample = random_sample(seed)
    operations = list(sample.values())
    expected = 73_306 + 28_000 * operations.count("nor_conv_1x1") + 243_040 * operations.count("nor_conv_3x3")
    assert count_parameters(build_child(NasBench201Space, sample)) == expected


@pytest.mark.parametrize("operation", NASBENCH201_OPERATIONS)
def test_parameters_of_uniform_cells(operation, build_child, count_parameters):
    each = {"nor_conv_1x1": 28_000, "nor_conv_3x3": 243_040}.get(operation, 0)
    child = build_child(NasBench201Space, dict.fromkeys(LABELS, operation))
    assert count_parameters(child) == 73_306 + 6 * each


def test_labels_and_candidates():
    space = NasBench201Space(channels=2, cells_per_stage=1).simplify()
    assert list(space) == LABELS
    names = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    assert all(list(choice.values) == names for choice in space.values())


@pytest.mark.parametrize("seed", range(4))
def test_same_function_as_nnis_hub_space(seed, build_child):
    sample = random_sample(seed)
    ours = build_child(NasBench201Space, sample, channels=4, cells_per_stage=1).eval()
    hub_sample = {
        f"cell/{source}_{target}": sample[f"cell/edge_{source}_{target}"].removeprefix("nor_")
        for source, target in PAIRS
    }
    with model_context(hub_sample):
        hub = NasBench201(stem_out_channels=4, num_modules_per_stack=1).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), hub.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(ours(images), hub(images), atol=1e-5)


def test_image_channels_classes_and_affine(build_child):
    child = build_child(
        NasBench201Space,
        dict.fromkeys(LABELS, "nor_conv_1x1"),
        channels=4,
        cells_per_stage=1,
        in_channels=1,
        classes=7,
        affine=False,
    )
    assert child(torch.randn(2, 1, 8, 8)).shape == (2, 7)
    assert child.blocks[0].edges["edge_0_1"].norm.weight is None


def test_cells_without_connection_give_a_constant_that_can_be_trained(build_child):
    child = build_child(NasBench201Space, dict.fromkeys(LABELS, "none"), channels=4, cells_per_stage=1)
    logits = child(torch.randn(2, 3, 8, 8))
    assert torch.equal(logits[0], logits[1])  # nothing of the images is left
    logits.sum().backward()
    assert torch.equal(child.classifier.bias.grad, torch.full((10,), 2.0))
    assert all(each.grad is None or not each.grad.any() for each in child.stem.parameters())


def test_frozen_space_keeps_its_weights(build_child):
    sample = random_sample(1)
    frozen = NasBench201Space(channels=4, cells_per_stage=1).freeze(sample)
    rebuilt = build_child(NasBench201Space, sample, channels=4, cells_per_stage=1)
    assert list(rebuilt.state_dict()) == list(frozen.state_dict())
    rebuilt.load_state_dict(frozen.state_dict())
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(rebuilt.eval()(images), frozen.eval()(images))


def test_describing_cells_can_be_undone():
    sample = random_sample(2)
    cells = NasBench201Space.describe_cells(sample)
    assert [(edge["from"], edge["to"]) for edge in cells["cell"]] == PAIRS
    assert NasBench201Space.sample_from_cells(cells) == sample


def test_wrong_samples_cells_and_arguments_are_named():
    with pytest.raises(ValueError, match=r"has 6 edges \(nodes 0 to 3\); 1 are given"):
        to_arch_string({"cell/edge_0_1": "none"})
    with pytest.raises(ValueError, match="label 'depth' is not an edge"):
        NasBench201Space.describe_cells({"depth": 3})
    with pytest.raises(ValueError, match="cell type is 'normal'; it must be one of 'cell'"):
        NasBench201Space.sample_from_cells({"normal": []})
    with pytest.raises(ValueError, match="6 edges"):
        NasBench201Space.sample_from_cells({})
    with pytest.raises(ValueError, match="cells_per_stage is 0; it must be a whole number of at least 1"):
        NasBench201Space(cells_per_stage=0)
