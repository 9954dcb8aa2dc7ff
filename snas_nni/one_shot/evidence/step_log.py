"""What a Lightning module logs in steps that are run by hand, without a Trainer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torchmetrics import Metric

__all__ = ["StepLog"]


class StepLog:
    """Stands in for a module's ``log`` and takes means over examples.

    Args:
        module: whose steps are run.

    Attributes:
        examples: of the batch that is run, where the module does not say it.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.examples = 1
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._metrics: dict[str, Metric] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Get what the module logs inside a ``with`` block."""
        own = {name: vars(self._module).get(name) for name in ("log", "log_dict")}
        self._module.log, self._module.log_dict = self.log, self.log_dict
        try:
            yield
        finally:
            for name, value in own.items():
                if value is None:
                    delattr(self._module, name)
                else:
                    setattr(self._module, name, value)

    def log(self, name: str, value: Any, *_: Any, batch_size: int | None = None, **__: Any) -> None:
        """Stand in for the module's ``log``."""
        if isinstance(value, Metric):
            self._metrics[name] = value
            return
        examples = self.examples if batch_size is None else batch_size
        self._sums[name] += float(value) * examples
        self._counts[name] += examples

    def log_dict(self, metrics: Mapping[str, Any], *arguments: Any, **more: Any) -> None:
        """Stand in for the module's ``log_dict``."""
        for name, value in metrics.items():
            self.log(name, value, *arguments, **more)

    def means(self) -> dict[str, float]:
        """Return what was logged: means over examples, and what torchmetrics objects make of all batches."""
        means = {name: total / max(1, self._counts[name]) for name, total in self._sums.items()}
        return {**means, **{name: float(metric.compute()) for name, metric in self._metrics.items()}}
