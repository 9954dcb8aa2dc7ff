"""An experiment as the page shows it: a row for every trial, and what accuracy costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from exports.metric import ACCURACY
from exports.report.evidence.answers import Answer, answers, with_interval
from exports.report.experiment import Experiment, Trial
from exports.report.fronts.pareto import pareto_front
from exports.report.fronts.scatter import Dot, metric_axis, scatter_chart
from exports.report.importance import ImportanceRow, importance_note, importance_row, parameter_importance
from exports.report.numbers import as_number, compact, duration, of_metric, plain_text
from exports.report.run_charts import Chart
from exports.report.run_view import RunView, Tile, view_run

__all__ = ["ExperimentView", "TrialView", "view_experiment"]


@dataclass(frozen=True)
class TrialView:
    """One trial: its row after number and status (texts with numbers to sort by), and its run."""

    number: int
    anchor: str
    status: str
    headline: str
    is_best: bool
    on_front: bool
    cells: list[tuple[str, str]]
    parameters: list[tuple[str, str]]
    run: RunView | None


@dataclass(frozen=True)
class ExperimentView:
    """All that the page says of an experiment."""

    title: str
    id: str
    status: str
    folder: str
    tiles: list[Tile]
    answers: list[Answer]
    columns: list[tuple[str, bool]]
    trials: list[TrialView]
    best: TrialView | None
    fronts: list[Chart]
    importance: list[ImportanceRow]
    importance_note: str
    problems: tuple[str, ...]


def view_experiment(experiment: Experiment) -> ExperimentView:
    """Write and draw everything."""
    fronts, on_front = _fronts(experiment.trials)
    ended = [
        (trial.parameters, trial.accuracy)
        for trial in experiment.trials
        if trial.succeeded and trial.accuracy is not None
    ]
    importance = [importance_row(each) for each in parameter_importance(ended)]
    tuned = sorted({name for trial in experiment.trials for name in trial.parameters})
    trials = [_trial(trial, trial is experiment.best, trial.number in on_front, tuned) for trial in experiment.trials]
    return ExperimentView(
        title=f"Experiment {experiment.name or experiment.id}",
        id=experiment.id,
        status=experiment.status.lower(),
        folder=str(experiment.folder),
        tiles=_tiles(experiment),
        answers=_answers(experiment, on_front, importance, bool(fronts)),
        columns=[
            *(("trial", False), ("status", False), ("validation", True), ("test", True), ("parameters", True)),
            *(("MACs", True), ("entropy", True), ("time", True)),
            *((name, _is_numeric(name, experiment.trials)) for name in tuned),
        ],
        trials=trials,
        best=next((trial for trial in trials if trial.is_best), None),
        fronts=fronts,
        importance=importance,
        importance_note=importance_note(importance, len(ended)),
        problems=experiment.problems,
    )


def _answers(
    experiment: Experiment, on_front: set[int], importance: Sequence[ImportanceRow], drawn: bool
) -> list[Answer]:
    best = experiment.best
    if best is None or best.accuracy is None:
        return []
    size = best.cost("parameters")
    of_size = "" if size is None else f", {size:,.0f} parameters"
    reached = with_interval(best.accuracy, _interval(best, best.accuracy), best.metric)
    if best.metric != ACCURACY:
        reached = f"{best.metric.in_words} {reached}"
    link = "#best" if best.run is not None else ""
    found = [Answer("What was found?", "", f"Trial {best.number}: {reached} on validation data{of_size}.", link)]
    # Of the best trial's own answers, those that decide whether to believe it.
    own = answers(best.run) if best.run is not None else []
    found += [replace(each, link="") for each in own if each.question.startswith(("Within", "Had", "Better"))]
    if drawn and len(on_front) > 1:
        numbers = ", ".join(map(str, sorted(on_front)))
        words = f"Trials {numbers}: no other is as accurate with fewer parameters."
        found.append(Answer("Which are worth their cost?", "", words, "#front"))
    shown = [row.name for row in importance if row.is_shown]
    if importance:
        words = f"{', '.join(shown)}." if shown else "These trials do not show that any parameter matters."
        found.append(Answer("What mattered?", "", words, "#importance"))
    return found


def _tiles(experiment: Experiment) -> list[Tile]:
    ended = sum(trial.succeeded for trial in experiment.trials)
    tiles = [Tile("Trials with a result", f"{ended} of {len(experiment.trials)}")]
    if experiment.best is not None and experiment.best.accuracy is not None:
        metric = experiment.best.metric
        value = of_metric(metric, experiment.best.accuracy)
        tiles.append(Tile(f"Best validation {metric.title}", value, _name(experiment.best)))
        test = as_number(experiment.best.final.get(metric.test))
        if test is not None:
            tiles.append(Tile(f"Its test {metric.title}", of_metric(metric, test), f"{test:.6g}"))
        cost = experiment.best.cost("parameters")
        if cost is not None:
            tiles.append(Tile("Its parameters", compact(cost), f"{cost:,.0f}"))
    if experiment.seconds is not None:
        tiles.append(Tile("Time", duration(experiment.seconds), f"{experiment.seconds:,.1f} s"))
    return tiles


def _is_numeric(name: str, trials: Sequence[Trial]) -> bool:
    return all(as_number(trial.parameters[name]) is not None for trial in trials if name in trial.parameters)


def _name(trial: Trial) -> str:
    return f"trial {trial.number}"


def _headline(trial: Trial) -> str:
    if not trial.succeeded or trial.accuracy is None:
        return trial.status.lower()
    cost = trial.cost("parameters")
    reached = f"{of_metric(trial.metric, trial.accuracy)} validation {trial.metric.title}"
    return reached + ("" if cost is None else f", {cost:,.0f} parameters")


def _anchor(trial: Trial) -> str:
    return f"trial-{trial.number}"


def _trial(trial: Trial, is_best: bool, on_front: bool, tuned: Sequence[str]) -> TrialView:
    metric = trial.metric
    test, entropy = as_number(trial.final.get(metric.test)), as_number(trial.final.get("entropy"))
    numbers = (
        (trial.accuracy, lambda value: of_metric(metric, value)),
        (test, lambda value: of_metric(metric, value)),
        (trial.cost("parameters"), "{:,.0f}".format),
        (trial.cost("macs"), "{:,.0f}".format),
        (entropy, "{:.2f}".format),
        (trial.seconds, duration),
    )
    cells = [("", "") if value is None else (write(value), f"{value!r}") for value, write in numbers]
    for name in tuned:
        value = trial.parameters.get(name)
        number = as_number(value)
        text = f"{value:.3g}" if isinstance(value, float) else plain_text(value)
        cells.append(("" if name not in trial.parameters else text, "" if number is None else repr(number)))
    return TrialView(
        number=trial.number,
        anchor=_anchor(trial),
        status=trial.status.lower(),
        headline=_headline(trial),
        is_best=is_best,
        on_front=on_front,
        cells=cells,
        parameters=[(name, plain_text(value)) for name, value in trial.parameters.items()],
        run=view_run(trial.run) if trial.run is not None else None,
    )


def _interval(trial: Trial, accuracy: float) -> tuple[float, float] | None:
    """The interval that the trial's run left, if it is the one of this accuracy."""
    split = trial.run.evidence.splits.get("validation") if trial.run is not None else None
    if split is None or abs(split.whole.right / split.whole.count - accuracy) > 1e-4:
        return None
    return split.whole.interval


