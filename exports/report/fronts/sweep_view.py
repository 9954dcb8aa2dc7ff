"""A sweep as the page shows it: accuracy over cost with intervals, a row and a section for every budget."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from exports.metric import DecidingMetric
from exports.report.evidence.answers import Answer, with_interval
from exports.report.evidence.reading import Reached
from exports.report.fronts.pareto import pareto_front
from exports.report.fronts.scatter import Dot, metric_axis, scatter_chart
from exports.report.fronts.sweep import Point, Sweep
from exports.report.numbers import compact, of_metric, percent
from exports.report.run_charts import Chart
from exports.report.run_view import RunView, Tile, view_run

__all__ = ["PointView", "SweepView", "view_sweep"]


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
    front = {
        sweep.points[index].number
        for index in pareto_front([(point.cost, sweep.metric.rank(point.reached.value)) for point in sweep.points])
    }
    name = sweep.title if sweep.title.isupper() or sweep.title == "MACs" else sweep.title.lower()
    return SweepView(
        title=f"Children within budgets of {name}",
        folder=str(sweep.folder),
        search=sweep.search,
        tiles=_tiles(sweep),
        answers=_answers(sweep, name),
        chart=_chart(sweep, name, front),
        columns=[
            *(("point", False), ("at most", True), ("the child", True), ("used", True)),
            *((f"validation {sweep.metric.title}", True), ("95 % interval", True), ("parameters", True)),
            ("folder", False),
        ],
        rows=[
            (_anchor(_first(sweep, point)), str(point.number), point.number in front, _cells(point, sweep.metric))
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
    return f"{words}: {_reached(sweep, point)} validation {sweep.metric.title}, {compact(point.cost)} {name}"


def _anchor(point: Point) -> str:
    return f"point-{point.number}"


def _place(reached: Reached) -> tuple[float, float]:
    return reached.cost or 0.0, reached.value


def _in_words(sweep: Sweep, point: Point, name: str) -> str:
    reached, cost, budget = _reached(sweep, point), compact(point.cost), compact(point.budget)
    return f"{reached} validation {sweep.metric.title}, {cost} {name} of at most {budget}"


def _cells(point: Point, metric: DecidingMetric) -> list[tuple[str, str]]:
    reached, interval = point.reached, point.reached.interval
    return [
        (f"{point.budget:,.6g}", repr(point.budget)),
        (f"{point.cost:,.6g}", repr(point.cost)),
        (f"{100 * point.cost / point.budget:.0f} %", repr(point.cost / point.budget)) if point.budget > 0 else ("", ""),
        (of_metric(metric, reached.value), repr(reached.value)),
        (f"{100 * interval[0]:.1f} to {percent(interval[1])}", repr(interval[0])) if interval else ("", ""),
        ("", "") if point.parameters is None else (f"{point.parameters:,.0f}", repr(point.parameters)),
        (point.folder, ""),
    ]


def _reached(sweep: Sweep, point: Point) -> str:
    return of_metric(sweep.metric, point.reached.value)


def _best(sweep: Sweep) -> Point:
    return max(sweep.points, key=lambda point: sweep.metric.rank(point.reached.value))


def _tiles(sweep: Sweep) -> list[Tile]:
    tiles = [Tile("Budgets", str(len(sweep.points)))]
    if sweep.points:
        best = _best(sweep)
        tiles.append(Tile("Most accurate", _reached(sweep, best), f"point {best.number}"))
        tiles.append(Tile(f"Its {sweep.title}", compact(best.cost), f"{best.cost:,.6g} {sweep.unit}".rstrip()))
        take = _to_take(sweep)
        tiles.append(Tile("Cheapest about as good", _reached(sweep, take), f"point {take.number}"))
        tiles.append(Tile(f"Its {sweep.title}", compact(take.cost), f"{take.cost:,.6g} {sweep.unit}".rstrip()))
    return tiles


def _to_take(sweep: Sweep) -> Point:
    """The cheapest child that is within the interval of the most accurate one."""
    metric, best = sweep.metric, _best(sweep)
    # Without an interval, what differs by a hundredth is as good.
    near = best.reached.value - 0.01 * abs(best.reached.value) * (1 if metric.higher_is_better else -1)
    least = metric.rank(best.reached.interval[0] if best.reached.interval else near)
    good = [point for point in sweep.points if metric.rank(point.reached.value) >= least]
    return min(good, key=lambda point: (point.cost, -metric.rank(point.reached.value)))


def _answers(sweep: Sweep, name: str) -> list[Answer]:
    if not sweep.points:
        return []
    cheapest, dearest = min(sweep.points, key=lambda p: p.cost), max(sweep.points, key=lambda p: p.cost)
    different = len({(point.cost, point.reached.value) for point in sweep.points})
    tuned = f", trained by themselves for {sweep.tune_epochs} epochs of the dearest" if sweep.tune_epochs else ""
    over = [point for point in sweep.points if point.cost > point.budget]
    take = _to_take(sweep)
    found = [
        Answer(
            "What was found?",
            "",
            f"{len(sweep.points)} budgets, {different} different children from one search{tuned}: "
            f"{_with_interval(sweep, cheapest)} for {compact(cheapest.cost)} {name}, "
            f"{_with_interval(sweep, dearest)} for {compact(dearest.cost)}.",
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
            any(
                p.cost <= _place(each)[0] and sweep.metric.is_better(p.reached.value, than=each.value)
                for p in sweep.points
            )
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
            f"Point {take.number} is the cheapest about as good as the best: {_in_words(sweep, take, name)}.",
            f"#{_anchor(_first(sweep, take))}",
        )
    )
    return found


def _with_interval(sweep: Sweep, point: Point) -> str:
    return with_interval(point.reached.value, point.reached.interval, sweep.metric)


def _chart(sweep: Sweep, name: str, front: set[int]) -> Chart | None:
    dots = []
    for each in sweep.random:
        hint = f"random child: {of_metric(sweep.metric, each.value)}, {_place(each)[0]:,.6g} {name}"
        dots.append(Dot(_place(each)[0], each.value, "", hint, "random", interval=each.interval))
    legend = [("front-dot", "no other costs less and reaches more", "", False)]
    merged: dict[tuple[float, float], list[Point]] = {}
    for point in sweep.points:
        merged.setdefault(_place(point.reached), []).append(point)
    for (cost, accuracy), points in merged.items():
        numbers = ", ".join(str(point.number) for point in points)
        hint = f"point {numbers}: {_with_interval(sweep, points[0])}, {cost:,.6g} {name}"
        kind = "front" if points[0].number in front else "plain"
        link = f"#{_anchor(_first(sweep, points[0]))}"
        dots.append(Dot(cost, accuracy, numbers, hint, kind, link, points[0].reached.interval))
    if any(point.number not in front for point in sweep.points):
        legend.append(("plain-dot", "other budgets", "", False))
    if sweep.chosen is not None:
        cost, accuracy = _place(sweep.chosen)
        words = with_interval(accuracy, sweep.chosen.interval, sweep.metric)
        hint = f"the search's own child: {words}, {cost:,.6g} {name}"
        dots.append(Dot(cost, accuracy, "", hint, "chosen", interval=sweep.chosen.interval))
        legend.append(("chosen-dot", "the search's own child", of_metric(sweep.metric, accuracy), False))
    if sweep.random:
        legend.append(("random-dot", "random children", "", False))
    if not dots:
        return None
    unit = f" ({sweep.unit})" if sweep.unit else ""
    title = f"Validation {sweep.metric.title} against {name}"
    label = f"{title}, {len(sweep.points)} budgets and {len(sweep.random)} random children"
    svg = scatter_chart(label, f"{name}{unit} of the child", dots, compact, metric_axis(sweep.metric))
    note = "The numbers are those of the budgets, from the smallest."
    if any(dot.interval for dot in dots):
        note = f"With 95 % intervals. {note}"
    if not sweep.metric.higher_is_better:
        note += " Lower is better."
    return Chart(title, Markup(svg), tuple(legend), note)
