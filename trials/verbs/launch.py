"""``snas-nni launch``: the verb's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni launch",
        description="Run an NNI experiment file to its end, show its trials while they run, stop it, and copy the "
        "best child to OUTPUT/EXPERIMENT/best. The exit code is 0 when a trial succeeded, 1 when none did.",
    )
    parser.add_argument("file", help="NNI experiment file, such as snas.yml")
    parser.add_argument(
        "--output", type=Path, default=Path("runs"), help="where the results go, a folder (default: runs)"
    )
    parser.add_argument("--port", type=int, help="port of NNI's web page (default: a free one)")
    parser.add_argument(
        "--listen-everywhere", action="store_true", help="let other machines reach it; it has no password"
    )
    parser.add_argument("--resume", metavar="ID", help="go on with an experiment that was stopped")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(arguments)

    from trials.experiments.launch import LaunchOptions, launch

    return launch(
        options.file,
        LaunchOptions(options.output, options.port, options.listen_everywhere, options.quiet, options.resume),
    )
