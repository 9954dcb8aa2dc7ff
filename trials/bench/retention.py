"""Does the child keep the accuracy of the search? SNAS's claim (paper, section 3.1), as one comparison."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trials.bench.retention_report import write_report
from trials.bench.running import run_rows
from trials.bench.searching import search_with, train_on
from trials.bench.settings import RetentionSettings
from trials.bench.subset import load_part
from trials.progress import Progress
from trials.runs.components import make_space

__all__ = ["run_retention"]


def run_retention(settings: RetentionSettings, command: str) -> str:
    """Run what is missing, write the files, return the table.

    Raises:
        SnasError: a setting, the data, the space or the output file is not as it must be.
    """
    progress = Progress(settings.quiet)
    data = load_part(settings, progress)

    def measure(method: str, seed: int) -> dict[str, Any]:
        found = search_with(
            method,
            lambda: make_space(settings.space, data),
            data,
            settings.search,
            settings.training,
            seed,
            settings.random_candidates,
            progress,
        )
        params = sum(parameter.numel() for parameter in found.child.parameters())
        retrained = None
        if settings.retrain_epochs:
            retrained = train_on(found.child, data, settings.search, settings.training, settings.retrain_epochs, seed)
        return {
            "search_accuracy": found.search_accuracy,
            "child_accuracy": found.child_accuracy,
            "child_accuracy_bn_recalibrated": found.child_accuracy_bn_recalibrated,
            "retrained_accuracy": retrained,
            "params": params,
            "operations": dict(Counter(map(str, found.sample.values())).most_common()),
            "sample": found.sample,
            "entropy": found.entropy,
            "images": found.images,
            "seconds": round(found.seconds, 1),
        }

    rows, asked = run_rows(settings, command, progress, measure)
    return write_report(rows, asked)
