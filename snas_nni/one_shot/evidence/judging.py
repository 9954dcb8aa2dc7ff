"""Which of several children is best: each with BatchNorm statistics of its own, judged on held-out data.

Children run inside the supernet, through the evaluator's own ``validation_step``, so any evaluator can be asked and
nothing is copied. Afterwards the supernet, the evaluator's metrics, loaders and random generators are as before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from torchmetrics import Metric

from snas_nni.derivation.recalibration import Statistics, own_statistics
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SettingError
from snas_nni.one_shot.evidence.alone import train_alone, weights_restored
from snas_nni.one_shot.evidence.batches import Batches, examples_in
from snas_nni.one_shot.evidence.undisturbed import moved, undisturbed
from snas_nni.one_shot.settings import SearchSettings

__all__ = ["Judge", "Judged", "judge_of", "rank"]

_FACTORS = (1, 3, 9)
"""How many samples are looked at for so many different networks, one after the other until there are enough."""


@dataclass(frozen=True)
class Judged:
    """What one child reached.

    Attributes:
        sample: its NNI sample.
        metrics: means over the held-out examples of what the evaluator logged.
        statistics: its own BatchNorm statistics, by the layer's name in the evaluator's module; empty if there was
            nothing to measure them on.
        depends_on: labels that its network depends on; None for all. Samples that differ in others only, such as a
            choice inside a block that is not there, are the same network.
    """

    sample: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=dict, repr=False)
    depends_on: frozenset[str] | None = field(default=None, repr=False)

    def is_network_of(self, sample: Mapping[str, Any]) -> bool:
        """Whether another NNI sample is known to be the same network."""
        labels = self.sample if self.depends_on is None else self.depends_on
        return all(sample[label] == self.sample[label] for label in labels)


class Judge:
    """Measures children of a supernet on held-out batches.

    Args:
        training_module: the evaluator's Lightning module, which holds the supernet.
        distribution: of the supernet.
        validation: held-out batches, of one loader or several.
        training: training batches for BatchNorm statistics; None: the supernet's are used.
        trainer: moves batches to its device and knows the precision; None: the device of the weights, 32 bits.
        seed: of what loaders draw meanwhile, the same for each child.
        epochs: that each child trains alone on all training batches before it is judged, from the supernet's weights;
            0 for none.
        clip: largest norm of the gradient meanwhile; None for no limit.
    """

    def __init__(
        self,
        training_module: Any,
        distribution: ArchitectureDistribution,
        validation: Sequence[Batches],
        training: Batches | None = None,
        *,
        trainer: Any = None,
        seed: int = 0,
        epochs: int = 0,
        clip: float | None = None,
    ) -> None:
        self._epochs = epochs
        self._clip = clip
        self._module = training_module
        self._distribution = distribution
        self._validation = validation
        self._training = training
        self._trainer = trainer
        self._seed = seed

    def networks(
        self, ranked: Callable[[int], Sequence[Mapping[str, Any]]], count: int, known: Sequence[Judged] = ()
    ) -> list[Judged]:
        """Measure the most probable children until so many different networks are measured; fewer if there are fewer.

        Where choices are nested, such as in the blocks of a ``Repeat``, a hundred samples may be one network: those
        that differ in a block which is not there.

        Args:
            ranked: returns so many of the most probable children's NNI samples, the most probable first.
            count: networks to measure, at least 1.
            known: networks that were measured before; they are not measured again, and do not count.
        """
        found: list[Judged] = []
        for factor in _FACTORS:
            wanted = factor * (len(known) + count)
            samples = ranked(wanted)
            for sample in samples:
                if not any(each.is_network_of(sample) for each in (*known, *found)):
                    found.append(self(sample))
                if len(found) == count:
                    return found
            if len(samples) < wanted:
                break
        return found

    def all_of(self, samples: Sequence[Mapping[str, Any]]) -> list[Judged]:
        """Measure the children of several NNI samples, in their order; of those that are one network, the first."""
        found: list[Judged] = []
        for sample in samples:
            same = next((each for each in found if each.is_network_of(sample)), None)
            found.append(self(sample) if same is None else replace(same, sample=dict(sample)))
        return found

    def __call__(self, sample: Mapping[str, Any]) -> Judged:
        """Measure the child of an NNI sample; its statistics are those before it trained alone."""
        module, distribution = self._module, self._distribution
        statistics = Statistics()
        with undisturbed(module) as log, ExitStack() as stack:
            stack.enter_context(distribution.use(distribution.one_hot_sample(sample)))
            depends_on = stack.enter_context(distribution.current.noting_labels())
            if self._trainer is not None:
                stack.enter_context(self._trainer.precision_plugin.val_step_context())
            if self._training is not None:
                batches = enumerate(self._training.seeded(self._seed))
                statistics = own_statistics(module, lambda numbered: self._run(*numbered), batches)
                if self._epochs:
                    stack.enter_context(weights_restored(module))
                    self._train(self._training)
                    batches = enumerate(self._training.seeded(self._seed))
                    own_statistics(module, lambda numbered: self._run(*numbered), batches)
            log.forget()
            for metric in module.modules():
                if isinstance(metric, Metric):
                    metric.reset()
            module.eval()
            for number, loader in enumerate(self._validation):
                position = (number,) if len(self._validation) > 1 else ()
                for index, batch in enumerate(loader.seeded(self._seed)):
                    log.examples = examples_in(batch)
                    self._run(index, batch, *position)
            metrics = log.means()
        return Judged(dict(sample), metrics, statistics, frozenset(depends_on) or None)

    def _train(self, training: Batches) -> None:
        everything = Batches(training.loader)
        epochs = (everything.seeded(self._seed + epoch) for epoch in range(self._epochs))
        try:
            steps = self._epochs * len(training.loader)
        except TypeError:
            raise SettingError("judge_epochs: the training loader does not say how many batches it has.") from None
        train_alone(self._module, self._loss, epochs, steps, self._clip)

    def _loss(self, batch: Any, index: int) -> Any:
        return self._module.training_step(moved(batch, self._module, self._trainer), index)

    def _run(self, index: int, batch: Any, *position: int) -> None:
        self._module.validation_step(moved(batch, self._module, self._trainer), index, *position)


def judge_of(
    settings: SearchSettings,
    training_module: Any,
    distribution: ArchitectureDistribution,
    validation: Sequence[Batches],
    training: Batches | None = None,
    *,
    trainer: Any = None,
    seed: int = 0,
) -> Judge:
    """A judge that lets children train as long as the settings of a search say.

    Args:
        settings: of the search.
        training_module: see :class:`Judge`, as all that follow.
        distribution: of the supernet.
        validation: held-out batches.
        training: training batches.
        trainer: Lightning's.
        seed: of what loaders draw.
    """
    return Judge(
        training_module,
        distribution,
        validation,
        training,
        trainer=trainer,
        seed=seed,
        epochs=settings.judge_epochs,
        clip=settings.weights_gradient_clip,
    )


def rank(judged: Sequence[Judged], metric: str | None = None) -> list[Judged]:
    """Put the best child first; of equal ones the first stays first.

    Args:
        judged: what each reached.
        metric: name of the metric that decides, the largest first; with a ``-`` before it the smallest first. None:
            ``val_acc``, else the first one that is called an accuracy, else the first loss. A loss breaks ties.

    Raises:
        SettingError: the evaluator logged no such metric.
    """
    if len(judged) < 2:
        return list(judged)
    names = list(judged[0].metrics)
    losses = [name for name in names if name.endswith("loss")]
    sign, name = 1.0, metric
    if name is None:
        accuracies = [each for each in names if each.endswith(("acc", "accuracy"))]
        name = "val_acc" if "val_acc" in names else next(iter([*accuracies, *losses]), None)
        sign = -1.0 if name in losses else 1.0
    elif name.startswith("-"):
        name, sign = name[1:], -1.0
    if name is None or name not in names:
        raise SettingError(
            f"selection_metric: the evaluator's validation_step logs {', '.join(names) or 'nothing'}, so children "
            f"cannot be compared by {name or 'an accuracy or a loss'}. Name what it logs (with a '-' before it where "
            "less is better), log val_acc or val_loss, or set candidates to 1."
        )

    def value(each: Judged) -> tuple[float, float]:
        reached, tie = sign * each.metrics[name], -each.metrics[losses[0]] if losses else 0.0
        return (-math.inf if math.isnan(reached) else reached, -math.inf if math.isnan(tie) else tie)

    return sorted(judged, key=value, reverse=True)
