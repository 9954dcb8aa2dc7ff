"""A sweep as the page shows it: accuracy over cost with intervals, a row and a section for every budget."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from exports.report.evidence.answers import Answer, with_interval
from exports.report.evidence.reading import Reached
from exports.report.fronts.pareto import pareto_front
from exports.report.fronts.scatter import Dot, scatter_chart
from exports.report.fronts.sweep import Point, Sweep
from exports.report.numbers import compact, percent
from exports.report.run_charts import Chart
from exports.report.run_view import RunView, Tile, view_run

__all__ = ["PointView", "SweepView", "view_sweep"]

COLUMNS = (
    ("point", False), ("at most", True), ("the child", True), ("used", True), ("validation accuracy", True),
    ("95 % interval", True), ("parameters", True), ("folder", False),
)  # fmt: skip


@dataclass(frozen=True)
class PointView:
    """One budget's section."""

    anchor: str
    headline: str
    run: RunView | None


@dataclass(frozen=True)
class SweepView:
    """All that the page says of a sweep; a row's first cell is a link to its section."""

    title: str
    folder: str
    search: str
    tiles: list[Tile]
    answers: list[Answer]
    chart: Chart | None
    columns: list[tuple[str, bool]]
    rows: list[tuple[str, str, bool, list[tuple[str, str]]]]
    points: list[PointView]
    problems: tuple[str, ...]


def view_sweep(sweep: Sweep) -> SweepView:
    """Write and draw everything."""
    front = {sweep.points[index].number for index in pareto_front([_place(point.reached) for point in sweep.points])}
    name = sweep.title if sweep.title.isupper() or sweep.title == "MACs" else sweep.title.lower()
    return SweepView(
        title=f"Children within budgets of {name}",
        folder=str(sweep.folder),
        search=sweep.search,
        tiles=_tiles(sweep),
        answers=_answers(sweep, name),
        chart=_chart(sweep, name, front),
        columns=list(COLUMNS),
        rows=[
            (_anchor(_first(sweep, point)), str(point.number), point.number in front, _cells(point))
            for point in sweep.points
        ],
        points=[
            PointView(_anchor(point), _headline(sweep, point, name), view_run(point.run) if point.run else None)
            for point in sweep.points
            if _first(sweep, point) is point
        ],
        problems=sweep.problems,
    )


def _first(sweep: Sweep, point: Point) -> Point:
    """The first point with the same child, which has the section on it."""
    return next(each for each in sweep.points if each is point or (each.run and each.folder == point.folder))


def _headline(sweep: Sweep, point: Point, name: str) -> str:
    numbers = [str(each.number) for each in sweep.points if _first(sweep, each) is point]
    words = f"Point{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
    return f"{words}: {percent(point.reached.accuracy)} validation accuracy, {compact(point.cost)} {name}"


def _anchor(point: Point) -> str:
    return f"point-{point.number}"


def _place(reached: Reached) -> tuple[float, float]:
    return reached.cost or 0.0, reached.accuracy


def _in_words(point: Point, name: str) -> str:
    reached, cost, budget = percent(point.reached.accuracy), compact(point.cost), compact(point.budget)
    return f"{reached} validation accuracy, {cost} {name} of at most {budget}"


def _cells(point: Point) -> list[tuple[str, str]]:
    reached, interval = point.reached, point.reached.interval
    return [
        (f"{point.budget:,.6g}", repr(point.budget)),
        (f"{point.cost:,.6g}", repr(point.cost)),
        (f"{100 * point.cost / point.budget:.0f} %", repr(point.cost / point.budget)) if point.budget > 0 else ("", ""),
        (percent(reached.accuracy), repr(reached.accuracy)),
        (f"{100 * interval[0]:.1f} to {percent(interval[1])}", repr(interval[0])) if interval else ("", ""),
        ("", "") if point.parameters is None else (f"{point.parameters:,.0f}", repr(point.parameters)),
        (point.folder, ""),
    ]


def _tiles(sweep: Sweep) -> list[Tile]:
    tiles = [Tile("Budgets", str(len(sweep.points)))]
    if sweep.points:
        best = max(sweep.points, key=lambda point: point.reached.accuracy)
        tiles.append(Tile("Most accurate", percent(best.reached.accuracy), f"point {best.number}"))
        tiles.append(Tile(f"Its {sweep.title}", compact(best.cost), f"{best.cost:,.6g} {sweep.unit}".rstrip()))
        take = _to_take(sweep)
        tiles.append(Tile("Cheapest about as good", percent(take.reached.accuracy), f"point {take.number}"))
        tiles.append(Tile(f"Its {sweep.title}", compact(take.cost), f"{take.cost:,.6g} {sweep.unit}".rstrip()))
    return tiles


