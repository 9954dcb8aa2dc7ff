"""Splits are disjoint, stratified and the same every time; sources are found and checked."""

import importlib
import inspect
import sys
import types

import pytest
import torch

from snas_nni.errors import SettingError
from trials.data.sources import load_data
from trials.data.splits import channel_statistics, stratified_split
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress
from trials.settings.help import settings_help
from trials.settings.recipes import recipe_name
from trials.settings.search import DataSettings
from trials.settings.sources import SOURCES, DataSource

QUIET = Progress(quiet=True)


def test_split_is_disjoint_complete_and_keeps_class_shares() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    kept, held_out = stratified_split(labels, 0.2, seed=3)
    assert torch.equal(torch.cat([kept, held_out]).sort().values, torch.arange(160))
    assert torch.bincount(labels[held_out]).tolist() == [20, 10, 2]


def test_split_depends_on_its_seed_only() -> None:
    labels = torch.arange(200) % 4
    first = stratified_split(labels, 0.25, seed=1)
    torch.manual_seed(99)
    again = stratified_split(labels, 0.25, seed=1)
    other = stratified_split(labels, 0.25, seed=2)
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_split_leaves_every_class_in_both_parts() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    for fraction in (0.01, 0.99):
        kept, held_out = stratified_split(labels, fraction, seed=0)
        assert sorted(labels[kept].tolist()) == sorted(labels[held_out].tolist()) == [0, 1]


def test_split_of_a_lonely_example_names_the_class() -> None:
    with pytest.raises(SettingError, match="class 1 has 1"):
        stratified_split(torch.tensor([0, 0, 1]), 0.5, seed=0)


def test_digits_are_all_there_and_scaled() -> None:
    data = load_data(DataSettings(), QUIET)
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
    assert data.input_shape == (1, 8, 8)
    assert data.classes == 10
    assert data.normalisation is not None
    scaled = data.normalisation(data.train.inputs)
    assert abs(float(scaled.mean())) < 1e-4
    assert abs(float(scaled.std()) - 1) < 1e-3
    for split in (data.train, data.validation, data.test):
        shares = torch.bincount(split.labels).float() / len(split)
        assert shares.min() > 0.08


def test_digits_test_split_does_not_move_with_the_validation_split() -> None:
    first = load_data(DataSettings(split_seed=0), QUIET)
    second = load_data(DataSettings(split_seed=1, validation_fraction=0.5), QUIET)
    assert torch.equal(first.test.inputs, second.test.inputs)
    assert len(first.validation) != len(second.validation)


def test_unknown_source_is_named() -> None:
    with pytest.raises(SettingError, match=r"data\.source.*'digit'"):
        load_data(DataSettings(source="digit"), QUIET)
    with pytest.raises(SettingError, match="no_such_module"):
        load_data(DataSettings(source="no_such_module.load"), QUIET)


def test_own_source_is_called(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_points.py").write_text(
        "import torch\n"
        "from trials.data import ClassificationData, LabelledTensors\n"
        "def load(settings, progress):\n"
        "    part = LabelledTensors(torch.zeros(4, settings.options['width']), torch.tensor([0, 1, 0, 1]))\n"
        "    return ClassificationData(part, part, part, ('a', 'b'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = load_data(DataSettings(source="my_points.load", options={"width": 7}), QUIET)
    assert data.input_shape == (7,)


def test_labels_outside_the_classes_are_refused() -> None:
    part = LabelledTensors(torch.zeros(2, 1), torch.tensor([0, 2]))
    with pytest.raises(SettingError, match=r"labels 0\.\.2"):
        ClassificationData(part, part, part, ("a", "b"))


def test_statistics_of_constant_channels_do_not_divide_by_zero() -> None:
    images = torch.full((3, 2, 4, 4), 51, dtype=torch.uint8)
    statistics = channel_statistics(images)
    assert statistics.mean == pytest.approx((0.2, 0.2))
    assert torch.equal(statistics(images), torch.zeros(3, 2, 4, 4))


def test_missing_cifar_says_how_to_get_it(tmp_path) -> None:
    with pytest.raises(SettingError, match=r"data\.download"):
        load_data(DataSettings(source="cifar10", path=str(tmp_path)), QUIET)


def two_classes(settings: DataSettings, progress: Progress) -> ClassificationData:
    split = LabelledTensors(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
    return ClassificationData(split, split, split, ("left", "right"))


def test_a_source_is_a_function_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("a_new_source")
    module.two_classes = two_classes
    monkeypatch.setitem(sys.modules, "a_new_source", module)
    monkeypatch.setitem(SOURCES, "two", DataSource("a_new_source.two_classes", note="tiny", recipe="digits"))
    assert load_data(DataSettings(source="two"), QUIET).class_names == ("left", "right")
    assert "cifar100, two (tiny), my_data.load" in settings_help()
    assert recipe_name({"data": {"source": "two"}}) == "digits"
    with pytest.raises(SettingError, match=r"data\.source: 'three' is neither built in \(digits, .*, two\)"):
        load_data(DataSettings(source="three"), QUIET)


def test_every_entry_names_a_function_of_settings_and_progress() -> None:
    for name, source in SOURCES.items():
        module, _, function = source.function.rpartition(".")
        found = getattr(importlib.import_module(module), function)
        assert list(inspect.signature(found).parameters) == ["settings", "progress"], name
