"""The search in a loop of one's own, without Lightning: the same steps, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from snas_nni.derivation.portability import watch_unsaved_buffers
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import SettingError
from snas_nni.one_shot.evidence.batches import Batches, held_out
from snas_nni.one_shot.evidence.comparing import Accept
from snas_nni.one_shot.evidence.settling import Settling
from snas_nni.one_shot.learning_rate import derived_learning_rate, settling_learning_rate, steps_in
from snas_nni.one_shot.loop.checkpoint import LoopCheckpoint
from snas_nni.one_shot.loop.judgment import JudgedModule, Judgment
from snas_nni.one_shot.loop.regularization import Regularization
from snas_nni.one_shot.loop.step import SearchStep
from snas_nni.one_shot.optimizers import logits_optimizer, without_parameters
from snas_nni.one_shot.progress import Position, is_settling, is_warming_up, temperature_now
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.regularizer import Regularizer
from snas_nni.resources.child_selection import ChildSelection
from snas_nni.resources.cost_source import CostSource

__all__ = ["Judgment", "SearchLoop"]


class SearchLoop:
    """A search whose loop is the user's own; :meth:`snas_nni.SNAS.loop` makes it.

    Iterating it gives the epochs. For each batch, the supernet runs inside :meth:`sample`, and :meth:`step` does the
    rest: penalty or budget, one backward pass, both optimizers. The temperature falls, the logits warm up and the
    search settles by the settings of the strategy. Outside the loop the supernet runs as its most probable child;
    inside :meth:`child` as the one that would be derived now.

    Args:
        supernet: that the strategy made.
        optimizer: of the weights. The logits have one of their own.
        train: batches; its length is that of an epoch.
        epochs: of the whole search, at least 1.
        distribution: of the search.
        settings: of the search.
        seed: of what loaders draw while children are compared.
        regularizers: terms added to the loss.
        count_costs: gets a batch, returns the costs of the space.
        selection: the children that come into question.
        accept: is asked about the children that are compared; see :class:`~snas_nni.SNAS`.
        validation: held-out batches, on which children are compared before the search settles.
        judge: says what the supernet reaches on one of these.
        costs: where the costs come from; what is measured of them belongs to a checkpoint.

    Attributes:
        metrics: numbers of the last epoch: entropies, probabilities, credits, those of the budget.
        training_module: holds the supernet.

    Raises:
        SettingError: nobody knows how many batches an epoch has, or a setting needs Lightning's loop.
    """

    def __init__(
        self,
        supernet: ModelSpace,
        optimizer: torch.optim.Optimizer,
        train: Any,
        epochs: int,
        *,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        seed: int,
        regularizers: Sequence[Regularizer],
        count_costs: Callable[[Any], CostModel],
        selection: ChildSelection,
        accept: Accept | None = None,
        validation: Any = None,
        judge: Judgment | None = None,
        costs: CostSource | None = None,
    ) -> None:
        _refuse_lightnings(settings)
        if epochs < 1:
            raise SettingError(f"epochs must be at least 1, got {epochs}.")
        if (validation is None) != (judge is None):
            raise SettingError("validation and judge go together: held-out batches, and what is reached on one.")
        try:
            batches = len(train)
        except TypeError as error:
            raise SettingError("train does not say how many batches an epoch has: give it a length.") from error
        self.supernet = supernet
        self.optimizer = without_parameters(optimizer, distribution.parameters())
        self.distribution = distribution
        self.settings = settings
        self.seed = seed
        self.settling = Settling(distribution, selection, settings, seed, accept)
        self.training_module = JudgedModule(supernet, judge)
        self.metrics: dict[str, float] = {}
        self._selection = selection
        self.regularization = Regularization(regularizers, count_costs)
        self.search_step = SearchStep(distribution, settings, self.regularization, selection, costs)
        self._train, self._validation = train, validation
        self._position = Position(0, epochs, -1, batches)
        temperature_now(self._position, settings)  # refuses a search in which no epoch is left
        rate = settings.logits_learning_rate
        self.logits_optimizer = logits_optimizer(
            distribution, settings, derived_learning_rate(steps_in(epochs, batches, settings)) if rate is None else rate
        )
        self.costs = costs
        self._running: Sample | None = None
        self._begun = False
        self._checkpoint = LoopCheckpoint(self, train)

    def state_dict(self) -> dict[str, Any]:
        """What a file keeps of the search after an epoch, all random states included.

        Call it last in the body of the loop, write it with ``torch.save``, read it with
        ``torch.load(file, weights_only=True)``, and give it to :meth:`load_state_dict` of a new search of the same
        settings, which then goes on as if it had not been cut. What you have beside the search, such as a scheduler
        of the learning rate, has a ``state_dict`` of its own.

        Raises:
            SettingError: an epoch has begun and is not over.
        """
        return self._checkpoint.state_dict(self._epochs_done(), self._epoch_metrics())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another search was when its :meth:`state_dict` was asked for.

        Args:
            state: what that returned.

        Raises:
            SettingError: this search has begun already, or is not as long.
            SnasError: the state is not of a search of this space, with such an optimizer.
        """
        if self._begun:
            raise SettingError("this search has begun: load the state into a new one, strategy.loop(...).")
        done = self._checkpoint.load_state_dict(state)
        if done > (self._position.epochs or 0):
            raise SettingError(f"the state is of a search after {done} epochs; this one has {self._position.epochs}.")
        if done:
            batches = self._position.batches
            self._position = Position(done - 1, self._position.epochs, int(batches) - 1, batches)

    def __iter__(self) -> Iterator[int]:
        """Give the epochs, counted from 0; settles on a child when it is time to.

        Raises:
            SettingError: the search is over, or what ``judge`` returns cannot be compared.
        """
        epochs, batches = self._position.epochs or 0, self._position.batches
        if self._begun:
            raise SettingError("this search has run: make another one with strategy.loop(...).")
        self._begun = True
        with ExitStack() as undo:
            device = next(self.supernet.parameters()).device.type
            undo.callback(
                use_fast_kernels_in_training(self.supernet, self.supernet, device, self.settings.channels_last)
            )
            undo.callback(watch_unsaved_buffers(self.supernet).remove)
            self._checkpoint.begin()
            for epoch in range(self._epochs_done(), epochs):
                self._position = Position(epoch, epochs, -1, batches)
                self.search_step.begin_epoch(self._position)
                if self.settled and self.settling.chosen is None:
                    self.settling.choose(self.training_module, self.held_out_batches(), self.recalibration_batches())
                self.supernet.train()
                yield epoch
                self.metrics = self._epoch_metrics()

    def _epochs_done(self) -> int:
        place = self._position
        if 0 <= place.batch < place.batches - 1:
            raise SettingError("an epoch has begun: ask for the state after its last batch.")
        return place.epoch + (place.batch + 1 >= place.batches)

    def _epoch_metrics(self) -> dict[str, float]:
        """The numbers of the epoch; those of the last one, if they were asked for before."""
        found = self.search_step.telemetry.end(self._position.epoch, self.temperature, self.resting)
        return {**(self.metrics if found is None else found), **self.regularization.metrics(self.distribution)}

    @contextmanager
    def sample(self, batch: Any) -> Iterator[Sample]:
        """Run the supernet with one sample inside a ``with`` block, in which :meth:`step` is called once.

        Args:
            batch: its inputs, or the batch that begins with them: costs are counted on the first example of the first.

        Raises:
            SettingError: the block did not call :meth:`step`.
        """
        self.search_step.prepare(batch)
        place = self._position
        self._position = Position(place.epoch, place.epochs, place.batch + 1, place.batches)
        drawn = self._child() if self.settled else self.search_step.draw(self.temperature)
        self._running = drawn
        try:
            with self.distribution.use(drawn), self.search_step.skips(self._position):
                yield drawn
            if self._running is not None:
                raise SettingError("nothing was learned from this sample: call search.step(loss) inside the block.")
        finally:
            self._running = None

    def step(self, loss: Tensor) -> float:
        """Learn from a batch: add penalty and budget to the loss, send one backward pass, let both optimizers step.

        Args:
            loss: of the task, a scalar, computed inside :meth:`sample`.

        Returns:
            The loss with everything added.

        Raises:
            SettingError: there is no sample, or it has had its step.
            NotFiniteError: the loss is not.
        """
        sample, position, settings = self._running, self._position, self.settings
        if sample is None:
            raise SettingError("a step belongs to a sample: call it once inside `with search.sample(batch):`.")
        self._running = None
        total, terms = self.search_step.total(loss, sample, self.settled)
        value = self.search_step.read(total)
        self.search_step.watch(value, sample, terms, position.epoch, self.temperature)
        (total / settings.accumulate_batches).backward()  # type: ignore[no-untyped-call]
        if self.search_step.is_due(position.batch, position.batch + 1 >= position.batches):
            if settings.weights_gradient_clip is not None:
                weights = [each for group in self.optimizer.param_groups for each in group["params"]]
                nn.utils.clip_grad_norm_(weights, settings.weights_gradient_clip)
            with settling_learning_rate(self.optimizer, position, settings):
                self.optimizer.step()
            if not self.resting:
                self.search_step.step_logits(self.logits_optimizer)
            self.optimizer.zero_grad()
            self.logits_optimizer.zero_grad()
        self.search_step.number += 1
        return value

    def child(self) -> AbstractContextManager[Sample]:
        """Run the supernet as the child that would be derived now, inside a ``with`` block."""
        return self.distribution.use(self._child())

    def held_out_batches(self) -> list[Batches]:
        """The batches that children are compared on; none without ``validation``."""
        return [] if self._validation is None else [held_out(self._validation, self.settings.selection_share)]

    def recalibration_batches(self) -> Batches | None:
        """The training batches that a child's BatchNorm statistics are measured on; None for none."""
        count = self.settings.recalibration_batches
        return Batches(self._train, count) if count else None

    def _child(self) -> Sample:
        return self.distribution.one_hot_sample(self.settling.chosen or self._selection.current())

    @property
    def temperature(self) -> float:
        """The temperature of the current step."""
        return temperature_now(self._position, self.settings)

    @property
    def settled(self) -> bool:
        """Whether one child is trained alone now."""
        return is_settling(self._position, self.settings)

    @property
    def resting(self) -> bool:
        """Whether the logits do not move: while warming up, and once one child is trained alone."""
        return is_warming_up(self._position, self.settings) or self.settled


def _refuse_lightnings(settings: SearchSettings) -> None:
    """Refuse what only Lightning's loop does, where it would be without effect."""
    for name, wanted in (
        ("bilevel", False),
        ("samples_per_step", 1),
        ("spread_samples", False),
        ("judge_epochs", 0),
        ("initial_logits", "random"),
    ):
        if getattr(settings, name) != wanted:
            raise SettingError(
                f"{name} is {getattr(settings, name)}, but a loop of one's own runs one sample on one batch. Leave it "
                "out, or run the strategy in an NNI experiment."
            )
