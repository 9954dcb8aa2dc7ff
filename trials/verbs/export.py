"""``snas-nni export``: from an architecture file to an ONNX file or Python source, run before it got its name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from exports.example_input import InputExample
from snas_nni.errors import SettingError
from snas_nni.files import read_bounded
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
        "with ONNX Runtime; or write it as Python source that needs torch alone, and compare that.",
    )
    parser.add_argument("file", type=Path, help="architecture.json, or the folder of a run")
    parser.add_argument(
        "--output", type=Path, help="where the result goes, an ONNX file (default: model.onnx beside FILE)"
    )
    parser.add_argument(
        "--as-code", type=Path, metavar="FILE", help="write Python source there; ONNX too only with --output"
    )
    parser.add_argument("--weights", type=Path, help="safetensors file (default: the recorded one)")
    parser.add_argument("--no-weights", action="store_true", help="export with new, untrained weights")
    add_input_options(parser, "as recorded in FILE, or in summary.json beside it")
    parser.add_argument("--space", help="dotted path of your own space's class, which may then be imported")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(with_plain_options(arguments))

    from exports import build, export_code, export_onnx, load
    from exports.code.export import code_in_words
    from trials.progress import Progress
    from trials.settings.user_code import add_current_folder_to_path

    add_current_folder_to_path()
    options.file = architecture_file(options.file)
    architecture = load(options.file)
    example = given_example(options, architecture.input_example or _of_summary(options.file))
    if example is None:
        raise SettingError(f"--input-shape: is needed, as neither {options.file} nor a summary.json beside it says it")
    weights = False if options.no_weights else options.weights or True
    child = build(architecture, spaces=options.space, weights=weights)
    progress = Progress(options.quiet)
    if options.as_code is not None:
        progress.say(code_in_words(export_code(child, options.as_code, example)))
        if options.output is None:
            return 0
    path = options.output or options.file.with_name("model.onnx")
    report = export_onnx(child, path, example, architecture=architecture)
    progress.say(
        f"{report.path}: {report.size:,} bytes, opset {report.opset}; ONNX Runtime differs from PyTorch by "
        f"{report.max_difference:.1e} of the largest output"
    )
    return 0


def _of_summary(file: Path) -> InputExample | None:
    """Return what the summary beside an architecture file says; earlier versions wrote it there only."""
    path = file.with_name("summary.json")
    try:
        document = json.loads(read_bounded(path, 2**22).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    if "input" not in document and "input_shape" not in document:
        return None
    given = document.get("input", {"shape": document.get("input_shape")})
    return InputExample.from_document(given, f"{path}: input")
