"""A search as NNI and Lightning ask for it, but for its loop: its parts, where it stands, its optimizers, its child."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError, SnasError
from snas_nni.nni_compat import BaseOneShotLightningModule
from snas_nni.one_shot.evaluator_log import EvaluatorLog
from snas_nni.one_shot.evidence.batches import Batches, training_batches, validation_batches
from snas_nni.one_shot.evidence.comparing import Accept
from snas_nni.one_shot.evidence.sensitivity import Counter, begin_from_sensitivities, losses_of_children, no_counter
from snas_nni.one_shot.evidence.settling import Settling
from snas_nni.one_shot.learning_rate import logits_learning_rate
from snas_nni.one_shot.lightning_compat import trainer_of
from snas_nni.one_shot.loop.regularization import Regularization
from snas_nni.one_shot.loop.step import SearchStep
from snas_nni.one_shot.optimizers import logits_optimizer, weights_optimizer, without_parameters
from snas_nni.one_shot.progress import is_settling, is_warming_up, position_of, temperature_now
from snas_nni.one_shot.resume_state import Resumption, random_state, set_random_state
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.regularizer import Regularizer, RegularizerTerm
from snas_nni.resources.child_selection import ChildSelection
from snas_nni.resources.cost_source import CostSource

__all__ = ["SearchModule"]


class SearchModule(BaseOneShotLightningModule):
    """What a search consists of; :class:`~snas_nni.one_shot.lightning_module.SnasLightningModule` runs it.

    Args:
        training_module: the evaluator's module; automatic optimisation, one optimiser.
        distribution: bound to the supernet that the evaluator trains.
        settings: of the search.
        seed: of the samples that validation looks at.
        regularizers: terms added to the loss, in order.
        count_costs: gets a training batch, returns the space's costs for the regularizers that want to know them.
        selection: the children that come into question; those of the distribution by default.
        accept: is asked about the children that are compared; see :class:`~snas_nni.SNAS`.
        costs: where the costs come from; what is measured of them belongs to the checkpoint.

    Attributes:
        counter: is told how far a long measurement is; nobody is, unless it is set.
    """

    def __init__(
        self,
        training_module: Any,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        seed: int = 0,
        regularizers: Sequence[Regularizer | Callable[..., RegularizerTerm | Tensor]] = (),
        count_costs: Callable[[Any], CostModel] | None = None,
        selection: ChildSelection | None = None,
        accept: Accept | None = None,
        costs: CostSource | None = None,
    ) -> None:
        super().__init__(training_module)
        self.distribution = distribution
        self.settings = settings
        self.seed = seed
        self.costs = costs
        self.regularization = Regularization(regularizers, count_costs)
        self.selection = selection or ChildSelection(distribution)
        self.settling = Settling(distribution, self.selection, settings, seed, accept)
        self.counter: Counter = no_counter
        self._shown: Sample | None = None
        self._step = SearchStep(distribution, settings, self.regularization, self.selection, costs)
        self._undo = ExitStack()
        self._evaluator_log = EvaluatorLog(self)
        self._resumption = Resumption()

    @property
    def search_step(self) -> int:
        """How many steps are done."""
        return self._step.number

    @search_step.setter
    def search_step(self, number: int) -> None:
        self._step.number = number

    @property
    def warming_up(self) -> bool:
        """Whether the logits are still frozen."""
        return is_warming_up(position_of(self.trainer), self.settings)

    @property
    def settled(self) -> bool:
        """Whether one child is trained alone now."""
        return is_settling(position_of(self.trainer), self.settings)

    @property
    def resting(self) -> bool:
        """Whether the logits do not move: while warming up, and once one child is trained alone."""
        return self.warming_up or self.settled

    @property
    def temperature(self) -> float:
        """The temperature of the current step; that of progress 0 while warming up."""
        return temperature_now(position_of(self.trainer), self.settings)

    # ---- optimisers ----------------------------------------------------------------------------------------------

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the logits."""
        return logits_optimizer(self.distribution, self.settings, logits_learning_rate(self.trainer, self.settings))

    @property
    def logits_learning_rate(self) -> float:
        """The one that is set, or that followed from the length of the search; known once that has begun."""
        rate: float = self.architecture_optimizers().param_groups[0]["lr"]
        return rate

    def postprocess_weight_optimizers(self, optimizers: Any) -> Any:
        """Take the logits out of the evaluator's optimiser, where a user's own supernet module may hold them."""
        return without_parameters(optimizers, self.distribution.parameters())

    def _optimizers(self) -> tuple[Any, Any]:
        return weights_optimizer(self.optimizers(), self.training_module), self.architecture_optimizers()

    # ---- settling ------------------------------------------------------------------------------------------------

    def _settled(self) -> Sample:
        """The sample of the child that is trained alone, which is chosen when it is first asked for."""
        sample = self.settling.sample()
        if sample is None:
            self._prepare_costs()
            held_out, training = self.held_out_batches(), self.recalibration_batches()
            self.settling.choose(self.training_module, held_out, training, self.trainer)
            sample = self.settling.sample()
        if sample is None:
            raise SnasError("the search settles, but no child was chosen.")
        return sample

    def held_out_batches(self) -> list[Batches]:
        """The batches that children are compared on; none before there is a Trainer."""
        trainer = trainer_of(self)
        return [] if trainer is None else validation_batches(trainer, self.settings.selection_share)

    def recalibration_batches(self) -> Batches | None:
        """The training batches that a child's BatchNorm statistics are measured on; None for none."""
        trainer = trainer_of(self)
        return None if trainer is None else training_batches(trainer, self.settings.recalibration_batches)

    def _prepare_costs(self) -> None:
        """Count costs before the first step of a search that goes on: its child may be asked for before that."""
        first = training_batches(self.trainer, 1) if self.regularization.waiting else None
        states = random_state()
        for batch in first.seeded(self.seed) if first is not None else ():
            batch = self.trainer.precision_plugin.convert_input(batch)
            self.regularization.prepare(self.trainer.strategy.batch_to_device(batch))
        set_random_state(states)

    def _measure_initial_logits(self) -> None:
        """Put the logits where the sensitivities of the network that the search begins with say."""
        self._prepare_costs()
        training = training_batches(self.trainer, self.settings.sensitivity_batches)
        if training is None:
            raise SettingError("initial_logits is sensitivity, but there are no training batches.")
        measure = losses_of_children(
            self.training_module, self.distribution, training, trainer=self.trainer, seed=self.seed
        )
        with measure as loss:
            begin_from_sensitivities(self.distribution, loss, self.counter)

    # ---- NNI's interface -----------------------------------------------------------------------------------------

    def resample(self) -> dict[str, Any]:
        """Draw a Z at the current temperature and return the sample nearest to it.

        Outside a Trainer the temperature is the first one, and the supernet, called by itself, runs with this Z.
        """
        training = trainer_of(self) is not None
        temperature = self.temperature if training else self.settings.temperature(0.0)
        drawn = self._step.draw_freely(temperature)
        self.distribution.current.drawn = drawn
        return drawn.values()

    def arch_parameters(self) -> list[nn.Parameter]:
        """The logits, by NNI's name for them."""
        return list(self.distribution.parameters())

    def export(self) -> dict[str, Any]:
        """The sample of the child: the chosen one once the search has settled, the most probable one before."""
        return self.settling.chosen or self.selection.current()

    def export_probs(self) -> dict[str, dict[Any, float]]:
        """Probabilities, without noise."""
        return self.distribution.probabilities()
