"""A settings file decides on settings, and on nothing else."""

import sys
from pathlib import Path

import pytest
import torch

from snas_nni.errors import SettingError
from trials.cli import main
from trials.settings.reader import checked_group, made_of, read_given, read_settings
from trials.settings.retrain import RetrainSettings
from trials.settings.search import RunSettings


@pytest.fixture
def hostile_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hostile_module.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\nThing = dict\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "imported"


@pytest.mark.parametrize("kind", [RunSettings, RetrainSettings])
@pytest.mark.parametrize(
    "content",
    [
        "search: {class_path: hostile_module.Thing}",
        "training: {class_path: hostile_module.Thing, init_args: {}}",
        "data: {class_path: hostile_module.Thing}",
        "data: {options: {class_path: hostile_module.Thing}}",
        "data: {source: {class_path: hostile_module.Thing}}",
        "space: {class_path: hostile_module.Thing}",
        "space: {init_args: {x: {class_path: hostile_module.Thing, init_args: {}}}}",
        "space: {class_path: {class_path: hostile_module.Thing}}",
        "seed: {class_path: hostile_module.Thing}",
        "devices: {class_path: hostile_module.Thing}",
        "class_path: hostile_module.Thing",
        "space: {init_args: '{x: {class_path: hostile_module.Thing, init_args: {}}}'}",
        "space: {init_args: {x: '{class_path: hostile_module.Thing, init_args: {}}'}}",
        "space: {init_args: {x: [[{class_path: hostile_module.Thing}]]}}",
        "data: {options: {class_path: hostile_module.Thing, init_args: {}}}",
        "data: {options: {x: {class_path: hostile_module.Thing, dict_kwargs: {}}}}",
        "search: {logits_betas: '[{class_path: hostile_module.Thing}, 1]'}",
        "space: {init_args: {class_path: hostile_module.Thing}}",
        "search: !!python/object/new:hostile_module.Thing {}",
    ],
)
def test_reading_settings_imports_nothing_that_they_name(
    tmp_path: Path, hostile_module: Path, kind: type, content: str
) -> None:
    file = tmp_path / "run.yml"
    file.write_text(content)
    try:
        made_of(read_given([f"--config={file}"], None, kind), kind)
    except SettingError as error:
        assert str(error).isprintable()  # noqa: PT017
    imported = sys.modules.pop("hostile_module", None)
    assert imported is None
    assert not hostile_module.exists()


def test_neither_does_a_tuner_nor_a_record(hostile_module: Path) -> None:
    from trials.settings.search import DataSettings

    value = {"x": {"class_path": "hostile_module.Thing", "init_args": {}}}
    with pytest.raises(SettingError, match=r"the tuner's space\.init_args\.y\.x: .*class_path"):
        read_settings([], {"space.init_args.y": value})
    # What another's code wants to be told is kept, and read by nobody here.
    assert checked_group({"options": value}, DataSettings, "a.json") == {"options": value}
    assert "hostile_module" not in sys.modules


def test_text_is_not_a_bomb(tmp_path: Path) -> None:
    laughs = "&a [1, 1, 1, 1, 1, 1, 1, 1]"
    for name in "bcdefgh":
        laughs = f"&{name} [{laughs}, " + ", ".join([f"*{chr(ord(name) - 1)}"] * 7) + "]"
    for content, words in (
        (f"search: {{logits_betas: '[{laughs}, 1]'}}", "search.logits_betas must not be a long text"),
        (f"space: {{init_args: '{{x: {laughs}}}'}}", "space.init_args must be a group"),
        (f"data: {{options: '{{x: {laughs}}}'}}", "data.options must be a group"),
    ):
        file = tmp_path / "run.yml"
        file.write_text(content)
        with pytest.raises(SettingError, match=words):
            read_settings([f"--config={file}"])
    file.write_text("search: {logits_learning_rate: 1e-3, logits_betas: '[0.1, 0.2]'}")
    settings = read_settings([f"--config={file}"]).search
    assert (settings.logits_learning_rate, settings.logits_betas) == (0.001, (0.1, 0.2))


@pytest.mark.parametrize("group", ["space", "data", "search", "resources", "training"])
def test_a_group_is_not_the_path_of_one_more_file(tmp_path: Path, group: str) -> None:
    other = tmp_path / "other.yml"
    other.write_text("{}")
    file = tmp_path / "run.yml"
    file.write_text(f"{group}: {other}\n")
    with pytest.raises(SettingError, match=rf"run\.yml: {group} must be a group of settings"):
        read_settings([f"--config={file}"])


def test_free_values_come_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("space: {init_args: {a: 'null', b: '3', c: 'x: y', d: {class_path: q.R}, e: [1, '2'], f: null}}")
    expected = {"a": "null", "b": "3", "c": "x: y", "d": {"class_path": "q.R"}, "e": [1, "2"], "f": None}
    assert read_settings([f"--config={file}"]).space.init_args == expected
    assert read_settings([f"--config={file}", "--space.init_args.b=4"]).space.init_args == {**expected, "b": 4}


def test_null_is_for_settings_that_may_be_left_open(tmp_path: Path) -> None:
    file = tmp_path / "run.yml"
    file.write_text("search: {logits_gradient_clip: null}\n")
    assert read_settings([f"--config={file}"]).search.logits_gradient_clip is None
    file.write_text("data: {validation_fraction: null}\n")
    with pytest.raises(SettingError, match=r"run\.yml: data\.validation_fraction must not be null"):
        read_settings([f"--config={file}"])
    with pytest.raises(SettingError, match=r"data\.validation_fraction"):
        read_settings(["--data.validation_fraction=null"])


def test_the_file_with_the_mistake_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("seed: 4\n")
    bad.write_text("search: {epochs: [many]}\n")
    with pytest.raises(SettingError, match=r"bad\.yml: .*search\.epochs"):
        read_settings([f"--config={good}", "--config", str(bad)])


def test_recorded_settings_are_checked_like_given_ones() -> None:
    from trials.settings.search import DataSettings

    assert checked_group({"image_size": 8, "path": None}, DataSettings, "a.json: settings.data") == {
        "image_size": 8,
        "path": None,
    }
    for recorded, words in (
        ({"image_size": "large"}, r"a\.json: settings\.data: .*image_size"),
        ({"workers": [1]}, r"a\.json: settings\.data: .*workers"),
        ({"colour": 1}, r"a\.json: settings\.data: there is no setting colour"),
    ):
        with pytest.raises(SettingError, match=words):
            checked_group(recorded, DataSettings, "a.json: settings.data")


@pytest.mark.slow
@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_a_thousand_processes_are_not_started(accelerator: str, tmp_path: Path, capsys) -> None:
    """On a CPU each device is a process; nobody means that many."""
    if accelerator == "auto" and torch.cuda.is_available():
        pytest.skip("there the devices are graphics cards")
    words = ["search", f"--accelerator={accelerator}", "--devices=1000", f"--output={tmp_path / 'output'}"]
    assert main(words) == 2
    assert "devices is 1000, but must be at most" in capsys.readouterr().err
