"""How good children are that nobody searched: what a found one has to be better than.

A child that was trained alone is better than any other child of the same weights, whether the search was of use or not.
So the two are compared at the moment when the child was chosen, before anything was done for it: the same weights, and
BatchNorm statistics of its own for each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback

from snas_nni import SNAS
from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SnasError
from snas_nni.one_shot.evidence.comparing import judge_after
from snas_nni.one_shot.lightning_module import SnasLightningModule
from snas_nni.one_shot.progress import position_of, settling_progress
from trials.data.loaders import evaluation_loader, input_example, training_loader
from trials.data.types import TaskData
from trials.settings.search import RunSettings

__all__ = ["COUNT", "RandomChildren", "uniform_samples"]

COUNT = 8
"""How many random children a search is compared with."""
MOST_DRAWS = 200


class RandomChildren(Callback):
    """Judges uniform children beside the chosen one before the first step that trains it alone.

    What was found is part of the checkpoint. A search that does not settle is judged when it is over, by :meth:`judge`.

    Args:
        data: the splits.
        settings: of the search.

    Attributes:
        moment: ``"settling"`` or ``"end"``; empty before anything was judged.
        child: the deciding metric of the chosen child on the validation split, at that moment.
        children: of the random ones, within the budget where there is one.
    """

    def __init__(self, data: TaskData, settings: RunSettings) -> None:
        self._data = data
        self._settings = settings
        self.moment = ""
        self.child = 0.0
        self.children: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Judge before the first batch of the settling; a search that goes on from later has missed the moment."""
        if self.moment or batch_idx or not isinstance(pl_module, SnasLightningModule):
            return
        if settling_progress(position_of(trainer), pl_module.settings) == 0:
            self.judge(pl_module, "settling")

    def judge(self, module: SnasLightningModule, moment: str = "end") -> None:
        """Judge the child and the random ones on the validation split, with the weights of now."""
        search, data = self._settings.search, self._data
        validation = evaluation_loader(data, data.validation)
        training = training_loader(data, search.batch_size, self._settings.seed, self._settings.data.workers)

        judge = judge_after(module, validation=validation, training=training)

        def value(sample: dict[str, Any]) -> float:
            return judge(sample).metrics[data.task.metric.logged]

        self.moment, self.child = moment, value(module.export())
        self.children = [value(sample) for sample in self._samples(module)]

    def _samples(self, module: SnasLightningModule) -> list[dict[str, Any]]:
        controller = module.selection.controller
        if controller is None or not controller.is_prepared:
            return uniform_samples(module.distribution, COUNT)
        model, bounds = controller.bounds.counted, controller.bounds.bounds

        def within(sample: dict[str, Any]) -> bool:
            costs = model.of(sample, bounds)
            return all(costs[name] <= bound for name, bound in bounds.items())

        return uniform_samples(module.distribution, COUNT, within=within)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"moment": self.moment, "child": self.child, "children": self.children}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what the checkpoint kept."""
        self.moment, self.child = state_dict["moment"], state_dict["child"]
        self.children = list(state_dict["children"])

    @property
    def metrics(self) -> dict[str, float]:
        """Numbers for the record of the run: the child's metric at that moment, and the mean of the random ones."""
        if not self.children:
            return {}
        mean = sum(self.children) / len(self.children)
        name = self._data.task.metric.validation
        return {f"chosen_{name}": self.child, f"random_{name}": mean}

    def costs(self, strategy: SNAS, cost: str = "params") -> list[float | None]:
        """Return what each random child costs; None where costs cannot be counted.

        Args:
            strategy: after its search.
            cost: key of the cost.
        """
        try:
            model: CostModel = strategy.cost_model(input_example(self._data).batch())
        except SnasError:
            return [None] * len(self.children)
        return [model.of(sample).get(cost) for sample in self._samples(strategy.oneshot_module)]


def uniform_samples(
    distribution: ArchitectureDistribution,
    count: int,
    seed: int = 0,
    within: Callable[[dict[str, Any]], bool] | None = None,
) -> list[dict[str, Any]]:
    """Draw NNI samples uniformly among the candidates that are not excluded.

    Args:
        distribution: of the search.
        count: how many.
        seed: of their choice; nothing else is drawn.
        within: whether a sample is allowed; fewer samples are returned where few of :data:`MOST_DRAWS` for each are.
    """
    generator = random.Random(seed)
    samples: list[dict[str, Any]] = []
    for _ in range(count if within is None else count * MOST_DRAWS):
        sample: dict[str, Any] = {}
        for label, choice in distribution.choices.items():
            rows, excluded = distribution.rows_of(label), distribution.excluded.get(label, ())
            left = [index for index in range(rows.shape[-1]) if index not in excluded]
            sample[label] = choice.value([left[generator.randrange(len(left))] for _ in range(len(rows))])
        if within is None or within(sample):
            samples.append(sample)
        if len(samples) == count:
            break
    return samples
