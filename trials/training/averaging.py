"""A moving average of the weights, which is what a training ends with."""

from __future__ import annotations

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

__all__ = ["AveragedWeights", "averaging_decay"]


def averaging_decay(decay: float, steps: int) -> float:
    """Return the decay after so many steps: it grows to ``decay``, so that short trainings have a mean too."""
    return min(decay, (1 + steps) / (10 + steps))


class AveragedWeights(WeightAveraging):
    """Lightning's average of weights and BatchNorm statistics, which validation sees and the child becomes.

    Args:
        decay: largest share of the average that stays at a step, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        def mean(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not average.is_floating_point():
                return current  # a count of batches
            return average.lerp(current, 1 - averaging_decay(decay, int(steps)))

        super().__init__(avg_fn=mean)
