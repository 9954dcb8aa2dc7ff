"""The charts of a run: accuracy, temperature, entropy, loss, penalties and budgets over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from exports.report.charts import Series, line_chart
from exports.report.fronts.scatter import Dot, scatter_chart
from exports.report.heat_map import heat_map
from exports.report.numbers import compact, of_metric, percent
from exports.report.run import Run
from snas_nni.resources import COSTS

__all__ = [
    "Chart",
    "HeatMaps",
    "accuracy_chart",
    "cost_charts",
    "cost_title",
    "heat_maps",
    "random_chart",
    "search_charts",
]


@dataclass(frozen=True)
class Chart:
    """A drawn chart with its headline, and ``(color, name, last value, dashed)`` of its lines.

    The color of dots is the class of a dot, such as ``random-dot``.
    """

    title: str
    svg: Markup
    legend: tuple[tuple[str, str, str, bool], ...]
    note: str = ""


@dataclass(frozen=True)
class HeatMaps:
    """The heat maps of one group of labels, such as a cell type: ``(label in the group, drawing)``."""

    name: str
    maps: tuple[tuple[str, Markup], ...]


def accuracy_chart(run: Run) -> Chart | None:
    """Draw what the child, sampled networks and the training batches reach: the metric that decides."""
    metric = run.metric
    lines = [
        Series("child", run.log.points(metric.logged), 1),
        Series("sampled networks", run.log.points(f"sampled/{metric.logged}"), 2),
        Series("training batches", run.log.points(metric.logged_in_training), 4, dashed=True),
    ]
    return _chart(
        metric.title[:1].upper() + metric.title[1:],
        lines,
        (lambda value: f"{100 * value:.0f} %") if metric.percent else compact,
        lambda value: of_metric(metric, value),
        top=1.0 if metric.percent else None,
        note="The child and sampled networks on validation data."
        + ("" if metric.higher_is_better else " Lower is better."),
    )


def random_chart(run: Run) -> Chart | None:
    """Draw the child beside children of chance, over their parameters; None where costs or children are not known."""
    child, size = run.evidence.child, run.parameters
    random = [(each, each.cost) for each in run.evidence.random]
    if child is None or size is None or not random or any(cost is None for _, cost in random):
        return None
    dots = [
        Dot(cost, each.value, "", f"random child: {percent(each.value)}, {cost:,.0f} parameters", "random",
            interval=each.interval)
        for each, cost in random if cost is not None
    ]  # fmt: skip
    hint = f"child: {percent(child.value)}, {size:,.0f} parameters"
    dots.append(Dot(size, child.value, "child", hint, "chosen", interval=child.interval))
    mean = sum(each.value for each, _ in random) / len(random)
    label = f"The child and {len(random)} random children: {percent(child.value)} against {percent(mean)} on average"
    svg = scatter_chart(label, "parameters of the child", dots, compact, lambda value: f"{100 * value:.4g} %")
    legend = (
        ("chosen-dot", "the child when it was chosen", percent(child.value), False),
        ("random-dot", "random children, mean", percent(mean), False),
    )
    when = "before the child was trained alone" if run.evidence.moment == "settling" else "at the end of the search"
    note = f"Validation accuracy with its 95 % interval {when}: the same weights, BatchNorm statistics of their own."
    return Chart("The child beside random children", Markup(svg), legend, note)


def search_charts(run: Run) -> list[Chart]:
    """Draw temperature, entropy, movement, shares and loss, as far as they were logged."""
    log = run.log
    charts = [
        accuracy_chart(run),
        _chart("Temperature", [Series("temperature", log.points("search/temperature"), 1)], top=1.0),
        _chart(
            "Entropy of all choices (nats)",
            [Series("entropy", log.points("search/entropy"), 1)],
            note="0 when every choice is certain.",
        ),
        _chart(
            "Logit movement (nats per epoch)",
            [Series("root mean square", log.points("search/logit_movement"), 1)],
        ),
        _chart(
            "Mean probabilities",
            [
                Series("gap between the two best", log.points("search/top2_gap"), 1),
                Series("zero operation", log.points("search/zero_share"), 2),
                Series("skip", log.points("search/skip_share"), 3),
            ],
            lambda value: f"{value:.2g}",
            lambda value: f"{value:.2f}",
            top=1.0,
        ),
        _chart(
            "Loss (nats)",
            [
                Series("search, penalties included", log.points("search/loss"), 1),
                Series("child, validation", log.points("val_loss"), 2),
            ],
        ),
    ]
    return [chart for chart in charts if chart is not None]


def cost_charts(run: Run) -> list[Chart]:
    """Draw every budget's cost with its bound, its multiplier, and every penalty."""
    charts: list[Chart | None] = []
    for cost in sorted({name.split("/")[1] for name in run.log.under("budget/") if name.count("/") == 2}):
        bound = run.bounds.get(cost)
        charts.append(
            _chart(
                f"{cost_title(cost)} against the budget",
                [
                    Series("expected", run.log.points(f"budget/{cost}/expected"), 1),
                    Series("child at the mode", run.log.points(f"budget/{cost}/mode"), 2, dashed=True),
                ],
                bound=bound,
                note="" if bound is None else f"Dotted: the budget, {compact(bound)}.",
            )
        )
        multiplier = run.log.points(f"budget/{cost}/multiplier")
        charts.append(
            _chart(
                f"Multiplier of the budget: {cost}",
                [Series("multiplier", multiplier, 3)],
                note="0 while the budget does not hold the search back.",
            )
        )
    for column in sorted(run.log.under("penalty/")):
        name = column.removeprefix("penalty/")
        charts.append(_chart(f"Penalty: {name}", [Series("added to the loss", run.log.points(column), 1)]))
    return [chart for chart in charts if chart is not None]


def cost_title(cost: str) -> str:
    """Return the title of a cost with its unit; the name itself of one that is not known here."""
    info = COSTS.get(cost)
    if info is None:
        return cost
    return f"{info.title} ({info.unit})" if info.unit else info.title


def heat_maps(run: Run) -> list[HeatMaps]:
    """Draw the probabilities of every label, grouped by what is before the first slash of its name."""
    groups: dict[str, list[tuple[str, Markup]]] = {}
    for label, candidates in sorted(run.probabilities().items(), key=lambda item: _natural(item[0])):
        if not any(candidates.values()):
            continue
        group, slash, rest = label.partition("/")
        group, rest = (group, rest) if slash else ("", label)
        drawing = Markup(heat_map(label, candidates, run.chosen(label)))
        groups.setdefault(group, []).append((rest, drawing))
    return [HeatMaps(name, tuple(maps)) for name, maps in groups.items()]


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key under which edge_2_10 follows edge_2_9."""
    parts: list[str] = [""]
    for letter in text:
        if parts[-1] and parts[-1].isdecimal() != letter.isdecimal():
            parts.append("")
        parts[-1] += letter
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in parts]


def _chart(
    title: str,
    lines: Sequence[Series],
    text: Callable[[float], str] = compact,
    exact: Callable[[float], str] | None = None,
    bound: float | None = None,
    top: float | None = None,
    note: str = "",
) -> Chart | None:
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    exact = exact or text
    legend = tuple((str(line.color), line.name, exact(line.points[-1][1]), line.dashed) for line in lines)
    return Chart(title, Markup(line_chart(title, lines, text, bound, top)), legend, note)
