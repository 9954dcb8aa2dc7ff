"""The different children of a front: chosen together, trained on for equal work, and shared by the budgets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from snas_nni import Budget
from snas_nni.errors import SettingError
from snas_nni.one_shot.evidence.judging import Judged
from snas_nni.resources import cost_range
from trials.data.loaders import evaluation_loader, input_example
from trials.progress import Progress
from trials.runs.deployment import accepts
from trials.runs.derive import Restored
from trials.training.evaluation import torch_predictor

__all__ = ["FrontChild", "default_tune_epochs", "front_children", "tuning_epochs"]

SHARE = 0.25
"""By default the dearest child of the space would be trained on for so large a part of the search's epochs."""
MOST = 1.5
"""No child is trained on for more times the search's epochs: then it had as many steps as one that is trained alone."""


@dataclass(frozen=True)
class FrontChild:
    """A child of the front.

    Attributes:
        sample: its NNI sample.
        child: the network.
        cost: that the front is over.
        reached: of the deciding metric, on the validation split.
        tune_epochs: epochs that it was trained on by itself; 0 where that made it no better.
    """

    sample: dict[str, Any]
    child: nn.Module
    cost: float
    reached: float
    tune_epochs: int


def default_tune_epochs(search_epochs: int) -> int:
    """Epochs that a space's dearest child is trained on by itself, unless something else is asked for."""
    return max(1, round(search_epochs * SHARE))


def tuning_epochs(macs: Sequence[float], dearest: float, epochs: int, limit: int) -> list[int]:
    """How long each child is trained on, so that all have equal work: the cheap ones, who need it most, for longer.

    Args:
        macs: of the children.
        dearest: MACs of the space's dearest child.
        epochs: that this one would be trained on; 0 for none of any.
        limit: the most epochs of one child.
    """
    return [min(max(limit, epochs), round(epochs * dearest / max(each, 1.0))) for each in macs]


def front_children(
    search: Restored,
    cost: str,
    budgets: Sequence[float],
    *,
    bounds: Mapping[str, float],
    measured: Mapping[str, float],
    candidates: int | None = None,
    tune_epochs: int = 0,
    progress: Progress,
) -> list[FrontChild]:
    """The best child of each budget; the same object where budgets share one.

    The most probable children of all budgets are judged once, so a budget's child is the best of all that lie within
    it. Those that are chosen are trained on by themselves, from the search's own learning rate, and then each budget
    takes the best one again.

    Args:
        search: that was restored.
        cost: key of the front's cost.
        budgets: upper bounds on it.
        bounds: upper bounds on other costs.
        measured: upper bounds on what is only measured, by name.
        candidates: how many children are compared for each budget; half the search's setting if None, as each budget
            takes the best of all that are compared and lie within it.
        tune_epochs: of the space's dearest child; see :func:`tuning_epochs`.
        progress: told which child is trained.

    Raises:
        SettingError: no child of those compared lies within the bounds.
    """
    judged = search.judge(_candidates(search, cost, budgets, bounds, candidates))
    costs = _costs(search, judged)
    clock, example = search.clock_for(bounds), input_example(search.data)
    accept = accepts(measured, search.data, example, progress, clock=clock, budget=lambda: bounds)
    chosen = [_first(search, judged, costs, {**bounds, cost: budget}, accept) for budget in budgets]
    different = list({id(each): each for each in chosen}.values())
    macs = [costs[id(each)]["macs"] for each in different]
    limit, (_, dearest) = round(MOST * search.trained_epochs), cost_range(search.cost_model(), "macs")
    found = []
    for each, epochs in zip(different, tuning_epochs(macs, dearest, tune_epochs, limit), strict=True):
        if epochs:
            progress.say(f"training the child of {costs[id(each)][cost]:,.6g} {cost} by itself for {epochs} epochs")
        found.append(_tuned(search, each, costs[id(each)][cost], epochs))
    rank = search.data.task.metric.rank
    within = [[each for each in found if each.cost <= budget] for budget in budgets]
    return [max(each, key=lambda child: rank(child.reached)) for each in within]


def _candidates(
    search: Restored, cost: str, budgets: Sequence[float], bounds: Mapping[str, float], count: int | None
) -> list[dict[str, Any]]:
    """The most probable children within each budget, all of them once, those of the cheapest budget first.

    What is within a budget is within a dearer one too: where enough of the dearer one's most probable children are,
    they are also the most probable ones here, and the solver is not asked.
    """
    count = max(1, search.strategy.settings.candidates // 2) if count is None else count
    model = search.cost_model()
    of_budgets: list[list[dict[str, Any]]] = []
    ranked: list[dict[str, Any]] | None = None
    for budget in sorted(budgets, reverse=True):
        within = [each for each in ranked or [] if model.of(each)[cost] <= budget]
        if ranked is None or (len(within) < count <= len(ranked)):
            selection = search.strategy.selection(Budget(**dict[str, Any]({**bounds, cost: budget})))
            within = ranked = selection.candidates(count)
        of_budgets.append(within)
    found: list[dict[str, Any]] = []
    for within in reversed(of_budgets):  # of equally good ones the first is taken: the cheaper one
        found.extend(each for each in within if each not in found)
    return found


def _costs(search: Restored, judged: Sequence[Judged]) -> dict[int, dict[str, float]]:
    model = search.cost_model()
    return {id(each): model.of(each.sample) for each in judged}


def _first(
    search: Restored,
    judged: Sequence[Judged],
    costs: Mapping[int, Mapping[str, float]],
    bounds: Mapping[str, float],
    accept: Callable[[dict[str, Any], nn.Module], bool] | None,
) -> Judged:
    for each in judged:
        if any(costs[id(each)][name] > bound for name, bound in bounds.items()):
            continue
        if accept is None or accept(dict(each.sample), _child_of(search, each).cpu().eval()):
            return each
    raise SettingError(
        f"none of the {len(judged)} most probable children is within the bounds and accepted. Compare more of them "
        "(--candidates), or ask for less."
    )


def _tuned(search: Restored, judged: Judged, cost: float, epochs: int) -> FrontChild:
    """The child trained on, or as it was judged where that is better."""
    before = _child_of(search, judged)
    found = FrontChild(judged.sample, before, cost, _reached(search, before), 0)
    if not epochs:
        return found
    child = copy.deepcopy(before)
    search.tune(child, epochs, share=1.0)  # it begins again, as a child on which a search settles does
    tuned = FrontChild(judged.sample, child, cost, _reached(search, child), epochs)
    rank = search.data.task.metric.rank
    return max(tuned, found, key=lambda each: rank(each.reached))


def _child_of(search: Restored, judged: Judged) -> nn.Module:
    return search.strategy.child_of(judged, evaluation_loader(search.data, search.data.validation))


def _reached(search: Restored, child: nn.Module) -> float:
    held_out = evaluation_loader(search.data, search.data.validation)
    return search.data.task.evaluate(torch_predictor(child, torch.device("cpu")), held_out).value
