"""One measurement in a process of its own: reads a job as JSON from its argument, prints its result as JSON."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import torch

__all__ = ["MARK", "run"]

MARK = "result: "
"""Stands before the result on its line of the output."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job, by its kind: one of those in ``kinds``."""
    torch.set_num_threads(job["threads"])
    warnings.simplefilter("ignore")  # what NNI and Lightning warn of does not concern a benchmark
    from benchmarks.speed.bare_loop import bare_loop
    from benchmarks.speed.gradient_error import gradient_error
    from benchmarks.speed.growth import growth, size
    from benchmarks.speed.loading import loading
    from benchmarks.speed.profile import profile
    from benchmarks.speed.training import search, train_child

    kinds = {
        "search": search,
        "child": train_child,
        "bare": bare_loop,
        "gradient_error": gradient_error,
        "growth": growth,
        "size": size,
        "loading": loading,
        "profile": profile,
    }
    return kinds[job["kind"]](job)


if __name__ == "__main__":
    print(MARK + json.dumps(run(json.loads(sys.argv[1]))), flush=True)
