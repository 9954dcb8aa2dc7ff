"""A supernet at the probabilities of its candidates: all of them run, and nothing is drawn."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import nn

from snas_nni.derivation.recalibration import own_statistics
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution

__all__ = ["ExpectedNetwork"]


class ExpectedNetwork(nn.Module):
    """Runs a copy of a supernet at Z = E[Z], the probabilities that its distribution has when this is made.

    What the supernet's weights were trained for, without the noise of the draws; where the distribution is certain, it
    is the child.

    Attributes:
        child_module: name of the module whose names are those of a child.

    Args:
        supernet: of a search; it is copied, and the copy follows it no further.
        distribution: of the supernet.
        batches: inputs to measure BatchNorm statistics of this Z on, in place of those of everything that was drawn;
            none for those.
    """

    def __init__(
        self, supernet: nn.Module, distribution: ArchitectureDistribution, batches: Iterable[Any] = ()
    ) -> None:
        super().__init__()
        self.child_module = ".".join(filter(None, ("supernet", getattr(supernet, "child_module", ""))))
        self.supernet = copy.deepcopy(supernet).eval()
        self._distribution = [distribution]  # in a list, so that it is no part of this module
        self._sample = distribution.expected_sample()
        batches = list(batches)
        if batches:
            own_statistics(self.supernet, self.forward, batches)

    def forward(self, *inputs: Any) -> Any:
        """Return the supernet's outputs."""
        device = next((each.device for each in self.supernet.parameters()), None)
        if device is not None:
            self._sample = self._sample.to(device)
        with self._distribution[0].use(self._sample):
            return self.supernet(*inputs)
