"""``snas-nni``: one entry point, several verbs."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

import snas_nni
from trials.users_home import leave_home_alone

__all__ = ["main", "module_of", "verbs_in_words"]

_VERBS = {
    "init": "write a space, a data function, a search file and a test",
    "launch": "run an NNI experiment file to its end, show what is best",
    "search": "run one search",
    "derive": "derive other children of a search, within other budgets",
    "shrink": "make a trained network smaller, within a budget",
    "retrain": "train an architecture anew at any size, or with its weights",
    "evaluate": "measure a result on the test split, in PyTorch and ONNX Runtime",
    "quantize": "make an 8-bit ONNX file of a result folder",
    "predict": "ask a run's ONNX file about images or an array of inputs",
    "export": "turn an architecture.json into a checked ONNX file",
    "show": "print an architecture.json so that people can read it",
    "bench": "compare SNAS with NNI's strategies and random sampling",
    "runs": "list the runs in a folder, or compare two of them",
    "latency": "make a table of what candidates take in ONNX Runtime",
    "card": "write a model card of a run",
    "env": "print a shell line: nnictl's manager then serves this machine only",
    "report": "write one HTML page about a search or an experiment",
    "completion": "print the script by which bash, zsh or fish completes words",
}
_FOLDERS = {"card": "deploy", "export": "deploy", "predict": "deploy", "quantize": "deploy"}
USER_ERROR = 2
INTERRUPTED = 130
ENOUGH_READ = 141  # what a shell reports of a program that a closed pipe ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit code: 0 success, 1 failure, 2 a user's mistake, 130 interrupted.

    With the environment variable ``SNAS_NNI_TRACEBACK`` set, a mistake is shown with its whole traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else USER_ERROR
    if words[0] == "--version":
        print(f"snas-nni {snas_nni.__version__}")
        return 0
    verb, *rest = words
    if verb not in _VERBS:
        near = difflib.get_close_matches(verb, _VERBS, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_VERBS)}"
        print(f"error: there is no verb {verb!r}{meant}", file=sys.stderr)
        return USER_ERROR
    leave_home_alone()
    # NNI wonders, on import, about things in torch that are newer than it.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="nni")
    from snas_nni.errors import SnasError  # on demand: it costs seconds, which plain help should not take

    try:
        code: int = importlib.import_module(module_of(verb)).run(rest)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has read enough. What is left must not be flushed at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ENOUGH_READ
    except SnasError as error:
        if os.environ.get("SNAS_NNI_TRACEBACK"):
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def module_of(verb: str) -> str:
    """Return the dotted path of a verb's module."""
    return ".".join(["trials.verbs", *([_FOLDERS[verb]] if verb in _FOLDERS else []), verb])


def verbs_in_words() -> dict[str, str]:
    """Return what each verb does."""
    return dict(_VERBS)


def _usage() -> str:
    lines = ["usage: snas-nni VERB ...", "", "Stochastic neural architecture search on top of NNI.", ""]
    lines += [f"  {verb:<11} {meaning}" for verb, meaning in _VERBS.items()]
    lines += ["", "snas-nni --version prints the version."]
    lines += ["snas-nni VERB --help explains a verb. Start with: snas-nni launch snas.yml"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
