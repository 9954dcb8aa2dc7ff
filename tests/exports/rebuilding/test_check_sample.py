"""JSON values become the space's own candidates again, and only those."""

import json

import pytest
import torch
from small_export_spaces import MIXED_SAMPLE, NNI_CELL_SAMPLE, EdgeSpace, MixedSpace, NniCellSpace, ReadsWeights

from exports import ArchitectureFileError
from exports.rebuilding.check_sample import checked_sample, make_space


@pytest.mark.parametrize(("space", "sample"), [(MixedSpace, MIXED_SAMPLE), (NniCellSpace, NNI_CELL_SAMPLE)])
def test_a_sample_comes_back_from_json_as_it_was(space, sample):
    assert checked_sample(space(), json.loads(json.dumps(sample))) == sample


def test_candidates_get_their_types_back():
    found = checked_sample(MixedSpace(), json.loads(json.dumps(MIXED_SAMPLE)))
    assert found["pool"] == (2, 1)
    assert type(found["pool"]) is tuple
    assert found["bias"] is False


@pytest.mark.parametrize(
    ("change", "key", "problem"),
    [
        ({"kernel": 2}, "sample.kernel", "is 2, which is not among the candidates [1, 3]"),
        ({"kernel": True}, "sample.kernel", "is True, which is not among the candidates"),  # JSON's true is not 1
        ({"kernel": "3"}, "sample.kernel", "is '3', which is not among"),
        ({"bias": 0}, "sample.bias", "is 0, which is not among"),
        ({"pool": [1, 2]}, "sample.pool", "is [1, 2], which is not among"),
        ({"depth": 5}, "sample.depth", "is 5"),
        ({"inputs": 0}, "sample.inputs", "is 0, not a list of candidates"),
        ({"inputs": [0, 7]}, "sample.inputs", "is 7, which is not among"),
        ({"colour": 1}, "sample.colour", "is not a label of the space"),
        ({"inputs": [0]}, "sample.inputs", ""),
        ({"op": None}, "sample.op", "is missing"),
    ],
)
def test_what_is_not_of_the_space_is_named(change, key, problem):
    sample = {name: value for name, value in {**MIXED_SAMPLE, **change}.items() if value is not None}
    with pytest.raises(ArchitectureFileError) as caught:
        checked_sample(MixedSpace(), sample)
    assert caught.value.key == key
    assert problem in caught.value.problem


def test_a_space_is_made_without_memory_and_leaves_the_random_state_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    space = make_space(EdgeSpace, {"channels": 3_000})
    assert torch.equal(torch.rand(3), expected)
    assert {parameter.device.type for parameter in space.parameters()} == {"meta"}


def test_a_constructor_that_reads_tensors_gets_real_ones():
    assert {parameter.device.type for parameter in make_space(ReadsWeights, {}).parameters()} == {"cpu"}


@pytest.mark.parametrize(
    ("space", "arguments", "problem"),
    [
        (EdgeSpace, {}, "EdgeSpace: missing a required argument: 'channels'"),
        (EdgeSpace, {"channels": 2, "depth": 1}, "EdgeSpace: got an unexpected keyword argument 'depth'"),
        (EdgeSpace, {"channels": "x"}, "EdgeSpace refused them: TypeError"),
        (EdgeSpace, {"channels": 10**7}, ""),  # too large
    ],
)
def test_arguments_that_are_refused(space, arguments, problem):
    with pytest.raises(ArchitectureFileError) as caught:
        make_space(space, arguments)
    assert caught.value.key == "space.arguments"
    assert problem in caught.value.problem
