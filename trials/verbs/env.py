"""``snas-nni env``: the verb's command line."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="snas-nni env",
        description="Print a line for the shell after which nnictl, used directly, starts NNI's manager as snas-nni "
        'launch does: reachable from this machine only, and not by web pages. Use it as: eval "$(snas-nni env)"',
    )
    parser.add_argument(
        "--listen-everywhere", action="store_true", help="let other machines reach it; it has no password"
    )
    options = parser.parse_args(arguments)

    from trials.experiments.node_options import node_options

    value = node_options(os.environ.get("NODE_OPTIONS", ""), options.listen_everywhere)
    print(f"export NODE_OPTIONS={shlex.quote(value)}")
    return 0
