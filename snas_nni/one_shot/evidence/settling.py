"""The last part of a search: one child is chosen by what it reaches, and trained alone.

Its sample is fixed, so a step runs and trains that child's path only, without the noise of the distribution; the
logits rest. What the last epoch shows is then the network that is derived, to the bit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

from snas_nni.derivation.recalibration import put_statistics
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import chosen_categories
from snas_nni.distribution.sample import Sample
from snas_nni.one_shot.distributed import broadcast_from_rank_zero
from snas_nni.one_shot.evidence.batches import Batches
from snas_nni.one_shot.evidence.comparing import ROUNDS, Accept, first_accepted
from snas_nni.one_shot.evidence.judging import Judge, Judged, judge_of, rank
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.resources.child_selection import ChildSelection

__all__ = ["Settling"]

_logger = logging.getLogger(__name__)


class Settling:
    """Chooses the child, and remembers it.

    Args:
        distribution: of the search.
        selection: the children that come into question.
        settings: of the search.
        seed: of what loaders draw while children are compared.
        accept: is asked about the children, the best first; the first that it accepts is chosen.
    """

    def __init__(
        self,
        distribution: ArchitectureDistribution,
        selection: ChildSelection,
        settings: SearchSettings,
        seed: int = 0,
        accept: Accept | None = None,
    ) -> None:
        self._accept = accept
        self._distribution = distribution
        self._selection = selection
        self._settings = settings
        self._seed = seed
        self._chosen: dict[str, list[int]] | None = None

    @property
    def chosen(self) -> dict[str, Any] | None:
        """The NNI sample of the chosen child; None before there is one."""
        if self._chosen is None:
            return None
        choices = self._distribution.choices
        return {label: choice.value(self._chosen[str(label)]) for label, choice in choices.items()}

    def choose(
        self, training_module: Any, validation: Sequence[Batches], training: Batches | None, trainer: Any = None
    ) -> None:
        """Choose the child by what the candidates reach on held-out data, and give it statistics of its own.

        Where nothing can be compared (one candidate, no held-out data), it is the most probable one.

        Args:
            training_module: the evaluator's Lightning module, which holds the supernet.
            validation: held-out batches.
            training: training batches for BatchNorm statistics; None for those of the supernet.
            trainer: Lightning's, where there is one.

        Raises:
            SettingError: the evaluator logs nothing to compare children by.
        """
        judge = self._judge(training_module, validation, training, trainer)
        judged: list[Judged] = []
        accepted: Judged | None = None
        for _ in range(ROUNDS):
            round_of = self._round(judge, judged)
            judged.extend(round_of)
            if self._accept is None or not round_of:
                break
            supernet = next(each for each in training_module.modules() if isinstance(each, ModelSpace))
            found = first_accepted(training_module, supernet, round_of, self._accept)
            # What is measured may differ between devices, and all of them must go on alike.
            agreed = broadcast_from_rank_zero(None if found is None else found.sample)
            accepted = next((each for each in round_of if each.sample == agreed), None)
            if accepted is not None:
                break
        if self._accept is not None and accepted is None:
            _logger.warning("none of the %d children that were compared is accepted: the best is trained", len(judged))
        judged = [accepted or judged[0], *judged]
        first = broadcast_from_rank_zero(judged[0].sample)  # several devices measure statistics on batches of their own
        best = next(each for each in judged if each.sample == first)
        put_statistics(training_module, best.statistics)
        choices = self._distribution.choices
        self._chosen = {str(label): chosen_categories(choice, best.sample) for label, choice in choices.items()}

    def _judge(
        self, training_module: Any, validation: Sequence[Batches], training: Batches | None, trainer: Any
    ) -> Judge | None:
        """The judge of several candidates; None where nothing is compared."""
        if self._settings.candidates == 1:
            return None
        if not validation:
            _logger.warning("there are no validation data to compare children on: the most probable one is trained.")
            return None
        return judge_of(
            self._settings,
            training_module,
            self._distribution,
            validation,
            training,
            trainer=trainer,
            seed=self._seed,
        )

    def _round(self, judge: Judge | None, known: Sequence[Judged]) -> list[Judged]:
        """The most probable children after those that are known, the best first; none where there are no more."""
        count = self._settings.candidates

        def ranked(wanted: int) -> list[dict[str, Any]]:
            samples: list[dict[str, Any]] = broadcast_from_rank_zero(self._selection.candidates(wanted))
            return samples

        if judge is not None:
            return rank(judge.networks(ranked, count, known), self._settings.selection_metric)
        samples = ranked(len(known) + count)
        return [Judged(sample) for sample in samples if not any(each.is_network_of(sample) for each in known)]

    def sample(self) -> Sample | None:
        """The one-hot sample of the chosen child; None before there is one."""
        chosen = self.chosen
        return None if chosen is None else self._distribution.one_hot_sample(chosen)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the category of each row, by label."""
        return {"chosen": self._chosen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._chosen = state["chosen"]
