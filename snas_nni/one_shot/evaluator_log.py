"""The evaluator's logging, led through the search so that it may run one step twice under two names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torchmetrics import Metric

__all__ = ["EvaluatorLog"]


class EvaluatorLog:
    """Passes what the evaluator logs on to the search's Lightning module.

    Args:
        module: the search's.
    """

    def __init__(self, module: Any) -> None:
        # In a tuple, because Lightning would take a module held by an attribute for a part of this one's owner.
        self._owner = (module,)
        self._prefix = ""

    def attach(self, training_module: Any) -> None:
        """Redirect the evaluator's ``log`` and ``log_dict``."""
        training_module.log = self.log
        training_module.log_dict = self.log_dict

    def log(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Stand in for the evaluator's ``log``."""
        if self._prefix and isinstance(value, Metric):
            value = value.compute()  # the object itself belongs to the child's pass
        self._owner[0].log(self._prefix + name, value, *args, **kwargs)

    def log_dict(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Stand in for the evaluator's ``log_dict``."""
        for name, value in metrics.items():
            self.log(name, value, *args, **kwargs)

    @contextmanager
    def under(self, prefix: str) -> Iterator[None]:
        """Log under ``prefix`` inside a ``with`` block."""
        self._prefix = prefix
        try:
            yield
        finally:
            self._prefix = ""
