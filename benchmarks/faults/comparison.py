"""Whether two output folders hold the same search, to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from trials.state.checkpoint_files import checkpoints_in, read_checkpoint

__all__ = ["differences"]

# The clock's readings, and where the files are: no two runs have them equal.
_OWN = {"seconds", "file", "created", "_start", "last_model_path"}


def differences(first: Path, second: Path) -> list[str]:
    """Compare architecture, weights of the child, metrics.csv, and all of the last checkpoint.

    That is: weights of the supernet, logits, optimisers, schedules, random states, loader position, telemetry.

    Returns:
        What differs; nothing for equal searches.
    """
    found = [
        f"architecture.json {place}"
        for place in _different(_json(first / "architecture.json"), _json(second / "architecture.json"))
    ]
    one, two = (load_file(folder / "weights.safetensors") for folder in (first, second))
    found += [f"weights {place}" for place in _different(one, two)]
    if (first / "metrics.csv").read_bytes() != (second / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    states = [read_checkpoint(checkpoints_in(folder)[-1]) for folder in (first, second)]
    return found + [f"checkpoint {place}" for place in _different(*states)]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _different(first: Any, second: Any, place: str = "") -> Iterator[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted(first.keys() | second.keys(), key=str):
            if name not in _OWN:
                yield from _different(first.get(name), second.get(name), f"{place}/{name}")
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        if len(first) != len(second):
            yield place
        for index, pair in enumerate(zip(first, second, strict=False)):
            yield from _different(*pair, f"{place}/{index}")
    elif isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.dtype != second.dtype or not torch.equal(first, second):
            yield place
    elif type(first) is not type(second) or first != second:
        yield place
