import math
from collections import Counter

import pytest
import torch

from search_spaces import NasBench201Space
from snas_nni.distribution.choices import AnyOf, OneOf, SubsetOf
from trials.bench.methods import make_method, uniform_sample
from trials.bench.searching import search_with
from trials.bench.settings import METHODS
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress
from trials.settings.search import SearchSettings, TrainingSettings


def make_data() -> ClassificationData:
    torch.manual_seed(0)

    def split(count: int) -> LabelledTensors:
        labels = torch.arange(count) % 2
        return LabelledTensors(torch.randn(count, 1, 4, 4) + labels[:, None, None, None], labels)

    return ClassificationData(split(64), split(32), split(8), ("a", "b"))


def make_space() -> NasBench201Space:
    return NasBench201Space(channels=2, cells_per_stage=1, in_channels=1, classes=2)


@pytest.mark.parametrize("name", METHODS)
def test_methods_see_equal_images_and_their_children_are_the_supernets(name):
    search = SearchSettings(epochs=2, batch_size=8, logits_learning_rate=0.1)
    found = search_with(name, make_space, make_data(), search, TrainingSettings(), 0, 3, Progress(quiet=True))
    assert found.images == 2 * 64
    assert len(found.entropy) == 2
    largest = 6 * math.log(5)
    if name == "random":
        assert found.entropy == pytest.approx([largest] * 2, rel=1e-5)
        assert len(found.candidates) == 3
        assert found.child_accuracy_bn_recalibrated == max(accuracy for _, accuracy in found.candidates)
    else:
        assert 0 < found.entropy[1] < found.entropy[0] < largest
        assert found.candidates == [(found.sample, found.child_accuracy_bn_recalibrated)]
    assert set(found.sample) == {f"cell/edge_{i}_{j}" for j in (1, 2, 3) for i in range(j)}
    for accuracy in (found.search_accuracy, found.child_accuracy, found.child_accuracy_bn_recalibrated):
        assert accuracy * 32 == pytest.approx(round(accuracy * 32))


@pytest.mark.parametrize("name", METHODS)
def test_a_child_inherits_weights_and_shares_none(name):
    torch.manual_seed(0)
    space = make_space()
    method = make_method(name, space, SearchSettings(), seed=0)
    supernet = method.strategy.mutate_model(space)
    method.strategy._mutated_model_space = type("Mutated", (), {"model_space": supernet})()
    sample = {f"cell/edge_{i}_{j}": "nor_conv_3x3" for j in (1, 2, 3) for i in range(j)}
    if name == "snas":
        method.strategy.chosen_sample = lambda: sample
    child = method.child(sample)
    weights = {tensor.data_ptr() for tensor in supernet.parameters()}
    values = [tensor.detach() for tensor in supernet.parameters()]
    for tensor in child.parameters():
        assert tensor.data_ptr() not in weights
        assert any(tensor.shape == value.shape and torch.equal(tensor, value) for value in values)
    assert sum(module.kernel_size == (3, 3) for module in child.modules() if isinstance(module, torch.nn.Conv2d)) == (
        1 + 3 * 6 + 2 * 2  # stem, cells, residual blocks
    )


def test_samples_are_uniform_and_of_the_choice():
    choices = [
        OneOf("a", ("x", "y")),
        OneOf("b", (1, 2), as_list=True),
        SubsetOf("c", (0, 1, 2), 2),
        AnyOf("d", (5, 6)),
    ]
    generator = torch.Generator().manual_seed(0)
    samples = [uniform_sample(choices, generator) for _ in range(600)]
    counts = Counter(tuple(sample["c"]) for sample in samples)
    assert set(counts) == {(0, 1), (0, 2), (1, 2)}
    assert min(counts.values()) > 160
    assert Counter(sample["a"] for sample in samples)["x"] == pytest.approx(300, abs=50)
    assert {tuple(sample["b"]) for sample in samples} == {(1,), (2,)}
    assert {tuple(sample["d"]) for sample in samples} == {(), (5,), (6,), (5, 6)}
