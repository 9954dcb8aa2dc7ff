"""``snas-nni retrain``: one retraining from the command line or as an NNI trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trials.runs.recorded import recorded_data, recorded_task, recorded_training
from trials.settings.help import settings_help
from trials.settings.reader import architecture_first, made_of, read_given
from trials.settings.recipes import with_recipe
from trials.settings.retrain import RetrainSettings
from trials.settings.user_code import add_current_folder_to_path
from trials.state.failures import exit_code_of
from trials.verbs.shared.common import settings_and_trial, settings_file_of
from trials.verbs.shared.options import architecture_file, with_group_options

__all__ = ["read_retrain_settings", "run"]

_INTRODUCTION = """\
usage: snas-nni retrain ARCHITECTURE [--config FILE] [--SETTING VALUE]...

Trains the network of an architecture.json, at another size if you like, and writes its weights and an ONNX file.
Settings come from the run of the architecture (data, task), from the recipe, then from YAML files, the command line
and (inside an NNI experiment) the tuner; the later one wins. Without cells the recipe is plain: it trains as the run
did. The defaults below are those of the recipe cifar10.

  snas-nni retrain runs/photos --space my_space.MySpace     (its data and its task are recorded)
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
        return made_of(with_recipe(given), RetrainSettings)
    recorded, cells = _of_run(given)
    return made_of(with_recipe(given, recorded, cells), RetrainSettings)


def _of_run(given: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], bool]:
    """Return what the run of the architecture records of its data and its training, and whether it has cells."""
    from exports import PUBLISHED, load  # what --help does without

    name = str(given.get("architecture", ""))
    path = Path(name).expanduser()
    if not name or (name in PUBLISHED and not path.is_file()):
        return {}, True
    architecture = load(architecture_file(path))
    if not isinstance(architecture.settings.get("data"), dict):  # a file that no run wrote
        return {}, bool(architecture.cells)
    settings, where = architecture.settings, str(architecture.file)
    space = given.get("space", {}).get("class_path")
    task, evaluator = recorded_task(settings, space, where)
    recorded = {
        "data": recorded_data(settings, given.get("data", {}), space, where),
        "training": {**recorded_training(settings, where), "task": task},
        "evaluator": asdict(evaluator),
    }
    return recorded, bool(architecture.cells)
