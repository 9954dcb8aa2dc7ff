"""What a search remembers during an epoch, to say at its end how the epoch went."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from snas_nni.distribution import ArchitectureDistribution
from snas_nni.sample import Sample
from snas_nni.telemetry import CreditMeter, logit_movement, search_metrics

__all__ = ["EpochTelemetry"]

_logger = logging.getLogger(__name__)


class EpochTelemetry:
    """Losses, credits and where the logits were when the epoch began.

    Args:
        distribution: of the search.
    """

    def __init__(self, distribution: ArchitectureDistribution) -> None:
        self._distribution = distribution
        self._credit = CreditMeter()
        self._losses: list[float] = []
        self._logged_epoch = -1
        self._logits_before: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Start an epoch."""
        self._losses = []
        self._credit.reset()
        with torch.no_grad():
            self._logits_before = {
                label: torch.log_softmax(self._distribution.rows_of(label), -1) for label in self._distribution.choices
            }

    def watch(self, loss: float, sample: Sample, read: Iterable[Mapping[str, Tensor]]) -> None:
        """Note a step, between its forward and its backward pass.

        Args:
            loss: with all regularizers.
            sample: the Z of the step.
            read: for each regularizer, the weights that it read by label, shape ``(K,)`` each.
        """
        if not self._logits_before:  # a search that goes on within an epoch, from a checkpoint without this state
            self.begin()
        self._losses.append(loss)
        self._credit.watch(sample, read)

    def end(self, epoch: int, temperature: float, warming_up: bool) -> dict[str, float] | None:
        """Return the epoch's metrics; None if it had no step or was asked before.

        Args:
            epoch: counted from 0.
            temperature: of the epoch's last step.
            warming_up: the logits are frozen, so that none is expected to move.
        """
        if epoch == self._logged_epoch or not self._losses:
            return None
        self._logged_epoch = epoch
        metrics = {"search/temperature": temperature, **search_metrics(self._distribution)}
        metrics["search/logit_movement"] = logit_movement(self._logits_before, self._distribution)
        metrics["search/loss"] = sum(self._losses) / len(self._losses)
        metrics.update(self._credit.metrics())
        if not warming_up and metrics["search/logit_movement"] == 0.0:
            _logger.warning(
                "epoch %d: no logit moved. Nothing is being searched: check that the loss depends on the choices.",
                epoch,
            )
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; plain values and tensors."""
        return {
            "losses": list(self._losses),
            "credit": self._credit.state_dict(),
            "logged_epoch": self._logged_epoch,
            # NNI's labels are a class of their own, which a file that executes nothing must not name.
            "logits_before": {str(label): rows for label, rows in self._logits_before.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._losses = list(state["losses"])
        self._credit.load_state_dict(state["credit"])
        self._logged_epoch = state["logged_epoch"]
        self._logits_before = dict(state["logits_before"])
