"""A run as the page shows it: every number already text, every picture drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from exports.errors import ArchitectureFileError
from exports.pictures.palette import FAMILIES, family_of
from exports.pictures.picture import cell_picture, choices_picture, network_picture
from exports.pictures.svg import to_svg
from exports.report.evidence.answers import Answer, BoundRow, answers, bound_rows
from exports.report.evidence.classes_view import ClassesView, classes_view
from exports.report.evidence.comparison_view import ComparisonRow, comparison_rows
from exports.report.findings import Finding, findings
from exports.report.heat_map import shown_epochs
from exports.report.numbers import as_mapping, as_number, compact, duration, of_metric, percent, plain_text
from exports.report.run import Run
from exports.report.run_charts import (
    Chart,
    HeatMaps,
    accuracy_chart,
    cost_charts,
    heat_maps,
    random_chart,
    search_charts,
)
from exports.report.usage import Usage, usage_of
from snas_nni.resources import COSTS

__all__ = ["RunView", "Tile", "view_run"]

OWN_COLUMNS = (
    ("val_loss", "child loss"),
    ("search/loss", "search loss"),
    ("search/temperature", "temperature"),
    ("search/entropy", "entropy"),
    ("search/logit_movement", "logit movement"),
    ("search/zero_share", "zero"),
    ("search/skip_share", "skip"),
    ("search/top2_gap", "gap"),
)


MOST_EPOCHS = 300
"""Rows of the table of epochs."""

LABEL_COLUMNS = ("label", "in the child", "probability", "next best", "entropy", "credit, task", "credit, cost")


@dataclass(frozen=True)
class Tile:
    """A number of the headline, and its exact value."""

    name: str
    value: str
    exact: str = ""


@dataclass(frozen=True)
class RunView:
    """All that the page says of a run."""

    folder: str
    space: str
    tiles: list[Tile]
    answers: list[Answer]
    bounds: list[BoundRow]
    comparison: list[ComparisonRow]
    random: Chart | None
    classes: ClassesView | None
    findings: list[Finding]
    problems: tuple[str, ...]
    pictures: list[tuple[str, Markup, Markup]]
    families: list[tuple[str, str]]
    accuracy: Chart | None
    search: list[Chart]
    costs: list[Chart]
    heat: list[HeatMaps]
    usage: Usage | None
    measured: list[tuple[str, str]]
    tuned: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    labels: tuple[list[str], list[list[tuple[str, str]]]]
    epochs: tuple[list[str], list[list[str]]]
    logged_epochs: int


def view_run(run: Run) -> RunView:
    """Write and draw everything."""
    pictures, families = _pictures(run)
    bounds, random, search, usage = bound_rows(run), random_chart(run), search_charts(run), usage_of(run)
    sections = {"#child": pictures, "#budget": bounds, "#random": random, "#epochs": search, "#use": usage}
    return RunView(
        folder=str(run.folder),
        space=_space(run),
        tiles=_tiles(run),
        answers=[each if sections.get(each.link) else replace(each, link="") for each in answers(run)],
        bounds=bounds,
        comparison=comparison_rows(run.comparison, run.metric),
        random=random,
        classes=classes_view(run.evidence),
        findings=findings(run),
        problems=run.problems,
        pictures=pictures,
        families=families,
        accuracy=accuracy_chart(run),
        search=search,
        costs=cost_charts(run),
        heat=heat_maps(run),
        usage=usage,
        measured=[(name, f"{value:,.6g}") for name, value in run.metrics.items()],
        tuned=list(_flat(as_mapping(run.summary.get("tuned")))),
        settings=list(_flat(run.settings)),
        versions=list(_flat(run.architecture.versions if run.architecture else {})),
        labels=_with_content(LABEL_COLUMNS, list(_labels(run))),
        epochs=_epochs(run),
        logged_epochs=len(run.log.epochs),
    )


def _space(run: Run) -> str:
    if run.architecture is None:
        return plain_text(as_mapping(run.settings.get("space")).get("class_path", "unknown space"))
    arguments = ", ".join(f"{name}={plain_text(value)}" for name, value in run.architecture.space.arguments.items())
    return f"{run.architecture.space.class_path}({arguments})"


def _tiles(run: Run) -> list[Tile]:
    metrics, tiles = run.metrics, []
    metric = run.metric
    lower = "" if metric.higher_is_better else ", lower is better"
    for key, split in ((metric.test, "Test"), (metric.validation, "Validation")):
        if key in metrics:
            exact = _interval(run, key) or f"{metrics[key]:.6g}{lower}"
            tiles.append(Tile(f"{split} {metric.title}", of_metric(metric, metrics[key]), exact))
    last = run.log.last(metric.logged)
    if not tiles and last is not None:
        exact = f"{metric.title} {last:.6g}, on validation data"
        tiles.append(Tile("Child in the last epoch", of_metric(metric, last), exact))
    for key, info in COSTS.items():
        value = run.parameters if key == "params" else metrics.get(key)
        if value is not None and info.measured:
            tiles.append(Tile(info.title, f"{value:.3g} {info.unit}", f"{value:.6g} {info.unit}"))
        elif value is not None:
            tiles.append(Tile(info.title, compact(value), f"{value:,.0f} {info.unit}".rstrip()))
    if "seconds" in metrics:
        tiles.append(Tile("Time", duration(metrics["seconds"]), f"{metrics['seconds']:,.1f} s"))
    return tiles


def _interval(run: Run, key: str) -> str:
    split = run.evidence.splits.get(key.removesuffix("_accuracy"))
    if split is None or split.whole.interval is None:
        return ""
    low, high = split.whole.interval
    return f"95 % interval {100 * low:.1f} to {percent(high)}"


def _pictures(run: Run) -> tuple[list[tuple[str, Markup, Markup]], list[tuple[str, str]]]:
    if run.architecture is None:
        return [], []
    drawn = []
    operations: list[str] = []
    for name, edges in run.architecture.cells.items():
        try:
            drawn.append(cell_picture(edges, name))
            operations += [edge["op"] for edge in edges]
        except ArchitectureFileError:
            continue  # among the findings
    if not drawn and run.architecture.sample:
        drawn.append(
            network_picture(run.architecture, run.network) if run.network else choices_picture(run.architecture)
        )
        operations += map(str, run.architecture.sample.values())
    used = {family_of(operation) for operation in operations}
    families = [(family, meaning) for family, meaning in FAMILIES.items() if family in used]
    pictures = [
        (each.name, Markup(to_svg(each.drawing, standalone=False)), Markup(to_svg(each.narrow, standalone=False)))
        for each in drawn
    ]
    return pictures, families


def _flat(values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        inner = as_mapping(value)
        if inner and depth < 8:
            yield from _flat(inner, f"{name}.", depth + 1)
        else:
            yield name, plain_text(value)


def _labels(run: Run) -> Iterator[list[tuple[str, str]]]:
    """One row for each label: pairs of a text and a number to sort by, which may be empty."""
    if run.architecture is None:
        return
    for label, value in run.architecture.sample.items():
        probabilities = run.architecture.probabilities.get(label, {})
        chosen = run.chosen(label)
        others = {name: p for name, p in probabilities.items() if name not in chosen}
        second = max(others, key=lambda name: others[name], default="")
        own = probabilities.get(next(iter(chosen))) if len(chosen) == 1 else None
        numbers = (
            own,
            others.get(second),
            run.architecture.entropy.get(label),
            run.log.last(f"credit/task/{label}"),
            run.log.last(f"credit/cost/{label}"),
        )
        cells = ["" if each is None else f"{each:.3g}" for each in numbers]
        runner_up = f"{second} {cells[1]}".strip()
        yield [
            (label, ""),
            (plain_text(value), ""),
            (cells[0], cells[0]),
            (runner_up, cells[1]),
            *((cell, cell) for cell in cells[2:]),
        ]


def _with_content(
    names: Sequence[str], rows: list[list[tuple[str, str]]]
) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Leave out the columns in which nothing stands."""
    kept = [column for column in range(len(names)) if any(row[column][0] for row in rows)]
    return [names[column] for column in kept], [[row[column] for column in kept] for row in rows]


def _epochs(run: Run) -> tuple[list[str], list[list[str]]]:
    metric = run.metric
    deciding = (
        (metric.logged, f"child {metric.title}"),
        (f"sampled/{metric.logged}", f"sampled {metric.title}"),
        (metric.logged_in_training, f"training {metric.title}"),
    )
    columns = [(column, name) for column, name in (*deciding, *OWN_COLUMNS) if run.log.columns.get(column)]
    columns += [(name, name) for name in sorted((*run.log.under("penalty/"), *run.log.under("budget/")))]
    rows = []
    for epoch in shown_epochs(run.log.epochs, MOST_EPOCHS):
        values = [as_number(run.log.columns[column].get(epoch)) for column, _ in columns]
        rows.append([str(epoch), *("" if value is None else f"{value:.5g}" for value in values)])
    return [name for _, name in columns], rows