def _to_take(sweep: Sweep) -> Point:
    """The cheapest child that is within the interval of the most accurate one."""
    best = max(sweep.points, key=lambda point: point.reached.accuracy)
    low = best.reached.interval[0] if best.reached.interval else best.reached.accuracy
    return min(
        (p for p in sweep.points if p.reached.accuracy >= low), key=lambda point: (point.cost, -point.reached.accuracy)
    )


def _answers(sweep: Sweep, name: str) -> list[Answer]:
    if not sweep.points:
        return []
    cheapest, dearest = min(sweep.points, key=lambda p: p.cost), max(sweep.points, key=lambda p: p.cost)
    different = len({(point.cost, point.reached.accuracy) for point in sweep.points})
    tuned = f", trained by themselves for {sweep.tune_epochs} epochs of the dearest" if sweep.tune_epochs else ""
    over = [point for point in sweep.points if point.cost > point.budget]
    take = _to_take(sweep)
    found = [
        Answer(
            "What was found?",
            "",
            f"{len(sweep.points)} budgets, {different} different children from one search{tuned}: "
            f"{_reached(cheapest)} for {compact(cheapest.cost)} {name}, "
            f"{_reached(dearest)} for {compact(dearest.cost)}.",
        ),
        Answer(
            "Within their budgets?",
            "no" if over else "yes",
            f"Points {', '.join(str(point.number) for point in over)} cost more than their budget."
            if over
            else "Each child costs at most what its budget allows.",
        ),
    ]
    if sweep.random:
        beaten = sum(
            any(p.cost <= _place(each)[0] and p.reached.accuracy > each.accuracy for p in sweep.points)
            for each in sweep.random
        )
        verdict = "yes" if beaten == len(sweep.random) else "no" if 2 * beaten <= len(sweep.random) else "unclear"
        more = ", which were not" if sweep.tune_epochs else ""
        found.append(
            Answer(
                "Better than random children?",
                verdict,
                f"For {beaten} of {len(sweep.random)} random children{more}, with the same weights, there is a point "
                "that costs no more and reaches more.",
            )
        )
    found.append(
        Answer(
            "Which one to take?",
            "",
            f"Point {take.number} is the cheapest within the interval of the most accurate: {_in_words(take, name)}.",
            f"#{_anchor(_first(sweep, take))}",
        )
    )
    return found


def _reached(point: Point) -> str:
    return with_interval(point.reached.accuracy, point.reached.interval)


def _chart(sweep: Sweep, name: str, front: set[int]) -> Chart | None:
    dots = []
    for each in sweep.random:
        hint = f"random child: {percent(each.accuracy)}, {_place(each)[0]:,.6g} {name}"
        dots.append(Dot(_place(each)[0], each.accuracy, "", hint, "random", interval=each.interval))
    legend = [("front-dot", "no other costs less and reaches more", "", False)]
    merged: dict[tuple[float, float], list[Point]] = {}
    for point in sweep.points:
        merged.setdefault(_place(point.reached), []).append(point)
    for (cost, accuracy), points in merged.items():
        numbers = ", ".join(str(point.number) for point in points)
        hint = f"point {numbers}: {with_interval(accuracy, points[0].reached.interval)}, {cost:,.6g} {name}"
        kind = "front" if points[0].number in front else "plain"
        link = f"#{_anchor(_first(sweep, points[0]))}"
        dots.append(Dot(cost, accuracy, numbers, hint, kind, link, points[0].reached.interval))
    if any(point.number not in front for point in sweep.points):
        legend.append(("plain-dot", "other budgets", "", False))
    if sweep.chosen is not None:
        cost, accuracy = _place(sweep.chosen)
        hint = f"the search's own child: {with_interval(accuracy, sweep.chosen.interval)}, {cost:,.6g} {name}"
        dots.append(Dot(cost, accuracy, "", hint, "chosen", interval=sweep.chosen.interval))
        legend.append(("chosen-dot", "the search's own child", percent(accuracy), False))
    if sweep.random:
        legend.append(("random-dot", "random children", "", False))
    if not dots:
        return None
    unit = f" ({sweep.unit})" if sweep.unit else ""
    label = f"Validation accuracy against {name}, {len(sweep.points)} budgets and {len(sweep.random)} random children"
    svg = scatter_chart(label, f"{name}{unit} of the child", dots, compact, lambda value: f"{100 * value:.4g} %")
    note = "With 95 % intervals. The numbers are those of the budgets, from the smallest."
    return Chart(f"Validation accuracy against {name}", Markup(svg), tuple(legend), note)
