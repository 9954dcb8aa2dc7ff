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

__all__ = ["main"]

_VERBS = {
    "init": "write a space, a data function, a search file and a test to begin with",
    "launch": "run an NNI experiment file to its end and show the best architecture",
    "search": "run one search",
    "derive": "derive other children of a search, within other budgets, from its checkpoint",
    "shrink": "make a trained network smaller: search, tune and compare it within a budget",
    "retrain": "train an architecture.json from scratch, at full size, or on with its weights",
    "evaluate": "measure a result folder on the test split, in PyTorch and in ONNX Runtime",
    "quantize": "make an 8-bit ONNX file of a result folder",
    "predict": "ask a result folder's ONNX file about images or an array of inputs",
    "export": "turn an architecture.json into a checked ONNX file",
    "show": "print an architecture.json so that people can read it",
    "bench": "compare SNAS with NNI's DARTS, GumbelDARTS and random sampling",
    "runs": "list the runs in a folder, so that they compare",
    "latency": "make a table of what each candidate takes in ONNX Runtime, here or on another device",
    "card": "write a model card of a run",
    "env": "print the shell's line after which nnictl itself starts a manager that others do not reach",
    "report": "write one HTML page about a search or an experiment",
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
    # NNI wonders, on import, about things in torch that are newer than it.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="nni")
    from snas_nni.errors import SnasError  # on demand: it costs seconds, which plain help should not take

    try:
        module = ".".join(["trials.verbs", *([_FOLDERS[verb]] if verb in _FOLDERS else []), verb])
        code: int = importlib.import_module(module).run(rest)
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


def _usage() -> str:
    lines = ["usage: snas-nni VERB ...", "", "Stochastic neural architecture search on top of NNI.", ""]
    lines += [f"  {verb:<8} {meaning}" for verb, meaning in _VERBS.items()]
    lines += ["", "snas-nni --version prints the version."]
    lines += ["snas-nni VERB --help explains a verb. Start with: snas-nni launch snas.yml"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
