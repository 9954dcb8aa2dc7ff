"""Sums of what was logged in an epoch so far, so that the means of an epoch that was cut are those of a whole one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["PartialMeans"]


class PartialMeans:
    """Reads and completes the running sums behind Lightning's ``log(..., on_epoch=True)``.

    Lightning has no public way to them. They are added back after the first step of the resumed epoch, because only
    then does Lightning know the names; addition of two numbers commutes, so the sums are equal to the bit.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, Tensor]] = {}

    @staticmethod
    def state_dict(trainer: Any) -> dict[str, dict[str, Tensor]]:
        """Return ``{key: {"value": sum, "count": number of examples}}`` of the epoch's training steps."""
        found: dict[str, dict[str, Tensor]] = {}
        for key, result in trainer.fit_loop.epoch_loop._results.items():
            if result.is_tensor and result.meta.on_epoch and not result.has_reset:
                found[str(key)] = {"value": result.value.detach().clone()}
                if result.meta.is_mean_reduction:
                    found[str(key)]["count"] = result.cumulated_batch_size.clone()
        return found

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Remember sums until :meth:`complete`."""
        self._sums = dict(state)

    def complete(self, trainer: Any) -> None:
        """Add the remembered sums to those of the step that was just logged."""
        results = trainer.fit_loop.epoch_loop._results
        for key in [key for key in self._sums if key in results and not results[key].has_reset]:
            saved, result = self._sums.pop(key), results[key]
            value = saved["value"].to(result.value.device)
            if result.meta.is_max_reduction or result.meta.is_min_reduction:
                result.value = result.meta.reduce_fx(result.value, value)
            else:
                result.value = result.value + value
            if result.meta.is_mean_reduction:
                result.cumulated_batch_size = result.cumulated_batch_size + saved["count"].to(value.device)
            result._computed = None
