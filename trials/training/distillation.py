"""Learning from another network: its softened outputs beside the labels (Hinton et al., 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snas_nni.supernet.evaluating import suited
from trials.training.features import Features, watching

__all__ = ["Distillation", "soft_cross_entropy"]


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the divergence of a network's softened outputs from its teacher's, in nats, a scalar.

    It is T^2 KL(softmax(t / T) || softmax(s / T)), the mean over the batch. The factor keeps its gradient as large as
    that of the labels whatever the temperature (section 2 of the paper). It is 0 where both agree.

    Args:
        logits: of the network, shape ``(B, classes)``.
        teacher: of the teacher, the same shape.
        temperature: T, above 0.
    """
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    log_student = functional.log_softmax(logits / temperature, dim=1)
    divergence = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


@dataclass(eq=False)
class Distillation:
    """A teacher and how much it counts.

    No module: a teacher is not trained, and no part of checkpoints.

    Attributes:
        teacher: maps inputs to logits ``(B, classes)``, or to a tuple that begins with them.
        weight: of the teacher in the loss, in [0, 1]; the labels have the rest.
        temperature: above 0.
        features: modules that learn from the teacher's too; None for none.
    """

    teacher: nn.Module
    weight: float
    temperature: float
    features: Features | None = None

    def watching(self, network: nn.Module) -> AbstractContextManager[dict[str, Any]]:
        """Collect in a ``with`` block what :meth:`__call__` compares of the network that runs in it."""
        return watching(network, self.features.pairs if self.features else ())

    def __call__(
        self, loss: Tensor, inputs: Tensor, logits: Tensor, features: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Return (1 - weight) times the loss of the labels plus weight times that of the teacher, plus the features'.

        Args:
            loss: of the labels, a scalar.
            inputs: of the batch, shape ``(B, *input_shape)``.
            logits: of the network for them, shape ``(B, classes)``.
            features: what :meth:`watching` collected of the network.
        """
        self.teacher.to(inputs.device).eval()
        names = self.features.pairs.values() if self.features else ()
        with torch.no_grad(), watching(self.teacher, names) as shown:
            output = self.teacher(suited(inputs, self.teacher))
        taught = (output[0] if isinstance(output, tuple) else output).to(logits.dtype)
        total = (1 - self.weight) * loss + self.weight * soft_cross_entropy(logits, taught, self.temperature)
        hint = self.features.loss(features or {}, shown) if self.features else None
        return total if hint is None else total + hint
