"""What children reach in a loop of one's own: the user's function, where Lightning has a validation step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from snas_nni.errors import SnasError

__all__ = ["JudgedModule", "Judgment"]

Judgment = Callable[[Any], Any]
"""Gets a held-out batch, runs the supernet on it, and returns what the child reaches, the larger the better: a number
or a scalar tensor, the mean over the batch; or several by name, of which ``selection_metric`` names the one that
decides."""


class JudgedModule(nn.Module):
    """Holds the supernet where Lightning's loop has the evaluator's module, for those who compare children."""

    def __init__(self, supernet: nn.Module, judge: Judgment | None) -> None:
        super().__init__()
        self.supernet = supernet
        self._judge = judge

    def validation_step(self, batch: Any, index: int, *_: Any) -> None:
        """Log what is reached on a batch."""
        if self._judge is None:
            raise SnasError("children are compared by what judge returns: give it to strategy.loop(...).")
        found = self._judge(batch)
        self.log_dict(found if isinstance(found, Mapping) else {"val_acc": found})

    def log_dict(self, metrics: Mapping[str, Any]) -> None:
        """Nobody listens."""
