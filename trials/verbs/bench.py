"""``snas-nni bench``: comparisons of search methods, each one command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from trials.bench.settings import NasBench201Settings, RetentionSettings
from trials.settings.help import settings_help
from trials.settings.reader import made_of, read_given
from trials.settings.user_code import add_current_folder_to_path
from trials.state.failures import exit_code_of
from trials.verbs.shared.options import with_group_options

__all__ = ["run"]

_INTRODUCTION = """\
usage: snas-nni bench retention [--config FILE] [--SETTING VALUE]...
       snas-nni bench nasbench201 --table FILE [--config FILE] [--SETTING VALUE]...

Compares SNAS with NNI's DARTS, NNI's GumbelDARTS and random sampling on equal images.

  retention    does the derived child keep the accuracy that the supernet had? (digits, some minutes)
  nasbench201  how good are the found cells in the table of NAS-Bench-201? (CIFAR-10 images, hours)

Each finished row is written at once; the same command again goes on where the last one was cut.
snas-nni bench retention --help and snas-nni bench nasbench201 --help list the settings.
"""
_KINDS: dict[str, type[object]] = {"retention": RetentionSettings, "nasbench201": NasBench201Settings}
_HELP = ("-h", "--help")
_USER_ERROR = 2


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    if not arguments or arguments[0] in _HELP:
        print(_INTRODUCTION)
        return 0 if arguments else _USER_ERROR
    name, *rest = with_group_options(arguments)
    if name not in _KINDS:
        print(f"error: there is no comparison {name!r}; there are {', '.join(_KINDS)}", file=sys.stderr)
        return _USER_ERROR
    kind = _KINDS[name]
    if any(word in _HELP for word in rest):
        print(_INTRODUCTION + settings_help(kind))
        return 0
    add_current_folder_to_path()
    settings: object = made_of(read_given(rest, kind=kind), kind)
    command = shlex.join(["snas-nni", "bench", *arguments])
    return exit_code_of(lambda: print(_compare(settings, command)), "the comparison")


def _compare(settings: object, command: str) -> str:
    # On demand: these import torch and NNI, which a mistake on the command line should not wait for.
    if isinstance(settings, RetentionSettings):
        from trials.bench.retention import run_retention

        return run_retention(settings, command)
    if isinstance(settings, NasBench201Settings):
        from trials.bench.nasbench201 import run_nasbench201

        return run_nasbench201(settings, command)
    raise TypeError(f"{type(settings).__name__} is no comparison")
