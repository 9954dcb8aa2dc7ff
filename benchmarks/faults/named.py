"""The tests of faults, run as a user would run them, and which of them passed."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ["run"]

ROOT = Path(__file__).parents[2]


def run() -> list[dict[str, Any]]:
    """Run each test that is marked with a fault's name.

    Returns:
        For each fault: ``name``, ``survived``, ``test``, ``seconds``, and ``reason`` where it was not shown, such as
        that file systems can only be mounted by root.
    """
    collector = _Collector()
    with tempfile.TemporaryDirectory() as place:
        start = time.monotonic()
        words = [
            "-m",
            "fault",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            f"--basetemp={place}/tests",
        ]
        pytest.main([*words, str(ROOT / "tests")], [collector])
        print(f"faults: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return list(collector.faults.values())


class _Collector:
    """A pytest plugin that notes the outcome of each fault."""

    def __init__(self) -> None:
        self.faults: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("fault"):
                self._names[item.nodeid] = mark.args[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = self._names.get(report.nodeid)
        if name is None or (report.when != "call" and report.passed):
            return
        fault = self.faults.setdefault(
            name, {"name": name, "survived": True, "test": report.nodeid.split("[")[0], "seconds": 0.0}
        )
        fault["seconds"] = round(fault["seconds"] + report.duration, 1)
        if not report.passed:
            fault["survived"] = False
            fault["reason"] = str(report.longrepr[2]) if report.skipped else f"failed: see {report.nodeid}"
