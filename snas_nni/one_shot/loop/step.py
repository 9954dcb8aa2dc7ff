"""What every step of a search does, whichever loop runs it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import NotFiniteError, SettingError
from snas_nni.one_shot.distributed import broadcast_from_rank_zero
from snas_nni.one_shot.loop.regularization import Regularization
from snas_nni.one_shot.progress import Position, annealing_progress, searching_progress
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.one_shot.telemetry import EpochTelemetry
from snas_nni.regularizer import RegularizerTerm
from snas_nni.resources.child_selection import ChildSelection
from snas_nni.resources.cost_source import CostSource

__all__ = ["SearchStep"]

_logger = logging.getLogger(__name__)


class SearchStep:
    """One batch, one sample, one backward pass, both optimizers (paper, sections 2.2 and 2.3).

    A loop draws a sample, runs the supernet with it, gives the task's loss to :meth:`total`, says with :meth:`watch`
    that it goes on with that, sends one backward pass through it, and lets both optimizers step.

    Args:
        distribution: of the search.
        settings: of the search.
        regularization: the terms that join the loss.
        selection: the children that come into question, which a step may be drawn from.
        costs: tells when a child has a choice; None: every child has all of them.

    Attributes:
        number: steps that are done.
        telemetry: what the epoch's steps showed.
    """

    def __init__(
        self,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        regularization: Regularization,
        selection: ChildSelection,
        costs: CostSource | None = None,
    ) -> None:
        self.number = 0
        self.telemetry = EpochTelemetry(distribution)
        self._distribution = distribution
        self._settings = settings
        self._regularization = regularization
        self._selection = selection
        self._costs = costs

    def prepare(self, batch: Any) -> None:
        """Learn from a training batch what the terms ask for, and which choices a child may not have; once."""
        self._regularization.prepare(batch)
        if self.telemetry.reach is None:
            self.telemetry.reach = {} if self._costs is None else self._costs.reach(batch)

    def begin_epoch(self, position: Position) -> None:
        """Drop the candidates that are due, and remember where the logits are; before the epoch's first step."""
        dropping = self._settings.dropping
        if dropping.keep is not None:
            before = self._distribution.excluded
            progress = annealing_progress(position, self._settings)
            excluded = broadcast_from_rank_zero(
                dropping.excluded(self._distribution, progress, self._selection.current)
            )
            if excluded != before:
                self._distribution.exclude(excluded)
                count = sum(map(len, excluded.values()))
                _logger.info("epoch %d: %d candidates are excluded from here on", position.epoch, count)
        self.telemetry.begin()

    @contextmanager
    def skips(self, position: Position) -> Iterator[None]:
        """Let choices have their auxiliary skip, as large as it is now, inside a ``with`` block: a step's passes.

        Raises:
            SettingError: no choice can have one.
        """
        factor = self._settings.auxiliary(searching_progress(position, self._settings))
        current = self._distribution.current
        with current.adding_skips(factor):
            yield
            if factor and not current.skips_added:
                raise SettingError(
                    "auxiliary_skip: no choice of operations in this space returns what has the shape of its input, so "
                    "there is nothing to add. Leave it at 0."
                )

    def draw(self, temperature: float) -> Sample:
        """Draw the sample of a step, as the settings, the budget or the sweep want it drawn."""
        return self._selection.draw(partial(self.draw_freely, temperature))

    def draw_freely(self, temperature: float, generator: torch.Generator | None = None) -> Sample:
        """Draw a sample as the settings want it, whatever the budget says; with another generator than the search's."""
        if self._settings.sampling == "single_path":
            return self._distribution.draw_single_path(temperature, generator)
        return self._distribution.draw(temperature, generator)

    def total(self, loss: Tensor, sample: Sample, settled: bool) -> tuple[Tensor, list[tuple[str, RegularizerTerm]]]:
        """Add the terms to the loss; once the search has settled there are none.

        Args:
            loss: of the task, a scalar.
            sample: that the supernet ran with.
            settled: whether one child is trained alone.

        Returns:
            The scalar for the backward pass, and the terms with their names.
        """
        terms = [] if settled else self._regularization.terms(self._distribution, sample, self.number)
        return loss + sum(term.value for _, term in terms), terms

    def read(self, total: Tensor) -> float:
        """Return the number of the loss with all terms, which is all that a step reads beside its sample."""
        return self._regularization.read(total)

    def watch(
        self, value: float, sample: Sample, terms: Sequence[tuple[str, RegularizerTerm]], epoch: int, temperature: float
    ) -> None:
        """Note a step between its forward and its backward pass.

        Args:
            value: of the loss with all terms.
            sample: that the supernet ran with.
            terms: of the step.
            epoch: counted from 0.
            temperature: of the step.

        Raises:
            NotFiniteError: the loss is not.
        """
        if not math.isfinite(value):
            early = "" if self.number > 1 else "Is there a NaN or infinite number in the data? "
            raise NotFiniteError(
                f"the loss is {value} at step {self.number} (epoch {epoch}, temperature {temperature:.3g}). {early}"
                "Try a lower learning rate of the weights, a smaller weights_gradient_clip, or a higher final "
                "temperature; the last checkpoint is from before this step."
            )
        self.telemetry.watch(value, sample, [term for _, term in terms])

    def is_due(self, batch: int, is_last: bool) -> bool:
        """Whether the optimizers step now: the gradients of as many batches as one step takes are there.

        Args:
            batch: of the epoch, counted from 0.
            is_last: of the epoch.
        """
        return is_last or (batch + 1) % self._settings.accumulate_batches == 0

    def step_logits(self, optimizer: Any) -> None:
        """Clip the gradient of the logits and let their optimizer step."""
        if self._settings.logits_gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._distribution.parameters(), self._settings.logits_gradient_clip)
        optimizer.step()
