"""What a search remembers during an epoch and shows at its end: one flat dictionary of numbers."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.concrete import entropy
from snas_nni.distribution.operation_names import SKIP_NAMES, ZERO_NAMES
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import Sample
from snas_nni.regularizer import RegularizerTerm
from snas_nni.resources.reach import reach_probabilities

__all__ = ["CreditMeter", "EpochTelemetry", "logit_movement", "search_metrics"]


def search_metrics(
    distribution: ArchitectureDistribution, reach: Mapping[str, Polynomial] | None = None
) -> dict[str, float]:
    """Describe the architecture distribution.

    Args:
        distribution: of the search.
        reach: when a child has the choice of a label, for those that not every child has.

    Returns:
        ``search/entropy``: of the children, in nats: each label's entropy times the probability that a child has the
        choice; ``search/entropy_share``: as a share of what it would be if all candidates of a label were as probable;
        ``search/zero_share`` and ``search/skip_share``: mean probability of the zero operation and of the skip,
        over the labels that have one; ``search/top2_gap``: mean difference between the two largest probabilities
        of a row; ``entropy/<label>``: entropy of each label in nats; ``probability/<label>/<candidate>``: probability
        of each candidate to be in the child.
    """
    entropies: dict[str, float] = {}
    each: dict[str, float] = {}
    total = largest = 0.0
    gaps: list[Tensor] = []
    shares: dict[str, list[float]] = {"zero": [], "skip": []}
    with torch.no_grad():
        had = reach_probabilities(reach or {}, distribution)
        for label, choice in distribution.choices.items():
            rows = distribution.rows_of(label)
            entropies[f"entropy/{label}"] = float(entropy(rows).sum())
            total += had.get(label, 1.0) * entropies[f"entropy/{label}"]
            open_rows = distribution.exclude_in(label, torch.zeros_like(rows))
            largest += had.get(label, 1.0) * float(entropy(open_rows).sum())
            if rows.shape[-1] > 1:
                top = torch.softmax(rows, -1).topk(2, dim=-1).values
                gaps.append(top[:, 0] - top[:, 1])
            probabilities = distribution.expected_weights(label).tolist()
            for candidate, probability in zip(choice.candidates, probabilities, strict=True):
                each[f"probability/{label}/{candidate}"] = probability
            for kind, names in (("zero", ZERO_NAMES), ("skip", SKIP_NAMES)):
                found = [k for k, candidate in enumerate(choice.candidates) if candidate in names]
                if found:
                    shares[kind].append(sum(probabilities[k] for k in found))
    metrics = {
        "search/entropy": total,
        "search/entropy_share": total / largest if largest else 0.0,
        "search/top2_gap": float(torch.cat(gaps).mean()) if gaps else 1.0,
    }
    for kind, values in shares.items():
        if values:
            metrics[f"search/{kind}_share"] = sum(values) / len(values)
    return {**metrics, **entropies, **each}


def logit_movement(before: dict[str, Tensor], distribution: ArchitectureDistribution) -> float:
    """Root mean square change of the log-probabilities since ``before`` (which has log-softmax rows by label).

    Of the categories that are not excluded, as if they had been excluded before too.
    """
    with torch.no_grad():
        changes = []
        for label, rows in before.items():
            now = torch.log_softmax(distribution.rows_of(label), -1)
            then = rows
            if label in distribution.excluded:
                then = torch.log_softmax(distribution.exclude_in(label, rows), -1)
            changes.append((now - then)[now.isfinite()])
        return float(torch.cat(changes).square().mean().sqrt())


class CreditMeter:
    """Splits what the loss expects of each label into its task part and its cost part, without a backward of its own.

    The credit of a label is sum_k Z^k dL/dZ^k, the first-order change of the loss when its output is switched off
    (paper, section 2.3; a positive number says that the loss would fall). It is read from the gradients that the
    step's one backward pass leaves at Z and at the weights that the regularizers read.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._steps = 0

    def watch(self, sample: Sample, terms: Iterable[RegularizerTerm]) -> None:
        """Call between forward and backward.

        Args:
            sample: the Z of the step.
            terms: of the regularizers.
        """
        self._steps += 1
        for label, weights in sample.weights.items():
            self._hook("total", label, weights)
        through_sample: dict[Tensor, str] = {}  # several terms may read the same weights, whose gradient is one
        for term in terms:
            for label, weights in term.read.items():
                if term.through_sample:
                    through_sample[weights] = label
                else:
                    self._hook("cost", label, weights)
        for weights, label in through_sample.items():
            self._hook("cost", label, weights)
            self._hook("cost_through_sample", label, weights)

    def _hook(self, part: str, label: str, weights: Tensor) -> None:
        if weights.requires_grad:
            weights.register_hook(partial(self._add, (part, label), weights.detach()))  # type: ignore[no-untyped-call]

    def _add(self, key: tuple[str, str], weights: Tensor, gradient: Tensor) -> None:
        credit = (weights * gradient.detach()).sum()
        self._sums[key] = self._sums[key] + credit if key in self._sums else credit

    def metrics(self) -> dict[str, float]:
        """``credit/task/<label>`` and, where there is one, ``credit/cost/<label>``: means over the steps."""
        found: dict[str, float] = {}
        sums: dict[tuple[str, str], float] = defaultdict(float, {k: float(v) for k, v in self._sums.items()})
        for part, label in self._sums:
            if part == "total":
                task = sums["total", label] - sums["cost_through_sample", label]
                found[f"credit/task/{label}"] = task / max(1, self._steps)
            elif part == "cost":
                found[f"credit/cost/{label}"] = sums["cost", label] / max(1, self._steps)
        return found

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the sums of this epoch's steps so far."""
        return {
            "steps": self._steps,
            "sums": [[part, str(label), value] for (part, label), value in self._sums.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._steps = state["steps"]
        self._sums = {(part, label): value for part, label, value in state["sums"]}


_logger = logging.getLogger(__name__)


class EpochTelemetry:
    """Losses, credits and where the logits were when the epoch began.

    Args:
        distribution: of the search.

    Attributes:
        reach: when a child has the choice of a label, for those that not every child has; None: not looked at yet.
    """

    reach: Mapping[str, Polynomial] | None = None

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

    def watch(self, loss: float, sample: Sample, terms: Iterable[RegularizerTerm]) -> None:
        """Note a step, between its forward and its backward pass.

        Args:
            loss: with all regularizers.
            sample: the Z of the step.
            terms: of the regularizers.
        """
        if not self._logits_before:  # a search that goes on within an epoch, from a checkpoint without this state
            self.begin()
        self._losses.append(loss)
        self._credit.watch(sample, terms)

    def end(self, epoch: int, temperature: float, resting: bool) -> dict[str, float] | None:
        """Return the epoch's metrics; None if it had no step or was asked before.

        Args:
            epoch: counted from 0.
            temperature: of the epoch's last step.
            resting: the logits are frozen, so that none is expected to move.
        """
        if epoch == self._logged_epoch or not self._losses:
            return None
        self._logged_epoch = epoch
        metrics = {"search/temperature": temperature, **search_metrics(self._distribution, self.reach)}
        metrics["search/logit_movement"] = logit_movement(self._logits_before, self._distribution)
        metrics["search/loss"] = sum(self._losses) / len(self._losses)
        metrics.update(self._credit.metrics())
        if not (resting or self._distribution.is_decided) and metrics["search/logit_movement"] == 0.0:
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
