import hashlib

import pytest
import torch
from torch import nn

from exports import ArchitectureFileError, load_weights, save_weights


def test_round_trip_of_parameters_and_buffers(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network(torch.randn(2, 3, 5, 5))
    path = tmp_path / "w.safetensors"
    digest = save_weights(network, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_weights(other, path, digest)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


def test_tied_and_strided_tensors(tmp_path):
    network = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    network["b"].weight = network["a"].weight
    network["a"].bias = nn.Parameter(torch.arange(6.0)[::2])
    save_weights(network, tmp_path / "w")
    again = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    again["b"].weight = again["a"].weight
    load_weights(again, tmp_path / "w")
    assert again["b"].weight is again["a"].weight
    assert torch.equal(again["a"].weight, network["a"].weight)
    assert again["a"].bias.tolist() == [0.0, 2.0, 4.0]


def test_equal_weights_give_equal_bytes(tmp_path):
    network = nn.Linear(2, 2)
    assert save_weights(network, tmp_path / "a") == save_weights(network, tmp_path / "b")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: nn.Linear(3, 2), "weight is 2 x 2 in the file and 2 x 3 in the child"),
        (lambda: nn.Linear(2, 2, bias=False), "the child has no bias"),
        (lambda: nn.Linear(2, 2).double(), "torch.float32 in the file and torch.float64 in the child"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), "the file lacks 0.weight, 0.bias"),
    ],
)
def test_weights_that_do_not_fit_are_explained(tmp_path, other, words):
    save_weights(nn.Linear(2, 2), tmp_path / "w")
    child = other()
    before = {name: value.clone() for name, value in child.state_dict().items()}
    with pytest.raises(ArchitectureFileError, match="does not fit") as caught:
        load_weights(child, tmp_path / "w")
    assert words in str(caught.value)
    assert all(torch.equal(child.state_dict()[name], value) for name, value in before.items())


def test_files_that_are_not_safetensors(tmp_path):
    child = nn.Linear(2, 2)
    pickled = tmp_path / "pickled"
    torch.save(child.state_dict(), pickled)
    cut = tmp_path / "cut"
    save_weights(child, cut)
    cut.write_bytes(cut.read_bytes()[:-4])
    for path in (pickled, cut):
        with pytest.raises(ArchitectureFileError, match="not a complete safetensors file"):
            load_weights(child, path)
    with pytest.raises(ArchitectureFileError, match="cannot be read"):
        load_weights(child, tmp_path / "absent")


def test_state_that_is_no_dense_tensor_is_named(tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"calls": 3}

    with pytest.raises(ArchitectureFileError, match="_extra_state is a dict"):
        save_weights(Extra(2, 2), tmp_path / "w")
    assert not list(tmp_path.iterdir())
