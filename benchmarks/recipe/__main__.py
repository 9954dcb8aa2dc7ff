"""``python -m benchmarks.recipe --data FOLDER``: what each part of the retraining recipe ``modern`` brings.

A row is written as soon as it is measured, and the same command goes on where the last one was cut.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.recipe.measure import VARIANTS, measure
from benchmarks.recipe.page import goals, page
from snas_nni.files import write_atomically
from trials.training.trainer import quieten_libraries

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main() -> int:
    """Run what the result file does not have yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe", description=__doc__)
    parser.add_argument("--data", required=True, help="folder with train/CLASS/* and test/CLASS/*, CIFAR-10 as images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--weights", type=Path, default=Path("runs/shrink"), help="folder of the teachers")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    quieten_libraries()
    path = arguments.output / "recipe.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    document |= {"command": "python -m benchmarks.recipe --data FOLDER"}
    rows = document["rows"]
    for seed in arguments.seeds:
        for variant in VARIANTS:
            key = {"variant": variant, "seed": seed}
            if any(key.items() <= row.items() for row in rows):
                continue
            rows.append({**key, **measure(variant, seed, arguments.data, arguments.weights)})
            document["goals"] = goals(rows)
            write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
            print(rows[-1], flush=True)
    path.with_suffix(".md").write_text(page(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
