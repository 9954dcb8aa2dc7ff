"""The page: templates filled with views, everything inside one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exports.architecture.files import write_file
from exports.errors import ArchitectureFileError
from exports.pictures.svg import picture_css
from exports.report.experiment import EXPERIMENT_FILE, Experiment, read_experiment
from exports.report.experiment_view import view_experiment
from exports.report.fronts.sweep import FRONT_FILE, Sweep, read_sweep
from exports.report.fronts.sweep_view import view_sweep
from exports.report.run import Run, read_run
from exports.report.run_view import view_run
from exports.run_folder import RUN_FILES

__all__ = ["REPORT_FILE", "experiment_page", "report_page", "run_page", "sweep_page", "write_report"]

REPORT_FILE = "report.html"


def run_page(run: Run, title: str) -> str:
    """Return the HTML of a report on one run."""
    return _render("run.html", title=title, run=view_run(run))


def experiment_page(experiment: Experiment) -> str:
    """Return the HTML of a report on an experiment."""
    view = view_experiment(experiment)
    return _render("experiment.html", title=view.title, experiment=view)


def sweep_page(sweep: Sweep) -> str:
    """Return the HTML of a report on a sweep."""
    view = view_sweep(sweep)
    return _render("sweep.html", title=view.title, sweep=view)


def _render(template: str, **values: Any) -> str:
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            # The files are this package's own, so they are not escaped; everything else is.
            style=Markup(_asset("page.css") + picture_css()),
            script=Markup(script),
            # Of all scripts, a browser runs the one with this digest: text that got into the page as code stays text.
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
            **values,
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("exports.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return resources.files("exports.report").joinpath("templates", name).read_text(encoding="utf-8")


def write_report(path: str | Path, output: str | Path | None = None) -> Path:
    """Write the report on a run, a sweep or an experiment.

    Args:
        path: its folder, or a file in it.
        output: the file to write; ``report.html`` in the folder where it is not given.

    Returns:
        The path of the report.

    Raises:
        ArchitectureFileError: the folder is none of these, its experiment.json or front.json is broken, or the report
            cannot be written.
    """
    path = Path(path).expanduser()
    folder = path.parent if path.is_file() else path
    target = Path(output).expanduser() if output is not None else folder / REPORT_FILE
    # Half of a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
    write_file(target, report_page(path).encode("utf-8", "replace"))
    return target


def report_page(path: Path) -> str:
    """Return the HTML of the report on a run, a sweep or an experiment.

    Args:
        path: its folder, or a file in it.

    Raises:
        ArchitectureFileError: the folder is none of these, or its experiment.json or front.json is broken.
    """
    folder = path.parent if path.is_file() else path
    if (folder / EXPERIMENT_FILE).is_file():
        return _whole_page(
            folder / EXPERIMENT_FILE, lambda: experiment_page(read_experiment(folder)), "Run the experiment again"
        )
    if (folder / FRONT_FILE).is_file():
        return _whole_page(folder / FRONT_FILE, lambda: sweep_page(read_sweep(folder)), "Sweep again")
    if any((folder / name).is_file() for name in RUN_FILES):
        return run_page(read_run(folder), title=f"Run {folder.resolve().name}")
    raise ArchitectureFileError(
        "(file)",
        "is neither the folder of a search nor of a sweep or an experiment",
        f"Give a folder with one of {', '.join((EXPERIMENT_FILE, FRONT_FILE, *RUN_FILES))}",
        path,
    )


def _whole_page(file: Path, make: Callable[[], str], remedy: str) -> str:
    try:
        return make()
    except (OSError, ValueError, RecursionError) as error:
        raise ArchitectureFileError(
            "(file)", f"cannot be read: {error}", f"{remedy}, or report on one run", file
        ) from error