def _fronts(trials: Sequence[Trial]) -> tuple[list[Chart], set[int]]:
    """Draw accuracy against parameters and MACs; return the trials on the front of the first too."""
    charts, first = [], None
    for cost, title in (("parameters", "parameters"), ("macs", "MACs")):
        found = [
            (trial, value, trial.accuracy)
            for trial in trials
            if trial.succeeded and (value := trial.cost(cost)) is not None and trial.accuracy is not None
        ]
        front = {
            found[index][0].number
            for index in pareto_front([(value, trial.metric.rank(accuracy)) for trial, value, accuracy in found])
        }
        if not found:
            continue
        first = front if first is None else first
        dots = [
            Dot(
                value,
                accuracy,
                str(trial.number),
                f"{_name(trial)}: {of_metric(trial.metric, accuracy)}, {value:,.0f} {title}",
                "front" if trial.number in front else "plain",
                f"#{_anchor(trial)}",
                _interval(trial, accuracy),
            )
            for trial, value, accuracy in found
        ]
        metric = found[0][0].metric
        headline = f"Validation {metric.title} against {title}"
        label = f"{headline}. On the front: trials {', '.join(map(str, sorted(front)))}"
        svg = scatter_chart(label, f"{title} of the child", dots, compact, metric_axis(metric))
        note = "Filled: no other trial is as accurate at less cost."
        note += "" if metric.higher_is_better else " Lower is better."
        charts.append(Chart(headline, Markup(svg), (), note))
    return charts, first or set()
