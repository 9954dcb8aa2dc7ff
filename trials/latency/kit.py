"""Kits: a folder with children of a space as ONNX files and a script that times them, for a device without us."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

import exports.latency.clock
from exports import ArchitectureFileError, InputExample, SpaceReference
from exports.latency.clock import FORMAT, VERSION
from exports.rebuilding.find_space import Spaces, find_space
from snas_nni import SNAS, LatencyTable
from snas_nni.distribution.choices import Choice, chosen_categories
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, readable, reason_of, write_atomically
from snas_nni.resources.costs import count_supernet
from snas_nni.resources.latency import MeasurementPlan
from snas_nni.resources.latency.parts import parts_of
from trials.latency.campaign import Writer, campaign_of
from trials.latency.tables import spread_of
from trials.progress import Progress
from trials.settings.costs.latency import LatencySettings

__all__ = ["SCRIPT", "read_kit", "write_kit"]

SCRIPT = "measure.py"
_KIT_FORMAT = "snas-nni/latency-kit"
_MAX_BYTES = 2**26

_OWN_FORMAT = """\
# Latency kit

`graphs/` holds {count} networks of one search space, in a format that a program of this device runs:

    python {script} --timer 'my_runner ...'

The program gets a file as its last word (or for `{{}}`) and prints milliseconds. Cut off, the script goes on where it
was. It writes `latency.json`. Bring that back: `snas-nni latency read latency.json --output table.json` makes the table
for a search.
"""

_README = """\
# Latency kit

`graphs/` holds {count} networks of one search space. This times them on the device it lies on:

    pip install onnxruntime numpy
    python {script}

It writes `latency.json`; cut off, it goes on where it was. Where the networks do not run in Python, say what runs one:
`python {script} --timer 'adb shell ...'` gets a file as its last word (or for `{{}}`) and prints milliseconds.
Bring `latency.json` back: `snas-nni latency read latency.json --output table.json` makes the table for a search.
"""


def write_kit(
    space: Callable[[], ModelSpace],
    example: InputExample,
    settings: LatencySettings,
    folder: Path,
    progress: Progress,
    writer: Writer | None = None,
) -> None:
    """Write the kit of a space.

    Args:
        space: makes the model space.
        example: what one input looks like.
        settings: the clock that the script has unless it is told otherwise.
        folder: to write into. A kit that is written again goes on with the files that are there.
        progress: told how far it is.
        writer: writes the graphs in another format than ONNX; the script then needs ``--timer`` on the device.

    Raises:
        SettingError: the folder holds something else, or the writer failed.
        SnasError: the space cannot be searched, counted, recorded or exported.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / SCRIPT).is_file():
        raise SettingError(f"output: the folder {str(folder)!r} is not empty; give another one")
    campaign = campaign_of(space, example, settings)
    choices, reference = campaign.strategy.distribution.choices, SpaceReference.of(space())
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(exports.latency.clock.__file__, folder / SCRIPT)
    files = campaign.write_graphs(folder / "graphs", settings.int8, progress, writer)
    document = {
        "format": _KIT_FORMAT,
        "version": VERSION,
        "space": {"class_path": reference.class_path, "arguments": reference.arguments},
        "input": example.as_document(),
        "settings": settings.runtime,
        "int8": settings.int8,
        "needs_timer": writer is not None,
        "fitted": [_categories(sample, choices) for sample in campaign.plan.fitted],
        "held_out": [_categories(sample, choices) for sample in campaign.plan.held_out],
    }
    words = _README if writer is None else _OWN_FORMAT
    write_atomically(folder / "README.md", words.format(count=len(files), script=SCRIPT).encode())
    write_atomically(folder / "kit.json", (json.dumps(document) + "\n").encode())


