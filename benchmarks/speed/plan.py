"""Which measurements there are, and in which order they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snas_nni.one_shot.settings import SearchSettings

__all__ = ["PARTS", "Measurement", "plan"]

PARTS = (
    "schedule",
    "single_path",
    "last_epoch",
    "memory",
    "overhead",
    "loading",
    "growth",
    "size",
    "options",
    "gradient_error",
    "profile",
)
SPACES = ("hub", "snas")
TEMPERATURES = (1.0, 0.5, 0.2, 0.1, 0.03)
TOLERANCES = tuple(sorted({1e-4, 1e-2, SearchSettings().skip_tolerance}))
BASE = {"cells": 4, "channels": 16, "candidates": 4, "batch": 32}
NARROW = {"cells": 4, "channels": 2, "candidates": 2, "batch": 4}
GROWTH: dict[str, tuple[str, list[int], dict[str, int]]] = {
    "cells": ("cells", [2, 4, 6, 8], BASE),
    "channels": ("channels", [8, 16, 24, 32], BASE),
    "candidates": ("candidates", [8, 16, 32, 64], {**BASE, "cells": 2, "batch": 16}),
    "labels": ("cells", [62, 125, 250, 500], NARROW),
    "batch": ("batch", [16, 32, 48, 64], BASE),
}
"""By name: what grows, its values, and where all the rest stays. Each cell is a label of its own."""
SIZES = {"candidates": [(4, 8), (4, 16), (4, 32), (4, 64)], "labels": [(62, 4), (125, 4), (250, 4), (500, 4)]}
"""Labels and candidates of the spaces that the solver and the report are timed on."""
OPTIONS: dict[str, dict[str, Any]] = {
    "exponential": {"temperature_schedule": "exponential"},
    "dropping": {"drop_to": 2},
    "both": {"temperature_schedule": "exponential", "drop_to": 2},
}
"""Settings that change what the middle of a search is spent on."""


@dataclass(frozen=True)
class Measurement:
    """One subprocess.

    Attributes:
        part: the question that it helps to answer.
        name: what it measures; equal in all its repeats.
        repeat: which turn of the alternation it belongs to.
        job: what the worker is told.
        seconds: about how long it takes on two idle cores, for the time left.
    """

    part: str
    name: str
    repeat: int
    job: dict[str, Any]
    seconds: float


def plan(parts: tuple[str, ...], *, batch: int, threads: int, quick: bool) -> list[Measurement]:
    """All measurements of ``parts``; what is compared takes turns."""
    common = {"batch": 4 if quick else batch, "threads": threads}
    makers = {
        "schedule": _schedule,
        "single_path": _single_path,
        "last_epoch": _last_epoch,
        "memory": _memory,
        "growth": _growth,
        "size": _size,
        "options": _options,
        "gradient_error": _gradient_error,
        "overhead": _overhead,
        "loading": _loading,
        "profile": _profile,
    }
    return [measurement for part in parts for measurement in makers[part](common, quick)]


def _schedule(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """Steps over a whole annealing schedule. NNI's run every candidate at any temperature: few steps tell theirs."""
    ours, theirs = ((3, 1), (1, 2)) if quick else ((10, 3), (2, 2))
    found = []
    for space in SPACES:
        for logits in ("uniform", "peaked"):
            for repeat in range(1 if quick else 2):
                for strategy in ("snas", "gumbel", "darts"):
                    if strategy == "darts" and logits == "peaked":
                        continue  # a plain softmax costs the same at any logits
                    epochs, batches = ours if strategy == "snas" else theirs
                    job = {"kind": "search", "strategy": strategy, "space": space, "logits": logits, **common}
                    job |= {"epochs": epochs, "batches": batches}
                    step = 1.2 if strategy == "snas" else {"hub": 9.0, "snas": 4.0}[space]
                    name = f"{space}/{logits}/{strategy}"
                    found.append(Measurement("schedule", name, repeat, job, 9 + step * epochs * batches))
    return found


