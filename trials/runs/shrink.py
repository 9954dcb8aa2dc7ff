"""From a trained network to a smaller one: a search of the space that is made from it, and both networks compared."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exports import build, export_code, export_onnx, load
from exports.code.export import code_in_words
from exports.metric import ACCURACY, DecidingMetric
from exports.onnx_files.description import described_by_summary
from exports.report.evidence.comparison_view import COMPARISON_FILE
from exports.run_folder import SearchResult
from snas_nni.files import write_atomically
from trials.data.loaders import evaluation_loader, input_example
from trials.data.sources import load_data
from trials.data.types import TaskData
from trials.progress import Progress
from trials.runs.search import run_search
from trials.runs.session import facts_of
from trials.runs.teaching.teachers import original_network
from trials.settings.search import DataSettings, RunSettings
from trials.state.nni_trial import NniTrial
from trials.training.evaluation import child_costs, onnx_predictor, torch_predictor

__all__ = ["compare_with_original", "comparison_in_words", "run_shrink"]

_RUNS = 50


def run_shrink(settings: RunSettings, trial: NniTrial | None = None, code: Path | None = None) -> SearchResult | None:
    """Search a network's space, tune the child, and write how it compares with the network into the run's folder.

    Args:
        settings: of the search; its space is a :class:`search_spaces.FromModel`.
        trial: the NNI trial to report to; None outside an experiment.
        code: file that the child is written to as Python source; None for none.

    Returns:
        The result; None in the processes that train beside the first one.

    Raises:
        SnasError: as of a search; or the space is not made from a network, or that network cannot be exported,
            or the child not be written as source.
    """
    result = run_search(settings, trial)
    if result is None:
        return None
    progress = Progress(settings.quiet)
    data = load_data(settings.data, progress, settings.training.task, settings.evaluator)
    named = [
        text for text in (settings.space.class_path, settings.space.init_args.get("model")) if isinstance(text, str)
    ]
    child = build(load(result.output / "architecture.json"), spaces=named)
    document = compare_with_original(
        original_network(settings.space, data), child, data, settings.data, result.output, progress
    )
    for line in comparison_in_words(document):
        progress.say(line)
    if code is not None:
        progress.say(code_in_words(export_code(child, code, input_example(data))))
    return result


def compare_with_original(
    original: nn.Module, child: nn.Module, data: TaskData, settings: DataSettings, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Measure both networks and write ``comparison.json``, with the original's ONNX file beside the child's.

    Args:
        original: the network that the space was made from.
        child: of the search.
        data: the splits; both networks are measured on the test split.
        settings: of the data.
        folder: of the run, with the child's ``model.onnx``.
        progress: told what cannot be counted.

    Returns:
        For each network ``test`` (the deciding metric, an accuracy with its 95 % interval), ``metric``, ``costs``,
        ``onnx_bytes`` and ``onnx_ms``: the median time of one input in ONNX Runtime on this machine's CPU, as far as
        it is quiet.
    """
    example = input_example(data)
    document = {}
    for name, network, path in (
        ("original", original, folder / "original.onnx"),
        ("child", child, folder / "model.onnx"),
    ):
        test = data.task.evaluate(torch_predictor(network, "cpu"), evaluation_loader(data, data.test))
        if network is original:
            said = {**facts_of(data, settings), "metrics": test.metrics("test")}
            export_onnx(original, path, example, description=described_by_summary(said, example))
        document[name] = {
            "metric": test.metric.as_document(),
            "test": test.as_document(),
            "costs": child_costs(network, example, progress),
            "onnx_bytes": path.stat().st_size,
            "onnx_ms": _milliseconds(path, example.batch()),
        }
    write_atomically(folder / COMPARISON_FILE, (json.dumps(document, indent=2) + "\n").encode())
    return document


def comparison_in_words(document: Mapping[str, Any]) -> list[str]:
    """Return the comparison line by line."""
    original, child = document["original"], document["child"]
    lines = [f"{'':<24}{'original':>16}{'child':>16}"]
    metric = DecidingMetric.from_document(original["metric"]) if "metric" in original else ACCURACY
    if metric == ACCURACY:
        for name, each in (("test accuracy", "share"), ("95 % interval", "interval95")):
            values = [_percent(part["test"]["top1"][each]) for part in (original, child)]
            lines.append(f"{name:<24}{values[0]:>16}{values[1]:>16}")
    else:
        values = [metric.text(part["test"][metric.name]) for part in (original, child)]
        lines.append(f"{'test ' + metric.title:<24}{values[0]:>16}{values[1]:>16}")
    rows = [(name, cost, child["costs"].get(name)) for name, cost in original["costs"].items()]
    rows += [("ONNX bytes", original["onnx_bytes"], child["onnx_bytes"])]
    for name, before, after in rows:
        if after is not None:
            lines.append(f"{name:<24}{before:>16,.0f}{after:>16,.0f}  {after / max(before, 1):.1%}")
    lines.append(f"{'ONNX Runtime, ms':<24}{original['onnx_ms']:>16.3f}{child['onnx_ms']:>16.3f}")
    return lines


def _percent(value: Any) -> str:
    return " to ".join(f"{each:.1%}" for each in value) if isinstance(value, list) else f"{value:.2%}"


def _milliseconds(path: Path, inputs: torch.Tensor) -> float:
    predict = onnx_predictor(path)
    taken = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        predict(inputs)
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)
