"""The questions that a reader has first, answered from what a run left."""

from __future__ import annotations

from dataclasses import dataclass

from exports.metric import ACCURACY, DecidingMetric
from exports.report.evidence.reading import Reached, Share
from exports.report.findings import GAINED_ACCURACY, OPEN_ENTROPY, chosen_by_measurement, entropy_share, still_moving
from exports.report.numbers import compact, of_metric, percent
from exports.report.run import Run
from snas_nni.resources import COSTS

__all__ = ["Answer", "BoundRow", "answers", "bound_rows", "interval_of", "with_interval"]


@dataclass(frozen=True)
class Answer:
    """One question: ``verdict`` is ``yes``, ``no``, ``unclear`` or empty where it is not a matter of yes or no."""

    question: str
    verdict: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class BoundRow:
    """One bound of the budget: the cost in words, what the child has, what it may have, and whether that is kept."""

    name: str
    child: str
    bound: str
    share: str
    within: bool | None


def answers(run: Run) -> list[Answer]:
    """Return what was found, whether it is within its budget, whether the search had decided and was of use."""
    given = [_found(run), _budget(run), _decided(run), _helped(run), _usage(run)]
    return [answer for answer in given if answer is not None]


def with_interval(value: float, interval: tuple[float, float] | None, metric: DecidingMetric = ACCURACY) -> str:
    """Write a value of a metric, an accuracy with its 95 % interval."""
    if interval is None:
        return of_metric(metric, value)
    return f"{percent(value)} (95 % interval {100 * interval[0]:.1f} to {percent(interval[1])})"


def bound_rows(run: Run) -> list[BoundRow]:
    """Return a row for every bound that the search had."""
    rows = []
    for cost, bound in run.bounds.items():
        value = run.parameters if cost == "params" else run.metrics.get(cost)
        info = COSTS.get(cost)
        share = cost == "int8_loss"
        write = percent if share else compact
        unit = "" if info is None or not info.unit or share else f" {info.unit}"
        rows.append(
            BoundRow(
                name=info.title if info is not None else {"int8_loss": "Accuracy lost at 8 bits"}.get(cost, cost),
                child="not measured" if value is None else f"{write(value)}{unit}",
                bound=f"{write(bound)}{unit}",
                share="" if value is None or bound <= 0 or share else f"{100 * value / bound:.0f} %",
                within=None if value is None else value <= bound,
            )
        )
    return rows


def _found(run: Run) -> Answer | None:
    if run.architecture is None and not run.metrics:
        return None
    parts, metric = [], run.metric
    for split, words in (("validation", "on validation data"), ("test", "on test data, looked at once")):
        value = run.metrics.get(f"{split}_{metric.name}")
        known = run.evidence.splits.get(split) if metric == ACCURACY else None
        if value is not None:
            interval = interval_of(known.whole if known else None, value)
            parts.append(f"{with_interval(value, interval, metric)} {words}")
    if parts and metric != ACCURACY:
        parts[0] = f"{metric.in_words} {parts[0]}"
    size = "" if run.parameters is None else f" of {run.parameters:,.0f} parameters"
    chosen = f" ({len(run.architecture.sample)} choices)" if run.architecture is not None else ""
    reached = f": {'; '.join(parts)}" if parts else ""
    return Answer("What was found?", "", f"A child{size}{chosen}{reached}.", "#child")


def interval_of(share: Share | None, accuracy: float) -> tuple[float, float] | None:
    """The interval of a share, if it is the one of this accuracy."""
    if share is None or abs(share.right / share.count - accuracy) > 1e-4:
        return None
    return share.interval


def _budget(run: Run) -> Answer | None:
    rows = bound_rows(run)
    if not rows:
        return Answer("Within its budget?", "", "The search had no budget.") if run.settings else None
    if any(row.within is None for row in rows):
        verdict = "no" if any(row.within is False for row in rows) else "unclear"
    else:
        verdict = "yes" if all(row.within for row in rows) else "no"
    text = "; ".join(f"{row.name} {row.child} of at most {row.bound}" for row in rows)
    return Answer("Within its budget?", verdict, f"{text}.", "#budget")


def _decided(run: Run) -> Answer | None:
    share, moving = entropy_share(run), still_moving(run)
    if share is None:
        return None
    if chosen_by_measurement(run):
        text = "Nothing was searched: of the children within the budget this one loses least, by what was measured."
        return Answer("Had the search decided?", "", text, "#epochs")
    decided = share <= OPEN_ENTROPY and not moving
    text = f"{percent(share)} of the largest possible entropy is left"
    count = f"{len(moving)} choice{'s' if len(moving) > 1 else ''}" if moving else "no choice"
    text += f"; {count} still moved at the end"
    return Answer("Had the search decided?", "yes" if decided else "no", f"{text}.", "#epochs")


def _helped(run: Run) -> Answer | None:
    child, random = run.evidence.child, run.evidence.random
    if child is None or not random:
        return None
    mean = sum(each.value for each in random) / len(random)
    beaten = sum(child.value > each.value for each in random)
    if child.value < mean + GAINED_ACCURACY:
        verdict = "no"
    else:
        verdict = "yes" if beaten == len(random) and not _overlaps(child, random) else "unclear"
    best = max(each.value for each in random)
    when = "before it was trained alone" if run.evidence.moment == "settling" else "at the end"
    text = (
        f"The child reached {with_interval(child.value, child.interval)} when it was chosen, {len(random)} random "
        f"children {percent(mean)} on average and {percent(best)} at best: validation data, the same weights, {when}. "
        f"It beat {beaten} of {len(random)}"
    )
    if beaten < len(random):
        text += ": chance finds as good a child." if verdict == "no" else ": more of chance may find a better child."
    else:
        text += ", but the best of them lies within its interval." if verdict == "unclear" else "."
    return Answer("Better than random children?", verdict, text, "#random")


def _overlaps(child: Reached, random: tuple[Reached, ...]) -> bool:
    best = max(each.value for each in random)
    return child.interval is not None and best >= child.interval[0]


def _usage(run: Run) -> Answer | None:
    files = [name for name in ("architecture.json", "weights.safetensors", "model.onnx") if name in run.files]
    if not files:
        return None
    return Answer("How is it used?", "", f"{', '.join(files)} in {run.folder}: the code stands below.", "#use")
