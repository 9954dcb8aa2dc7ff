"""One search run, read from its folder: the files that are there, and the names of those that are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exports.architecture.files import load
from exports.architecture.record import Architecture
from exports.errors import ArchitectureFileError
from exports.metric import DecidingMetric, recorded_metric
from exports.network.graph import NETWORK_FILE, Network, read_network
from exports.report.evidence.comparison_view import COMPARISON_FILE
from exports.report.evidence.reading import EVIDENCE_FILE, Evidence, read_evidence
from exports.report.metrics_log import MetricsLog, Points
from exports.report.numbers import as_mapping, as_number
from exports.run_folder import RUN_FILES
from snas_nni.errors import SettingError
from snas_nni.plain_yaml import read_yaml

__all__ = ["Run", "read_json", "read_run"]

MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Attributes:
        folder: where its files are.
        architecture: the record of the child, if it could be read.
        summary: summary.json, or nothing.
        settings: settings of the search, nested.
        log: numbers by epoch.
        problems: what is missing or cannot be read, one sentence each.
        network: what a child without cells is made of; None if the run did not leave it.
        comparison: comparison.json of a shrinking, or nothing.
        evidence: right and wrong by class, children of chance; empty for runs that left none.
    """

    folder: Path
    architecture: Architecture | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    log: MetricsLog = field(default_factory=MetricsLog)
    problems: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    network: Network | None = None
    comparison: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """Numbers measured at the end."""
        given = as_mapping(self.summary.get("metrics")) or (self.architecture.metrics if self.architecture else {})
        numbers = {name: as_number(value) for name, value in given.items()}
        return {name: value for name, value in numbers.items() if value is not None}

    @property
    def metric(self) -> DecidingMetric:
        """The metric that decides, and its direction."""
        return recorded_metric(self.summary, self.settings)

    @property
    def parameters(self) -> float | None:
        """Number of parameters of the child."""
        if self.architecture is not None:
            return float(self.architecture.parameters)
        return as_number(self.summary.get("parameters"))

    @property
    def files(self) -> list[str]:
        """The known files that are there."""
        return [name for name in RUN_FILES if (self.folder / name).is_file()]

    @property
    def bounds(self) -> dict[str, float]:
        """Budgets by the name of the cost; those that were given as shares are known once the run has ended."""
        found: dict[str, float] = {}
        numbers = as_mapping(self.summary.get("budget"))
        for key, value in as_mapping(self.settings.get("resources")).items():
            cost = key.removeprefix("max_")
            bound = as_number(numbers.get(cost) if isinstance(value, str) else value)
            if key.startswith("max_") and bound is not None:
                found[cost] = bound
        return found

    def probabilities(self) -> dict[str, dict[str, Points]]:
        """Return ``{label: {candidate: probability by epoch}}``."""
        known = {}
        if self.architecture is not None:
            known = {
                f"probability/{label}/{candidate}": (label, candidate)
                for label, candidates in self.architecture.probabilities.items()
                for candidate in candidates
            }
        found: dict[str, dict[str, Points]] = {}
        for column in self.log.under("probability/"):
            # Both parts can hold slashes, so what the record says goes first.
            label, candidate = known.get(column) or column.removeprefix("probability/").rpartition("/")[::2]
            found.setdefault(label, {})[candidate] = self.log.points(column)
        return found

    def chosen(self, label: str) -> frozenset[str]:
        """Return the candidates that are in the child, as text."""
        if self.architecture is None or label not in self.architecture.sample:
            return frozenset()
        value = self.architecture.sample[label]
        return frozenset(map(str, value)) if isinstance(value, list) else frozenset((str(value),))


def read_run(folder: Path) -> Run:
    """Read a run's folder; a file that is missing or broken becomes one of its ``problems``."""
    problems = [
        f"{name} is missing ({meaning})" for name, meaning in RUN_FILES.items() if not (folder / name).is_file()
    ]
    summary = as_mapping(_read(folder / "summary.json", read_json, problems))
    architecture = _read(folder / "architecture.json", load, problems)
    settings = as_mapping(summary.get("settings")) or as_mapping(_read(folder / "settings.yml", read_yaml, problems))
    log = _read(folder / "metrics.csv", MetricsLog.read, problems) or MetricsLog()
    evidence = _read(folder / EVIDENCE_FILE, read_evidence, problems) or Evidence()
    network = _read(folder / NETWORK_FILE, lambda path: read_network(path.parent), problems)
    comparison = as_mapping(_read(folder / COMPARISON_FILE, read_json, problems))
    return Run(folder, architecture, summary, settings, log, tuple(problems), evidence, network, comparison)


def _read(path: Path, reader: Any, problems: list[str]) -> Any:
    if not path.is_file():
        return None
    try:
        return reader(path)
    except ArchitectureFileError as error:
        problems.append(f"{path.name} cannot be used: {error.key}: {error.problem}")
    except SettingError as error:
        problems.append(str(error).replace(str(path), path.name)[:300])
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} cannot be read: {str(error)[:200]}")
    return None


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or larger than 64 MiB.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES // 2**20} MiB")
    return json.loads(path.read_text(encoding="utf-8"))
