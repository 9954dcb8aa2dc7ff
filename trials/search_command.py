"""``snas-nni search``: one search from the command line or as an NNI trial."""

from __future__ import annotations

from collections.abc import Sequence

from trials.failure import exit_code_of
from trials.settings_reader import add_current_folder_to_path, read_settings, settings_help

__all__ = ["run"]

_INTRODUCTION = """\
usage: snas-nni search [--config FILE] [--SETTING VALUE]...

Searches an architecture and writes it, its weights and an ONNX file. Settings come from YAML files, then from the
command line, then (inside an NNI experiment) from the tuner; the later one wins. Dots are levels of the YAML file.

  snas-nni search --search.epochs 20 --search.logits_learning_rate 0.02
  snas-nni search --config my_search.yml --data.source folder --data.path photos --output runs/photos
  snas-nni search --space.class_path my_space.MySpace --space.init_args.width 32
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help())
        return 0
    add_current_folder_to_path()
    read_settings(arguments)  # a mistake shows at once, before the slow imports

    from trials.nni_trial import NniTrial
    from trials.search import run_search

    trial = NniTrial.current()
    settings = read_settings(arguments, trial.parameters if trial else None)
    return exit_code_of(lambda: run_search(settings, trial), "the search")
