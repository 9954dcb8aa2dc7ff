"""``snas-nni show``: an architecture file, or a model space before any search, in words."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.example_input import InputExample
from trials.verbs.shared.options import add_input_options, architecture_file, given_example, with_plain_options

if TYPE_CHECKING:
    from exports import Architecture

__all__ = ["describe", "run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni show",
        description="Print an architecture file: space, cells or choices with their probabilities, metrics. "
        "Nothing is built or imported for it. Or print a model space, given by the dotted path of its class: "
        "which modules share which choice, and what each candidate costs.",
    )
    parser.add_argument(
        "target",
        nargs="?",
        help="architecture.json, the folder of a run, or a class such as search_spaces.SnasCellSpace",
    )
    parser.add_argument("--space", metavar="CLASS", help="the class, in place of TARGET")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="argument of the space's class"
    )
    add_input_options(parser, "3,32,32")
    options = parser.parse_args(with_plain_options(arguments))
    if (options.target is None) == (options.space is None):
        parser.error("give an architecture.json or a class, and one of them")
    if options.target is None or (not options.target.endswith(".json") and not Path(options.target).exists()):
        from trials.runs.space_description import describe_space
        from trials.settings.user_code import add_current_folder_to_path

        add_current_folder_to_path()
        example = given_example(options, InputExample((3, 32, 32)))
        print(describe_space(options.space or options.target, options.set, example or InputExample((3, 32, 32))))
        return 0

    from exports import load

    print(describe(load(architecture_file(Path(options.target)))))
    return 0


def describe(architecture: Architecture) -> str:
    """Write an architecture as text of some lines."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in architecture.space.arguments.items())
    lines = [f"{architecture.space.class_path}({arguments})", f"{architecture.parameters:,} parameters"]
    for name, edges in architecture.cells.items():
        lines += ["", f"cell {name}", *map(_edge, edges)]
    others = {
        label: value
        for label, value in architecture.sample.items()
        if label.split("/")[0] not in architecture.cells  # a cell's labels start with its name
    }
    if others:
        lines += ["", "choices", *(_choice(label, value, architecture) for label, value in others.items())]
    if architecture.entropy:
        lines += ["", f"entropy left {sum(architecture.entropy.values()):.2f} nats"]
    if architecture.metrics:
        lines += ["", "metrics", *_table(architecture.metrics)]
    made_with = ", ".join(f"{name} {version}" for name, version in architecture.versions.items())
    return "\n".join([*lines, "", f"seed {architecture.seed}; {made_with}"])


def _edge(edge: Mapping[str, Any]) -> str:
    return f"  {edge['from']} -> {edge['to']}  {edge['op']:<14}{_probability(edge.get('probability'))}"


def _choice(label: str, value: Any, architecture: Architecture) -> str:
    probability = architecture.probabilities.get(label, {}).get(str(value))
    return f"  {label} = {value}{_probability(probability)}"


def _probability(value: float | None) -> str:
    return "" if value is None else f"  probability {value:.2f}"


def _table(metrics: Mapping[str, float]) -> list[str]:
    width = max(map(len, metrics))
    return [f"  {name:<{width}}  {value:.4g}" for name, value in metrics.items()]