def _single_path(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """One candidate of a choice at a time, at any temperature; what it is compared with is in the schedule."""
    job = {"kind": "search", "strategy": "snas", "logits": "uniform", "options": {"sampling": "single_path"}, **common}
    job |= {"epochs": 1, "batches": 3 if quick else 30}
    return [
        Measurement("single_path", f"{space}/search", repeat, {**job, "space": space}, 16)
        for repeat in range(1 if quick else 3)
        for space in SPACES
    ]


def _last_epoch(common: dict[str, Any], quick: bool) -> list[Measurement]:
    found = []
    for space in SPACES:
        for repeat in range(1 if quick else 3):
            job = {"space": space, "logits": "peaked", "epochs": 1, "batches": 3 if quick else 20, **common}
            ours = {"kind": "search", "strategy": "snas", "options": {"initial_temperature": 0.03}, **job}
            found.append(Measurement("last_epoch", f"{space}/search", repeat, ours, 18))
            found.append(Measurement("last_epoch", f"{space}/child", repeat, {"kind": "child", **job}, 16))
    return found


def _memory(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """SNAS alone, with and without checkpointing; what the others need is seen in the schedule."""
    job = {"kind": "search", "strategy": "snas", "space": "snas", "logits": "uniform", **common}
    job |= {"options": {"final_temperature": 1.0}, "epochs": 1, "batches": 2 if quick else 4}
    return [
        Measurement("memory", name, repeat, {**job, "arguments": {"checkpoint_cells": checkpoint}}, 16)
        for repeat in range(1 if quick else 2)
        for name, checkpoint in (("plain", False), ("checkpointed", True))
    ]


def _growth(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """Each point in a process of its own: memory that an earlier one gave back would be missing in its peak."""
    job = {"kind": "growth", "batches": 3 if quick else 8, "threads": common["threads"]}
    return [
        Measurement("growth", name, repeat, {**job, "base": base, "axis": axis, "value": value}, 18)
        for repeat in range(1 if quick else 2)
        for name, (axis, values, base) in GROWTH.items()
        for value in (values[:2] if quick else values)
    ]


def _size(common: dict[str, Any], quick: bool) -> list[Measurement]:
    return [
        Measurement("size", f"{axis} {value}", 0, {"kind": "size", "labels": labels, "candidates": count, **common}, 60)
        for axis, sizes in SIZES.items()
        for labels, count in (sizes[:1] if quick else sizes)
        for value in (labels if axis == "labels" else count,)
    ]


def _options(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """The same schedule with options that make its middle cheaper; what they are compared with is in ``schedule``."""
    epochs, batches = (6, 1) if quick else (10, 3)
    job = {"kind": "search", "strategy": "snas", "epochs": epochs, "batches": batches, **common}
    return [
        Measurement("options", f"{space}/{logits}/{name}", repeat, {**job, "space": space, "logits": logits} | more, 40)
        for repeat in range(1 if quick else 2)
        for space in SPACES
        for logits in ("uniform", "peaked")
        for name, more in ((name, {"options": options}) for name, options in OPTIONS.items())
    ]


def _gradient_error(common: dict[str, Any], quick: bool) -> list[Measurement]:
    temperatures = (1.0, 0.03) if quick else TEMPERATURES
    job = {"kind": "gradient_error", "temperatures": temperatures, "draws": 1 if quick else 20, **common}
    job |= {
        "batch": min(common["batch"], 16),
        "tolerances": (SearchSettings().skip_tolerance,) if quick else TOLERANCES,
    }
    return [
        Measurement("gradient_error", f"{space}/{logits}", 0, {**job, "space": space, "logits": logits}, 300)
        for space in SPACES
        for logits in ("uniform", "peaked")
    ]


def _overhead(common: dict[str, Any], quick: bool) -> list[Measurement]:
    """Few epochs, so that the machine changes little between two turns, and many turns."""
    job = {"space": "snas", "logits": "uniform", "epochs": 2 if quick else 4, "batches": 2 if quick else 10, **common}
    ours = {"kind": "search", "strategy": "snas", **job}
    return [
        Measurement("overhead", name, repeat, worker, 9 + 0.6 * job["epochs"] * job["batches"])
        for repeat in range(1 if quick else 3)
        for name, worker in (("fit", ours), ("bare", {"kind": "bare", **job}))
    ]


def _loading(common: dict[str, Any], quick: bool) -> list[Measurement]:
    job = {"kind": "loading", "batches": 5 if quick else 200, **common}
    return [Measurement("loading", "batch", repeat, job, 6) for repeat in range(1 if quick else 3)]


def _profile(common: dict[str, Any], quick: bool) -> list[Measurement]:
    job = {"kind": "profile", "logits": "uniform", "batches": 1 if quick else 3, **common}
    return [
        Measurement("profile", f"{space}, temperature {t}", 0, {**job, "space": space, "temperature": t}, 15)
        for space in SPACES
        for t in (1.0, 0.1)
    ]
