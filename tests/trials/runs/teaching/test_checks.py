"""What a search cannot be taught is refused before it begins, by the names of the modules."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from snas_nni.errors import SettingError
from trials.data.sources import load_data
from trials.progress import Progress
from trials.runs.components import make_space
from trials.runs.teaching.checks import check_features, check_teaching
from trials.runs.teaching.teachers import find_distillation
from trials.settings.search import DataSettings, RunSettings, SpaceSettings
from trials.settings.tuning import DistillationSettings, TuningSettings

sys.path.append(str(Path(__file__).parents[2] / "verbs"))
MODEL = "small_digits_network.make"
FIRST, SECOND = "0", "3"  # its convolutions


@pytest.fixture(scope="module")
def digits():
    return load_data(DataSettings(), Progress(quiet=True))


def settings_for(features, keep=(), **more):
    space = SpaceSettings(
        class_path="search_spaces.FromModel", init_args={"model": MODEL, "min_channels": 4, "keep": list(keep)}
    )
    teaching = DistillationSettings(teacher="original", features=features, **more)
    return RunSettings(space=space, distillation=teaching)


def check(settings, digits):
    distillation = find_distillation(settings.distillation, settings.space, digits)
    check_teaching(settings, distillation, make_space(settings.space, digits), digits)
    return distillation


def test_layers_that_stay_can_learn(digits):
    distillation = check(settings_for({FIRST: FIRST}, keep=[FIRST]), digits)
    assert distillation.features.pairs == {FIRST: FIRST}
    check(settings_for({SECOND: SECOND}, feature_comparison="attention"), digits)  # of any number of channels


def test_a_layer_that_may_become_narrower_is_refused_with_both_shapes(digits):
    words = (
        r"distillation.features: '3' of the child of all last candidates and '3' of the teacher: the outputs have "
        r"different shapes: \(8, 4, 4\) of the network, \(32, 4, 4\) of the teacher"
    )
    with pytest.raises(SettingError, match=words):
        check(settings_for({SECOND: SECOND}), digits)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"layer9": FIRST}, "the space has no module 'layer9'"),
        ({FIRST: "layer9"}, "the teacher has no module 'layer9'"),
    ],
)
def test_unknown_names_are_refused(digits, features, words):
    with pytest.raises(SettingError, match=f"distillation.features: {words}"):
        check(settings_for(features, feature_comparison="attention"), digits)


def test_a_module_that_does_not_run_is_refused(digits):
    distillation = check(settings_for({FIRST: FIRST}, keep=[FIRST]), digits)
    child = torch.nn.Sequential()
    child.add_module("flat", torch.nn.Flatten())
    child.forward = lambda inputs: child.flat(inputs)
    child.add_module(FIRST, torch.nn.Conv2d(1, 16, 3))
    with pytest.raises(SettingError, match="'0' of the child does not run"):
        check_features(distillation, child, digits, "the child")


def test_a_supernet_teaches_after_the_search_only(digits):
    settings = replace(settings_for({}), distillation=DistillationSettings(teacher="supernet"))
    with pytest.raises(SettingError, match="set tuning.epochs"):
        check(settings, digits)
    check(replace(settings, tuning=TuningSettings(epochs=1)), digits)


def test_features_need_a_teacher_and_names():
    with pytest.raises(SettingError, match="needs distillation.teacher"):
        DistillationSettings(features={"a": "b"})
    with pytest.raises(SettingError, match="must give the name"):
        DistillationSettings(teacher="original", features={"a": 1.5})