def read_kit(path: Path, spaces: Spaces = None) -> tuple[LatencyTable, Mapping[str, Choice]]:
    """Make the table out of what a kit's script wrote.

    Args:
        path: the JSON file.
        spaces: the space's class or its dotted path, which may then be imported; None for this project's spaces.

    Returns:
        The table, and the choices of its space.

    Raises:
        SettingError: names the file and the key that is wrong.
        ArchitectureFileError: the space may not be imported, or is not there.
    """
    shown = readable(str(path), 300)
    try:
        document = parse_json(read_bounded(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{shown}: cannot be read as JSON ({reason_of(error, 200)}).") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("version") != VERSION:
        raise SettingError(f"{shown}: is not what the script of a latency kit writes ({FORMAT}, version {VERSION}).")
    kit = _part(document, "kit", dict, shown)
    reference = _part(kit, "space", dict, f"{shown}: kit")
    class_path = _part(reference, "class_path", str, f"{shown}: kit.space")
    arguments = _part(reference, "arguments", dict, f"{shown}: kit.space")
    example = InputExample.from_document(kit.get("input"), f"{shown}: kit.input")
    try:
        space = find_space(class_path, arguments, spaces)
    except ArchitectureFileError as error:
        raise ArchitectureFileError(f"kit.{error.key}", error.problem, error.remedy, path) from error
    strategy = SNAS(seed=0)
    try:
        supernet = strategy.mutate_model(space(**arguments))
    except (TypeError, ValueError) as error:
        raise SettingError(f"{shown}: kit.space.arguments: {readable(str(error), 300)}") from error
    distribution = strategy.distribution
    fitted, held_out = (
        [
            _sample(each, distribution.choices, f"{shown}: kit.{key}[{number}]")
            for number, each in enumerate(_part(kit, key, list, f"{shown}: kit"))
        ]
        for key in ("fitted", "held_out")
    )
    try:
        costs = count_supernet(supernet, distribution, example.batch())
        parts = parts_of(supernet, distribution, costs, (example.batch(),))
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        raise SettingError(
            f"{shown}: kit.input: the space does not run with it: {readable(str(error), 300)}"
        ) from error
    plan = MeasurementPlan(costs, parts, fitted, held_out)
    suffix = "" if kit.get("needs_timer") is True else ".onnx"
    timings = [_timing(document, f"{number:04d}{suffix}", shown) for number in range(len(plan.samples))]
    measurement = {**_part(document, "measurement", dict, shown), **spread_of(timings), "int8": kit.get("int8") is True}
    table = plan.table([each["milliseconds"] for each in timings], _part(document, "device", dict, shown), measurement)
    return table, distribution.choices


def _categories(sample: Mapping[str, Any], choices: Mapping[str, Choice]) -> dict[str, list[int]]:
    return {label: chosen_categories(choice, sample) for label, choice in choices.items()}


def _sample(value: Any, choices: Mapping[str, Choice], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(choices):
        raise SettingError(f"{where}: must have the labels of the space and no others; the kit is of another space.")
    found = {}
    for label, choice in choices.items():
        given = value[label]
        if not isinstance(given, list) or not all(type(each) is int and each >= 0 for each in given):
            raise SettingError(f"{where}.{readable(label, 60)}: must hold whole numbers, not {readable(given)}.")
        try:
            found[label] = choice.value(given)
            if chosen_categories(choice, found) != given:
                raise IndexError
        except (IndexError, ValueError):
            raise SettingError(
                f"{where}.{readable(label, 60)}: the space has no candidate {readable(given)}."
            ) from None
    return found


def _timing(document: Mapping[str, Any], name: str, shown: str) -> dict[str, float]:
    timing = _part(_part(document, "files", dict, shown), name, dict, f"{shown}: files")
    for key in ("milliseconds", "spread", "disturbed"):
        value = timing.get(key)
        low = 0 if key != "milliseconds" else 1e-9
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value < 1e9
            or math.isnan(value)
        ):
            raise SettingError(f"{shown}: files[{name}].{key}: must be a number above 0, not {readable(value)}.")
    return timing


def _part(document: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = document.get(key)
    if not isinstance(value, kind):
        raise SettingError(f"{where}.{key}: is missing or no {kind.__name__}.")
    return value
