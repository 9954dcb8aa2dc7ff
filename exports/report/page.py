"""The page: templates filled with views, everything inside one file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exports.pictures_svg import picture_css
from exports.report.experiment import Experiment
from exports.report.experiment_view import view_experiment
from exports.report.run import Run
from exports.report.run_view import view_run

__all__ = ["experiment_page", "run_page"]


def run_page(run: Run, title: str) -> str:
    """Return the HTML of a report on one run."""
    return _render("run.html", title=title, run=view_run(run))


def experiment_page(experiment: Experiment) -> str:
    """Return the HTML of a report on an experiment."""
    view = view_experiment(experiment)
    return _render("experiment.html", title=view.title, experiment=view)


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
