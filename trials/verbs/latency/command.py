"""``snas-nni latency``: measure a table here, write a kit for another device, or read what a kit measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.example_input import InputExample
from trials.settings.costs.latency import LatencySettings
from trials.settings.help import meanings_of
from trials.verbs.shared.options import add_input_options, given_example, with_plain_options

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

__all__ = ["run"]

_SHAPE = InputExample((3, 32, 32))


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni latency",
        description="Latency tables: milliseconds of each candidate of a space in the runtime that deploys it. A "
        "search takes one with --resources.latency_table, and measures one by itself where it needs one and has none.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    measure = verbs.add_parser("measure", help="time children of a space on this machine and write the table")
    _add_space(measure)
    measure.add_argument("--output", type=Path, required=True, help="the table to write, a JSON file")
    measure.add_argument(
        "--timer", metavar="COMMAND", help="times a file in place of ONNX Runtime: it gets the file as its last word "
        "(or for {}), and prints milliseconds",
    )  # fmt: skip
    kit = verbs.add_parser("kit", help="write a folder that times children of a space on another device")
    _add_space(kit)
    kit.add_argument("--output", type=Path, required=True, help="the folder to write")
    read = verbs.add_parser("read", help="make the table out of what a kit wrote on its device")
    read.add_argument("file", type=Path, help="latency.json, which the kit's script wrote")
    read.add_argument("--output", type=Path, required=True, help="the table to write, a JSON file")
    read.add_argument("--space", help="dotted path of your own space's class, which may then be imported")
    for each in (measure, kit):
        each.add_argument(
            "--writer", metavar="FUNCTION", help="dotted path of a function of yours that writes a child in another "
            "format than ONNX: it gets the child, an example of its input, and a path",
        )  # fmt: skip
    for each in (measure, kit, read):
        each.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(with_plain_options(arguments))

    from trials.latency.kit import read_kit, write_kit
    from trials.latency.tables import measure_table, said_of
    from trials.progress import Progress
    from trials.settings.user_code import add_current_folder_to_path, import_dotted

    add_current_folder_to_path()
    progress = Progress(options.quiet)
    if options.verb == "read":
        table, choices = read_kit(options.file, options.space)
        table.save(options.output, choices)
        progress.say(f"{options.output}: {said_of(table)}")
        return 0
    settings = LatencySettings(**{each.name: getattr(options, each.name) for each in fields(LatencySettings)})
    example = given_example(options, _SHAPE) or _SHAPE
    space = _maker(options)
    writer = import_dotted(options.writer, "--writer") if options.writer else None
    if options.verb == "kit":
        write_kit(space, example, settings, options.output, progress, writer)
        progress.say(f"{options.output}: run its measure.py on the device, then snas-nni latency read latency.json")
        return 0
    work = options.output.with_name(options.output.name + ".work")
    table, choices = measure_table(space, example, settings, progress, work, options.timer, writer)
    table.save(options.output, choices)
    progress.say(str(options.output))
    return 0


def _maker(options: argparse.Namespace) -> Callable[[], ModelSpace]:
    from trials.runs.components import make_space
    from trials.runs.space_description import space_argument
    from trials.settings.search import SpaceSettings

    settings = SpaceSettings(class_path=options.space, init_args=dict(map(space_argument, options.set)))
    return lambda: make_space(settings)


def _add_space(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="SPACE", help="a class such as search_spaces.SnasCellSpace")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="argument of the space's class"
    )
    add_input_options(parser, "3,32,32")
    meanings, defaults = meanings_of(LatencySettings), LatencySettings()
    for each in fields(LatencySettings):
        default: Any = getattr(defaults, each.name)
        name, meaning = f"--{each.name.replace('_', '-')}", meanings[each.name].replace("%", "%%")
        if isinstance(default, bool):
            parser.add_argument(name, action="store_true", help=meaning)
        elif isinstance(default, str):
            parser.add_argument(name, default=default, help=f"{meaning} ({default})")
        else:
            parser.add_argument(name, type=int, default=default, metavar="N", help=f"{meaning} ({default})")
