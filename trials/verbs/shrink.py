"""``snas-nni shrink``: from a trained network to the best one that a budget allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from snas_nni.errors import SettingError
from trials.settings.help import settings_help
from trials.settings.reader import read_settings
from trials.settings.search import RunSettings
from trials.settings.user_code import add_current_folder_to_path
from trials.state.failures import exit_code_of
from trials.verbs.search import read_search_settings
from trials.verbs.shared.common import settings_and_trial
from trials.verbs.shared.options import with_group_options

__all__ = ["read_shrink_settings", "run"]

_INTRODUCTION = """\
usage: snas-nni shrink --model MODULE.FUNCTION --weights FILE --max-macs 60% [--SETTING VALUE]...

Makes a space from a trained network (search_spaces.FromModel), measures how much the network loses with each choice
changed, takes the child within the budget that loses least, trains it on with the network as teacher, and writes it
with a comparison of both: comparison.json in the run's folder.

  --model MODULE.FUNCTION   makes the network; --set 'arguments={num_classes: 10}' are its arguments
  --weights FILE            of the network: safetensors, or a torch file that holds nothing but tensors
  --max-COST BOUND          macs, params, ...: a number, or a share of the network's own such as 60%
  --tune-epochs N           epochs that the child is trained on by itself [19]
  --as-code FILE            write the child as Python source that needs torch alone, and check that it computes the same
  --set NAME=VALUE          an argument of search_spaces.FromModel: widths, depth, kernels, keep, importance
  --data.mean LIST --data.std LIST
                            the normalization that the network was trained with, one number for each channel; images of
                            bytes count from 0 to 1. Without them, that of the training images at hand

All settings of a search are settings here, with other defaults: search.initial_logits sensitivity, search.epochs 1,
search.settle_epochs 1, search.candidates 1, training.learning_rate 0.01, training.learning_rate_floor 0.0001,
tuning.epochs 19, tuning.learning_rate 0.01, resources.fill true, and for classification distillation.teacher original.

  snas-nni shrink --model my.module.make --weights model.safetensors --max-macs 60% --data.source folder --data.path p
  snas-nni shrink --resume runs/20300101-120000-000
"""
_DEFAULTS: Final[Mapping[str, Any]] = {
    "space": {"class_path": "search_spaces.FromModel"},
    # The child is chosen before the first epoch, which trains it where it is: a checkpoint to derive others from.
    "search": {"epochs": 1, "initial_logits": "sensitivity", "settle_epochs": 1, "candidates": 1},
    "training": {"learning_rate": 0.01, "learning_rate_floor": 1e-4},
    "resources": {"fill": True},
    "distillation": {"teacher": "original"},
    "tuning": {"epochs": 19, "learning_rate": 0.01},
}
_SHORT: Final = {
    "--model": "--space.init_args.model",
    "--weights": "--space.init_args.weights",
    "--tune-epochs": "--tuning.epochs",
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help())
        return 0
    words, code = _without_code_file(arguments)
    settings, trial = settings_and_trial(read_shrink_settings, words)
    add_current_folder_to_path()
    from trials.runs.shrink import run_shrink

    return exit_code_of(lambda: run_shrink(settings, trial, code), "the shrinking")


def read_shrink_settings(arguments: Sequence[str], tuned: Mapping[str, Any] | None = None) -> RunSettings:
    """Read the settings of the search; those of a run that is resumed come first, from its folder.

    Args:
        arguments: of the command line.
        tuned: parameters of a tuner by dotted keys; they override everything else.

    Raises:
        SettingError: there is no model, a key is unknown, or a value has the wrong type or is out of its range.
    """
    words = [_spelled(word) for word in arguments]
    settings = read_settings(with_group_options(words), tuned, _DEFAULTS)
    if settings.training.task != "classification" or settings.evaluator.class_path is not None:
        # A teacher's outputs are classes; a module of one's own has a loss of its own.
        without_teacher = {name: group for name, group in _DEFAULTS.items() if name != "distillation"}
        settings = read_settings(with_group_options(words), tuned, without_teacher)
    if settings.resume is not None:
        return read_search_settings(words, tuned)
    if "model" not in settings.space.init_args:
        raise SettingError("--model is missing: give the function that makes the network, such as my.module.make")
    return settings


def _without_code_file(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """Take ``--as-code FILE`` out: where a file goes that is written once the run is over, and no setting of it."""
    words, file = list(arguments), None
    for index, word in enumerate(words):
        option, separator, value = word.partition("=")
        if option == "--as-code":
            rest = words[index + 1 : index + 2]
            if not separator and not rest:
                raise SettingError("--as-code: the name of the file must follow, such as child.py")
            file = Path(value if separator else rest[0])
            del words[index : index + (1 if separator else 2)]
            break
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingError(f"--as-code: there is no folder {str(file.resolve().parent)!r}")
    return words, file


def _spelled(word: str) -> str:
    option, separator, value = word.partition("=")
    if option.startswith("--max-"):
        option = f"--resources.max_{option.removeprefix('--max-').replace('-', '_')}"
    return f"{_SHORT.get(option, option)}{separator}{value}"
