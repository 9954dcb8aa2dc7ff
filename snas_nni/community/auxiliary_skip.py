"""An auxiliary skip beside every choice, which fades: how much of its input each one adds to its output.

Source: Chu et al., DARTS-: Robustly Stepping out of Performance Collapse Without Indicators (ICLR 2021, arXiv
2009.01027): an edge gives b x + sum_k Z^k O^k(x), and b decays to 0 over the search. A skip among the candidates then
has to win as an operation, not because it lets gradients through an untrained network.

Here b falls linearly, and is exactly 0 before one child trains alone: the child has no such skip. Validation never has
it either, so what it shows while b is large is low: it is of networks that nobody trains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from snas_nni.ranges import require

__all__ = ["AuxiliarySkip"]


@dataclass(frozen=True)
class AuxiliarySkip:
    """How large b is at each moment: initial * max(0, 1 - progress / gone_at).

    Args:
        initial: b at the first step, at least 0; 0 for no such skip.
        gone_at: the share of the steps after which it is 0, in (0, 1].

    Raises:
        SettingError: a value outside its range.

    Examples:
        >>> skip = AuxiliarySkip(initial=0.3, gone_at=0.6)
        >>> [round(skip(progress), 3) for progress in (0, 0.3, 0.6, 1)]
        [0.3, 0.15, 0.0, 0.0]
    """

    initial: float = 0.0
    gone_at: float = 0.6

    def __post_init__(self) -> None:
        require("auxiliary_skip", self.initial, at_least=0, below=math.inf)
        require("auxiliary_skip_gone_at", self.gone_at, above=0, at_most=1)

    def __call__(self, progress: float) -> float:
        """The factor b.

        Args:
            progress: the share of the steps before settling that are done, in [0, 1].
        """
        return self.initial * (1 - progress / self.gone_at) if progress < self.gone_at else 0.0
