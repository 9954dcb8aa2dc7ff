"""``snas-nni export``: from an architecture file to an ONNX file that was run before it got its name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from snas_nni.errors import SettingError
from trials.verbs.options import shape_of, with_plain_options

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni export",
        description="Rebuild the child of an architecture file with its weights, write it as ONNX, and compare it "
        "with ONNX Runtime.",
    )
    parser.add_argument("file", type=Path, help="architecture.json")
    parser.add_argument(
        "--output", type=Path, help="where the result goes, an ONNX file (default: model.onnx beside FILE)"
    )
    parser.add_argument("--weights", type=Path, help="safetensors file (default: the recorded one)")
    parser.add_argument("--no-weights", action="store_true", help="export with new, untrained weights")
    parser.add_argument(
        "--input-shape", help="of one input, 3,32,32 or 3 32 32 (default: from summary.json beside FILE)"
    )
    parser.add_argument("--space", help="dotted path of your own space's class, which may then be imported")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(with_plain_options(arguments))

    from exports import build, export_onnx, load
    from trials.progress import Progress
    from trials.settings.user_code import add_current_folder_to_path

    add_current_folder_to_path()
    architecture = load(options.file)
    shape = _input_shape(options.input_shape, options.file)
    weights = False if options.no_weights else options.weights or True
    child = build(architecture, spaces=options.space, weights=weights)
    report = export_onnx(
        child, options.output or options.file.with_name("model.onnx"), shape, architecture=architecture
    )
    Progress(options.quiet).say(
        f"{report.path}: {report.size:,} bytes, opset {report.opset}; ONNX Runtime differs from PyTorch by "
        f"{report.max_difference:.1e} of the largest output"
    )
    return 0


def _input_shape(given: str | None, file: Path) -> tuple[int, ...]:
    if given is not None:
        return shape_of(given)
    try:
        return tuple(json.loads(file.with_name("summary.json").read_text(encoding="utf-8"))["input_shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"--input-shape: is needed, as there is no usable summary.json beside {file}") from error
