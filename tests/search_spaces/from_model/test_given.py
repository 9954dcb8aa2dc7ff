"""What makes the network, by name; and what it runs on."""

import copy

import pytest
import small_networks
import torch
from safetensors.torch import save_file
from small_networks import Perceptron, Residual, lively
from torch import nn

from exports import Architecture, ArchitectureFileError, build, load, save, save_weights
from exports.architecture.space_reference import SpaceReference
from search_spaces import FromModel, space_from
from search_spaces.from_model.given import constructor_from, example_from, path_of
from snas_nni import SNAS, derive_child

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def record(tmp_path):
    """A child of a network that was given with its constructor, and its record with weights."""
    strategy = SNAS(seed=0)
    space = space_from(lively(Residual), IMAGES, constructor=Residual, arguments={"width": 8}, keep=["stem"])
    supernet = strategy.mutate_model(space)
    sample = {label: choice.candidates[-1] for label, choice in strategy.distribution.choices.items()}
    child = derive_child(supernet, sample).eval()
    weights = tmp_path / "weights.safetensors"
    made = Architecture.create(space=supernet, sample=sample, child=child)
    save(made.with_weights(weights, save_weights(child, weights)), tmp_path / "architecture.json")
    return child, tmp_path / "architecture.json"


def test_a_file_names_the_constructor_and_the_child_comes_back(record):
    child, file = record
    loaded = load(file)
    assert loaded.space.class_path == "search_spaces.from_model.space.FromModel"
    assert loaded.space.arguments == {
        "model": "small_networks.Residual",
        "arguments": {"width": 8},
        "example": [[2, 3, 8, 8]],
        "weights": None,
        "widths": [0.25, 0.5, 0.75, 1.0],
        "depth": True,
        "kernels": [],
        "min_channels": 8,
        "keep": ["stem"],
        "importance": "magnitude",
    }
    rebuilt = build(loaded, spaces="small_networks").eval()
    assert type(rebuilt) is Residual
    with torch.no_grad():
        assert torch.equal(rebuilt(IMAGES), child(IMAGES))
    assert (
        build(loaded, spaces=["small_networks.Residual"], weights=False).state_dict().keys()
        == child.state_dict().keys()
    )


@pytest.mark.parametrize("spaces", [None, "search_spaces", FromModel, ["small", "small_networks.Residua"]])
def test_a_file_alone_imports_nothing(record, spaces, monkeypatch):
    monkeypatch.setattr(small_networks, "Residual", None)  # it would not be found
    with pytest.raises(
        ArchitectureFileError, match=r"space\.arguments\.model: 'small_networks\.Residual' would be imported"
    ):
        build(load(record[1]), spaces=spaces)


def test_a_file_cannot_call_whatever_python_has(record):
    _, file = record
    loaded = load(file)
    for path in ("os.system", "builtins.exec", "subprocess.run"):
        changed = copy.deepcopy(loaded)
        changed.space.arguments.update(model=path, arguments={"command": "true"})
        with pytest.raises(ArchitectureFileError, match="would be imported"):
            build(changed, spaces="small_networks")


def test_a_network_without_its_constructor_is_searched_but_not_saved():
    space = space_from(lively(Residual), IMAGES)
    with pytest.raises(ArchitectureFileError, match=r"space\.arguments\.model.*Residual"):
        SpaceReference.of(space)


def test_the_constructor_has_to_make_that_network():
    with pytest.raises(ValueError, match=r"constructor small_networks\.Residual makes another network.*blocks\.0"):
        space_from(lively(Residual), IMAGES, constructor="small_networks.Residual", arguments={"width": 16})
    with pytest.raises(ValueError, match=r"<lambda> cannot be found by its name"):
        space_from(lively(Residual), IMAGES, constructor=lambda: Residual())


class Mine(FromModel):
    """A user's own class around the same."""

    def __init__(self, width=16):
        super().__init__(Perceptron, {"hidden": width}, example=[2, 3, 8, 8])


def test_a_subclass_has_arguments_of_its_own():
    space = Mine(width=24)
    assert space.candidates["first/width"] == [24, 18, 12, 8]
    assert space.trace_kwargs == {"width": 24}


def test_weights_from_a_file(tmp_path):
    network = lively(Residual)
    save_file(network.state_dict(), tmp_path / "trained.safetensors")
    given = {"example": [2, 3, 8, 8], "weights": str(tmp_path / "trained.safetensors")}
    space = FromModel("small_networks.Residual", **given).eval()
    with torch.no_grad():
        torch.testing.assert_close(space(IMAGES), network(IMAGES))
    with pytest.raises(ValueError, match="weights: .*cannot be loaded into the model"):
        FromModel("small_networks.Residual", {"width": 16}, **given)
    with pytest.raises(ValueError, match="weights: .*cannot be loaded"):
        FromModel("small_networks.Residual", example=[2, 3, 8, 8], weights=str(tmp_path / "none.safetensors"))
    with torch.device("meta"):  # as where a file's child is built: nothing is read
        FromModel("small_networks.Residual", example=[2, 3, 8, 8], weights="not there")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Residual", "must be the dotted path"),
        ("small_networks.lively()", "must be the dotted path"),
        ("no_such_module.make", "cannot be imported"),
        ("small_networks.nothing", "has no function or class 'nothing'"),
        ("small_networks.NETWORKS", "has no function or class 'NETWORKS'"),
    ],
)
def test_paths(path, message):
    with pytest.raises(ValueError, match=message):
        constructor_from(path)


def test_what_is_found_by_its_path():
    assert path_of(Residual) == "small_networks.Residual"
    assert constructor_from("small_networks.gated") is small_networks.gated
    with pytest.raises(ValueError, match="returned a dict, not a torch"):
        FromModel(dict, example=[1, 3])


def test_examples():
    network = nn.Linear(2, 2).double()
    assert example_from([4, 2], network)[0].dtype == torch.float64
    pair = example_from([[4, 2], {"shape": [4], "dtype": "int64"}], network)
    assert [(tuple(t.shape), t.dtype) for t in pair] == [((4, 2), torch.float64), ((4,), torch.int64)]
    assert example_from(IMAGES, network) == (IMAGES,)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    example_from([4, 2], network)
    assert torch.equal(torch.get_rng_state(), before)
    for wrong in ("4, 2", [], [0, 2], [1.5], {"shape": [1], "dtype": "complex64"}, 3, [2**20, 2**20]):
        with pytest.raises(ValueError, match="example"):
            example_from(wrong, network)
