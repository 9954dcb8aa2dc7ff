"""``snas-nni search``: one search from the command line or as an NNI trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trials.settings.help import settings_help
from trials.settings.reader import read_settings
from trials.settings.search import RunSettings
from trials.settings.user_code import add_current_folder_to_path
from trials.state.failures import exit_code_of
from trials.verbs.shared.common import settings_and_trial, settings_file_of
from trials.verbs.shared.options import with_group_options

__all__ = ["read_search_settings", "run"]

_INTRODUCTION = """\
usage: snas-nni search [--config FILE] [--SETTING VALUE]...

Searches an architecture and writes it, its weights and an ONNX file. Settings come from YAML files, then from the
command line, then (inside an NNI experiment) from the tuner; the later one wins. Dots are levels of the YAML file.

  snas-nni search --search.epochs 20 --search.logits_learning_rate 0.02
  snas-nni search --config my_search.yml --data.source folder --data.path photos --output runs/photos
  snas-nni search --space my_space.MySpace --set width=32      (or --space.class_path, --space.init_args.width)
  snas-nni search --resume runs/photos       (after a cut; docs/reliability.md)
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_INTRODUCTION + settings_help())
        return 0
    settings, trial = settings_and_trial(read_search_settings, arguments)
    add_current_folder_to_path()
    from trials.runs.search import run_search

    return exit_code_of(lambda: run_search(settings, trial), "the search")


def read_search_settings(arguments: Sequence[str], tuned: Mapping[str, Any] | None = None) -> RunSettings:
    """Read settings; those of a search that is resumed come first, from its folder.

    A setting that its folder does not have is newer than the search, which then goes on as without it.

    Args:
        arguments: of the command line.
        tuned: parameters of a tuner by dotted keys; they override everything else.

    Raises:
        SettingError: a key is unknown, or a value has the wrong type or is out of its range.
    """
    words = with_group_options(arguments)
    settings = read_settings(words, tuned)
    if settings.resume is None:
        return settings
    recorded = f"--config={settings_file_of(settings.resume, 'a search')}"
    return read_settings([recorded, *words], tuned, RunSettings.before)
