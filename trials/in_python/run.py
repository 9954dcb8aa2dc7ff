"""What a search left, as a program uses it: the child, others within other budgets, files, a report."""

from __future__ import annotations

import html
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace
from torch import nn

from exports import Architecture, build, load
from exports.report import write_report
from exports.run_folder import read_result
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, read_bounded
from snas_nni.resources import Budget
from trials.in_python.folder import make_whole
from trials.in_python.given_data import GivenData
from trials.in_python.manners import libraries_quiet
from trials.progress import Progress
from trials.runs.derive import derive_child_of, restore
from trials.settings.reader import read_settings
from trials.settings.search import RunSettings

__all__ = ["SearchRun"]


class SearchRun:
    """A finished search; :func:`snas_nni.search` returns one.

    It stands on the folder that the search left, as commands do.

    Args:
        folder: of the search.
        settings: that it ran with.
        space_class: that was searched.
        data: that the program gave; None where the settings name a source.
        keeps: whether the folder stays when this is forgotten.
        derived_from: the search whose other child this is.

    Attributes:
        folder: with everything that the search left; it goes when a run that was not saved is forgotten.
        settings: that the search ran with.
        architecture: the record of what was found, as ``snas_nni.load`` reads it.
    """

    def __init__(
        self,
        folder: Path,
        settings: RunSettings,
        space_class: type[ModelSpace],
        data: GivenData | None,
        *,
        keeps: bool = True,
        derived_from: SearchRun | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.architecture: Architecture = load(folder / "architecture.json")
        self._space_class = space_class
        self._data = data
        self._search = derived_from or self
        self._forget = None if keeps else weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def sample(self) -> dict[str, Any]:
        """The chosen candidate of each label."""
        return dict(self.architecture.sample)

    @cached_property
    def child(self) -> nn.Module:
        """The network that was found, with the weights that the search trained, in evaluation mode."""
        # A folder names the file that a class of the program itself was written to; here is the class.
        path = f"{self._space_class.__module__}.{self._space_class.__qualname__}"
        own = replace(self.architecture, space=replace(self.architecture.space, class_path=path))
        return build(own, spaces=[self._space_class]).eval()

    @property
    def metrics(self) -> dict[str, float]:
        """Everything that was measured: accuracies in [0, 1], costs, seconds, entropy."""
        return dict(read_result(self.folder).metrics)

    @property
    def accuracy(self) -> float:
        """What the child reaches on the test split, in [0, 1]; for other tasks than classification see ``metrics``.

        Raises:
            SettingError: the task has no accuracy.
        """
        metrics = self.metrics
        if "test_accuracy" not in metrics:
            raise SettingError(f"this task has no accuracy; .metrics has {', '.join(metrics)}")
        return metrics["test_accuracy"]

    @property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` says: settings, classes, normalization, input, metrics, the ONNX file."""
        return dict(parse_json(read_bounded(self.folder / "summary.json", 2**22)))

    def derive(
        self,
        budget: Budget | Mapping[str, Any] | None = None,
        *,
        candidates: int | None = None,
        tune_epochs: int = 0,
        quiet: bool = False,
    ) -> SearchRun:
        """Another child, within another budget, without another search.

        Args:
            budget: upper bounds by cost, such as ``{"params": 2e6}`` or ``{"macs": "60%"}``; None: the best of all.
            candidates: how many of the most probable children are compared; the search's setting if None.
            tune_epochs: epochs that the child is trained on by itself.
            quiet: print nothing.

        Raises:
            SettingError: no child is within the budget, or it names no cost.
        """
        bounds = budget.bounds if isinstance(budget, Budget) else Budget(**dict(budget)).bounds if budget else {}
        progress, of = Progress(quiet), self._search
        output = Path(tempfile.mkdtemp(prefix="snas-nni-"))
        try:
            with of.data_held(), libraries_quiet():
                search = restore(of.folder, of.settings, progress)
                numbers = {cost: search.bound(cost, bound) for cost, bound in bounds.items()}
                derive_child_of(
                    search, numbers, output, candidates=candidates, tune_epochs=tune_epochs, progress=progress
                )
        except BaseException:
            shutil.rmtree(output, ignore_errors=True)
            raise
        settings = read_settings([f"--config={output / 'settings.yml'}"])
        return SearchRun(output, settings, self._space_class, self._data, keeps=False, derived_from=of)

    def report(self, path: str | Path | None = None) -> Path:
        """Write one HTML page about the search; return its path, ``report.html`` in the folder by default."""
        return Path(write_report(self.folder, path))

    def export_onnx(self, path: str | Path) -> Path:
        """Write the child as ONNX, as it was compared with PyTorch in ONNX Runtime; return the path."""
        target = Path(path).expanduser()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / "model.onnx", target)
        return target

    def save(self, folder: str | Path, *, data: str | None = None) -> Path:
        """Keep everything in a folder that every command takes: ``snas-nni evaluate``, ``derive``, ``retrain``, ...

        It gets a copy of the data where a program gave it, and the source of the space where that is in the program
        itself and not in a module.

        Args:
            folder: new or empty.
            data: where commands find the data instead, such as ``my_data.load``; for data too large for a copy.

        Returns:
            The folder.

        Raises:
            SettingError: the folder has something in it, the data is too large, or the source of the space is not to
                be found; says what to do.
        """
        target = Path(folder).expanduser()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise SettingError(f"save: the folder {str(target)!r} is not empty; give another one")
        whole = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=_existing(target)))
        try:
            shutil.copytree(self.folder, whole, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))
            if target.exists():
                target.rmdir()
            whole.chmod(0o755)
            whole.rename(target)
        except BaseException:
            shutil.rmtree(whole, ignore_errors=True)
            raise
        try:
            make_whole(target, self.settings, self._space_class, self._data, data)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        return target

    def data_held(self) -> AbstractContextManager[None]:
        """Let the settings' source find what the program gave."""
        return nullcontext() if self._data is None else self._data.held_as(Path(self.settings.data.path or ""))

    def _rows(self) -> list[tuple[str, str]]:
        metrics = self.metrics
        reached = [name for name in metrics if re.fullmatch("(validation|test)_(?!loss).*", name)]
        shown = [
            (name.replace("_", " "), f"{metrics[name]:.1%}" if name.endswith("accuracy") else f"{metrics[name]:.4g}")
            for name in reached
        ]
        choices = ", ".join(f"{label}={value}" for label, value in list(self.sample.items())[:6])
        more = ", ..." if len(self.sample) > 6 else ""
        return [*shown, ("parameters", f"{self.architecture.parameters:,}"), ("chosen", choices + more)]

    def __repr__(self) -> str:
        return f"SearchRun({'; '.join(f'{name} {value}' for name, value in self._rows())})"

    def _repr_html_(self) -> str:
        rows = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in self._rows())
        return f"<table>{''.join(rows)}</table>"


def _existing(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent
