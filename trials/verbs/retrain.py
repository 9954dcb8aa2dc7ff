"""``snas-nni retrain``: one retraining from the command line or as an NNI trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trials.runs.recorded import recorded_data, recorded_evaluator, recorded_task, recorded_training
from trials.settings.guard import merged
from trials.settings.help import settings_help
from trials.settings.reader import architecture_first, made_of, read_given
from trials.settings.recipes import RECIPES, with_recipe
from trials.settings.retrain import RetrainSettings
from trials.settings.sources import SOURCES
from trials.settings.user_code import add_current_folder_to_path
from trials.state.failures import exit_code_of
from trials.verbs.shared.common import settings_and_trial, settings_file_of
from trials.verbs.shared.options import with_group_options

__all__ = ["read_retrain_settings", "run"]

_INTRODUCTION = """\
usage: snas-nni retrain ARCHITECTURE [--config FILE] [--SETTING VALUE]...

Trains the network of a run or an architecture.json, at another size if you like, and writes its weights and an ONNX
file. Data and task are those of the run unless you say otherwise.
Settings come from the recipe, then from YAML files, the command line and (inside an NNI experiment) the tuner; the
later one wins. The defaults below are those of the recipe cifar10.

  snas-nni retrain runs/photos/architecture.json --data.source folder --data.path photos --recipe cifar10
  snas-nni retrain mild --data.source cifar10 --data.download true \\
      --set auxiliary=true --precision 16-mixed
  snas-nni retrain architecture.json --set channels=36 --set cells=20 --set affine=true --weights new
  snas-nni retrain --resume runs/20300101-120000-000
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help(RetrainSettings))
        return 0
    settings, trial = settings_and_trial(read_retrain_settings, arguments)
    add_current_folder_to_path()
    from trials.runs.retrain import run_retrain

    return exit_code_of(lambda: run_retrain(settings, trial), "the retraining")


def read_retrain_settings(arguments: Sequence[str], tuned: Mapping[str, Any] | None = None) -> RetrainSettings:
    """Read settings; the first word may be the architecture, and a resumed run's own settings come first.

    Args:
        arguments: of the command line.
        tuned: parameters of a tuner by dotted keys; they override everything else.

    Raises:
        SettingError: a key is unknown, or a value has the wrong type or is out of its range.
    """
    words = with_group_options(architecture_first(arguments))
    given = read_given(words, tuned, RetrainSettings)
    if "resume" in given:
        file = settings_file_of(given["resume"], "a retraining")
        given = read_given([f"--config={file}", *words], tuned, RetrainSettings)
    else:
        given = _with_recorded(given)
    return made_of(with_recipe(given), RetrainSettings)


_WHERE_DATA_IS = ("source", "path", "image_size", "mean", "std", "split_seed", "corrupt", "max_pixels", "options")


def _with_recorded(given: dict[str, Any]) -> dict[str, Any]:
    """Complete what is given with what the run that is retrained records: its data, its task, whether it has cells."""
    name = given.get("architecture")
    path = Path(name).expanduser() if name else Path("no file")
    file = path / "architecture.json" if path.is_dir() else path
    if not file.is_file():
        return given  # published cells, or a mistake that is told where the file is read
    from exports import load

    architecture = load(file)
    recorded, where = architecture.settings, str(file)
    found: dict[str, Any] = {}
    if not architecture.cells:  # a recipe drops paths where there are some
        found["training"] = {"drop_path": 0.0}
    space = given.get("space", {}).get("class_path")
    if "data" in recorded and "source" not in given.get("data", {}):
        data = asdict(recorded_data(recorded, given.get("data", {}), space, where))
        recipe = given.get("recipe") or (SOURCES[data["source"]].recipe if data["source"] in SOURCES else None)
        found["recipe"] = recipe or "plain"
        if found["recipe"] == "plain":  # trains as the run did
            found["training"] = {**recorded_training(recorded, where), **found.get("training", {})}
        ours = RECIPES.get(found["recipe"], {}).get("data", {})
        found["data"] = {name: data[name] for name in _WHERE_DATA_IS if name not in ours}
    if "training" in recorded:
        found["training"] = {"task": recorded_task(recorded, where), **found.get("training", {})}
    if "evaluator" in recorded:
        found["evaluator"] = asdict(recorded_evaluator(recorded, space, where))
    return merged(found, given)
