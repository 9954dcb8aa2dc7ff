"""``snas-nni export``: from an architecture file to an ONNX file or Python source, run before it got its name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exports.example_input import InputExample
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded, reason_of
from trials.verbs.shared.options import add_input_options, architecture_file, given_example, with_plain_options

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni export",
        description="Rebuild the child of an architecture file with its weights, write it as ONNX, and compare it "
        "with ONNX Runtime. The file says what its input is, how images are prepared and what the classes are called. "
        "Or write the child as Python source that needs torch alone, and compare that.",
    )
    parser.add_argument("file", type=Path, help="architecture.json, or the folder of a run")
    parser.add_argument(
        "--output", type=Path, help="where the result goes, an ONNX file (default: model.onnx beside FILE)"
    )
    parser.add_argument(
        "--as-code", type=Path, metavar="FILE", help="write Python source there; ONNX too only with --output"
    )
    parser.add_argument(
        "--with-preprocessing",
        action="store_true",
        help="put scaling from 8 bits, mean and deviation into the file, which then takes images as they are, uint8 "
        "(default file: model.uint8.onnx)",
    )
    parser.add_argument(
        "--layout",
        choices=("NCHW", "NHWC"),
        default="NCHW",
        help="of these images: batch, channels, height, width (the default) or, as image libraries hold them, NHWC",
    )
    parser.add_argument("--weights", type=Path, help="safetensors file (default: the recorded one)")
    parser.add_argument("--no-weights", action="store_true", help="export with new, untrained weights")
    add_input_options(parser, "as recorded in FILE, or in summary.json beside it")
    parser.add_argument("--space", help="dotted path of your own space's class, which may then be imported")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(with_plain_options(arguments))

    from exports import build, export_code, export_onnx, load
    from exports.code.export import code_in_words
    from exports.onnx_files.description import described_by_summary
    from trials.progress import Progress
    from trials.settings.user_code import add_current_folder_to_path

    add_current_folder_to_path()
    options.file = architecture_file(options.file)
    architecture = load(options.file)
    summary = _summary(options.file)
    example = given_example(options, architecture.input_example or _input_of(summary, options.file))
    if example is None:
        raise SettingError(f"--input-shape: is needed, as neither {options.file} nor a summary.json beside it says it")
    where = str(options.file.with_name("summary.json"))
    description = described_by_summary({"metrics": architecture.metrics, **summary}, example, where)
    weights = False if options.no_weights else options.weights or True
    child = build(architecture, spaces=options.space, weights=weights)
    progress = Progress(options.quiet)
    if options.as_code is not None:
        progress.say(code_in_words(export_code(child, options.as_code, example)))
        if options.output is None:
            return 0
    name = "model.uint8.onnx" if options.with_preprocessing else "model.onnx"
    report = export_onnx(
        child,
        options.output or options.file.with_name(name),
        example,
        architecture=architecture,
        description=description,
        preprocessing=options.layout if options.with_preprocessing else None,
    )
    progress.say(
        f"{report.path}: {report.size:,} bytes, opset {report.opset}; ONNX Runtime differs from PyTorch by "
        f"{report.max_difference:.1e} of the largest output"
    )
    return 0


def _summary(file: Path) -> Mapping[str, Any]:
    """Return the summary beside an architecture file; nothing if there is none."""
    path = file.with_name("summary.json")
    if not path.exists():
        return {}
    try:
        document = parse_json(read_bounded(path, 2**22))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read: {reason_of(error, 200)}") from error
    return document if isinstance(document, dict) else {}


def _input_of(summary: Mapping[str, Any], file: Path) -> InputExample | None:
    """Return what a summary says of the input; earlier versions wrote it there only."""
    if "input" not in summary and "input_shape" not in summary:
        return None
    given = summary.get("input", {"shape": summary.get("input_shape")})
    return InputExample.from_document(given, f"{file.with_name('summary.json')}: input")
