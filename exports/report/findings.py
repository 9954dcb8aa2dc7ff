"""What a reader should be warned of before believing a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exports.errors import ArchitectureFileError
from exports.metric import DecidingMetric
from exports.pictures.graph import CellGraph
from exports.report.numbers import as_mapping, as_number, compact, of_metric, percent
from exports.report.run import Run

__all__ = [
    "GAINED_ACCURACY",
    "OPEN_ENTROPY",
    "Finding",
    "chosen_by_measurement",
    "entropy_share",
    "findings",
    "still_moving",
]

STILL_LOGITS = 0.05
"""Root mean square change of the log-probabilities over a whole search, in nats, below which nothing was learnt."""
OPEN_ENTROPY = 0.5
"""Share of the largest possible entropy above which the child is one of many that are about as probable."""
LOST_ACCURACY = 0.02
LEFT_OUT = "the charts leave it out, and so they do with numbers beyond 1e100"
GAINED_ACCURACY = 0.01
"""What a child has to be better by than random ones, for the search to have found something."""
MOVED_PROBABILITY = 0.1
"""Change of a candidate's probability over the last tenth of a search from which on a choice was still moving."""


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: ``kind`` is ``warning`` or ``note``."""

    kind: str
    text: str


def findings(run: Run) -> list[Finding]:
    """Return the warnings, then the notes."""
    found = [
        *_logits(run),
        *_entropy(run),
        *_moving(run),
        *_child(run),
        *_random(run),
        *_bounds(run),
        *_strange(run),
        *_cells(run),
        *_choices(run),
    ]
    return sorted(found, key=lambda finding: finding.kind != "warning")


def _logits(run: Run) -> list[Finding]:
    entropy = run.log.points("search/entropy")
    if entropy and entropy[0][1] == 0:
        text = "Nothing was left to choose: the budget excluded all but one candidate of each choice."
        return [Finding("note", text)]
    if chosen_by_measurement(run):
        text = "Nothing was searched: the child was chosen by what the given network loses with one choice changed."
        return [Finding("note", text)]
    points = run.log.points("search/logit_movement")
    moved = sum(value for _, value in points)
    if not points or moved >= STILL_LOGITS:
        return []
    rate = (
        "Raise search.logits_learning_rate (n steps can move a logit by about n times that number), or leave it out: "
        "the default follows from the number of steps."
    )
    if moved == 0:
        return [Finding("warning", f"The logits did not move: nothing was searched. {rate}")]
    return [Finding("warning", f"The logits hardly moved ({moved:.2g} nats over the whole search). {rate}")]


def chosen_by_measurement(run: Run) -> bool:
    """Return whether the logits were measured before the first step, and no epoch searched from there."""
    search = as_mapping(as_mapping(run.summary.get("settings")).get("search"))
    epochs, settling, warmup = (as_number(search.get(name)) for name in ("epochs", "settle_epochs", "warmup_epochs"))
    if epochs is None or settling is None or warmup is None:
        return False
    return search.get("initial_logits") == "sensitivity" and settling + warmup == epochs


def entropy_share(run: Run) -> float | None:
    """Share of the largest possible entropy that the search ended with; None where it is not known."""
    share = run.log.last("search/entropy_share")
    if share is None and run.architecture is not None and run.architecture.entropy:
        largest = sum(math.log(max(1, len(each))) for each in run.architecture.probabilities.values())
        share = sum(run.architecture.entropy.values()) / largest if largest else None
    return share


def _entropy(run: Run) -> list[Finding]:
    share = entropy_share(run)
    if share is None or share <= OPEN_ENTROPY or chosen_by_measurement(run):
        return []
    return [
        Finding(
            "warning",
            f"The search had not decided: {percent(share)} of the largest possible entropy is left, so that many "
            "other children are about as probable as this one. Search longer, or with a larger "
            "search.logits_learning_rate.",
        )
    ]


def still_moving(run: Run) -> list[str]:
    """Labels whose probabilities the last tenth of the search, or its last epoch, still changed."""
    moved: list[str] = []
    # While a chosen child trains alone the logits rest: the search has ended before.
    moving = [epoch for epoch, value in run.log.points("search/logit_movement") if value > 0]
    end = moving[-1] if moving else math.inf
    for label, by_candidate in run.probabilities().items():
        for every in by_candidate.values():
            points = [point for point in every if point[0] <= end] or every
            last_epoch, last = points[-1]
            before = [value for epoch, value in points if epoch <= last_epoch - max(1, last_epoch // 10)]
            if before and abs(last - before[-1]) > MOVED_PROBABILITY:
                moved.append(label)
                break
    return moved


def _moving(run: Run) -> list[Finding]:
    moved = still_moving(run)
    if not moved:
        return []
    names = ", ".join(moved[:3]) + ", ..." * (len(moved) > 3)
    return [
        Finding(
            "warning",
            f"{len(moved)} of {len(run.probabilities())} choices were still moving when the search ended ({names}): a "
            "longer one may well end with another child.",
        )
    ]


def _random(run: Run) -> list[Finding]:
    # At the same moment, with the same weights; older runs compared with the child after its own training.
    metric = run.metric
    chosen = run.metrics.get(f"chosen_{metric.validation}")
    child = chosen if chosen is not None else run.metrics.get(metric.validation)
    random = run.metrics.get(f"random_{metric.validation}")
    if child is None or random is None or metric.gain(child, random) >= _margin(metric, GAINED_ACCURACY, random):
        return []
    which = f"The child ({of_metric(metric, child)}) is"
    if chosen is not None:  # it has trained alone since, and is not what it was
        which = f"When it was chosen, the child ({of_metric(metric, child)}) was"
    return [
        Finding(
            "warning",
            f"{which} no better than random children of the space with the same "
            f"weights ({of_metric(metric, random)}): either the choices do not matter for this data, or the search was "
            "too short to tell them apart.",
        )
    ]


def _child(run: Run) -> list[Finding]:
    metric = run.metric
    # The child that was handed over, which may have been tuned since the last epoch of the search.
    child = run.metrics.get(metric.validation, run.log.last(metric.logged))
    sampled = run.log.last(f"sampled/{metric.logged}")
    if child is None or sampled is None or metric.gain(child, sampled) >= -_margin(metric, LOST_ACCURACY, sampled):
        return []
    return [
        Finding(
            "warning",
            f"The child ({of_metric(metric, child)}) is less accurate than sampled networks "
            f"({of_metric(metric, sampled)}): its weights were trained for mixtures. Search longer at a low "
            "temperature, or retrain the child.",
        )
    ]


def _margin(metric: DecidingMetric, share: float, value: float) -> float:
    """What a difference has to reach: a share of 1 for metrics that are shares, that part of the value for others."""
    return share if metric.percent else share * abs(value)


def _bounds(run: Run) -> list[Finding]:
    found = []
    for cost, bound in run.bounds.items():
        value = run.parameters if cost == "params" else run.metrics.get(cost)
        if value is not None and value > bound:
            found.append(Finding("warning", f"The child is over budget: {cost} {compact(value)} of {compact(bound)}."))
    return found


def _strange(run: Run) -> list[Finding]:
    if not run.log.not_finite:
        return []
    names = sorted(run.log.not_finite)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [Finding("warning", f"NaN or infinity was logged in {', '.join(names[:3])}{more}; {LEFT_OUT}.")]


def _cells(run: Run) -> list[Finding]:
    found = []
    for name, edges in run.architecture.cells.items() if run.architecture else ():
        if not edges:
            continue
        try:
            graph = CellGraph.of(edges)
        except ArchitectureFileError as error:
            found.append(Finding("note", f"Cell {name} is not drawn: {error.problem}."))
            continue
        if graph.output_is_dead:
            found.append(Finding("warning", f"Cell {name} has a dead output: no path leads from an input to it."))
            continue
        if graph.unused_inputs:
            names = ", ".join("".join(graph.input_name(node)) for node in graph.unused_inputs)
            found.append(Finding("note", f"Cell {name} does not use its input {names}."))
        if graph.dead_nodes:
            nodes = ", ".join(map(str, graph.dead_nodes))
            found.append(Finding("note", f"Cell {name} has dead nodes ({nodes}), whose share of the output is zero."))
    return found


def _choices(run: Run) -> list[Finding]:
    """Say when a budget made the child differ from the mode."""
    if run.architecture is None:
        return []
    others = 0
    for label, probabilities in run.architecture.probabilities.items():
        chosen = run.chosen(label)
        if len(chosen) == 1 and probabilities:
            own = probabilities.get(next(iter(chosen)))
            others += own is not None and own < max(probabilities.values()) - 1e-9
    if not others:
        return []
    words = "choice of the child is" if others == 1 else "choices of the child are"
    return [Finding("note", f"{others} {words} not the most probable: a budget asked for another.")]
