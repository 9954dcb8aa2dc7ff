"""``snas-nni retrain``: one retraining from the command line or as an NNI trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snas_nni.errors import SettingError
from trials.failure import exit_code_of
from trials.recipes import with_recipe
from trials.retrain_settings import RetrainSettings
from trials.settings_reader import add_current_folder_to_path, architecture_first, made_of, read_given, settings_help

__all__ = ["read_retrain_settings", "run"]

_INTRODUCTION = """\
usage: snas-nni retrain ARCHITECTURE [--config FILE] [--SETTING VALUE]...

Trains the network of an architecture.json, at another size if you like, and writes its weights and an ONNX file.
Settings come from the recipe, then from YAML files, the command line and (inside an NNI experiment) the tuner; the
later one wins. The defaults below are those of the recipe cifar10.

  snas-nni retrain runs/photos/architecture.json --data.source folder --data.path photos --recipe cifar10
  snas-nni retrain mild --data.source cifar10 --data.download true \\
      --space.init_args.auxiliary true --precision 16-mixed
  snas-nni retrain architecture.json --space.init_args.channels 36 --space.init_args.cells 20 \\
      --space.init_args.affine true --weights new
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
    add_current_folder_to_path()
    from trials.followers import lead_to_follow

    lead = lead_to_follow()
    if lead is not None:
        settings = read_retrain_settings([f"--config={lead.output / 'settings.yml'}"])
        trial = None
        settings = replace(settings, resume=lead.resume, quiet=True)
    else:
        read_retrain_settings(arguments)  # a mistake shows at once, before the slow imports
        from trials.nni_trial import NniTrial

        trial = NniTrial.current()
        settings = read_retrain_settings(arguments, trial.parameters if trial else None)
    from trials.retrain import run_retrain

    return exit_code_of(lambda: run_retrain(settings, trial), "the retraining")


def read_retrain_settings(arguments: Sequence[str], tuned: Mapping[str, Any] | None = None) -> RetrainSettings:
    """Read settings; the first word may be the architecture, and a resumed run's own settings come first.

    Args:
        arguments: of the command line.
        tuned: parameters of a tuner by dotted keys; they override everything else.

    Raises:
        SettingError: a key is unknown, or a value has the wrong type or is out of its range.
    """
    words = architecture_first(arguments)
    given = read_given(words, tuned, RetrainSettings)
    if "resume" in given:
        path = Path(given["resume"]).expanduser() / "settings.yml"
        if not path.is_file():
            raise SettingError(f"resume: there is no {str(path)!r}; give the output folder of a retraining")
        given = read_given([f"--config={path}", *words], tuned, RetrainSettings)
    return made_of(with_recipe(given), RetrainSettings)
