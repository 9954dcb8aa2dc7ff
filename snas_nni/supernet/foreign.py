"""Lets supernet modules that were written for NNI's DARTS read this project's one sample.

NNI's hooks take their logits from ``memo[label]`` and weigh candidates by ``softmax(logits)``. Handing them the
logits of the distribution and, in place of a softmax, a look-up of the running sample makes them draw nothing.
"""

from __future__ import annotations

from collections import UserDict
from typing import Any

import torch
from torch import Tensor, nn

from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import ChoiceReader

__all__ = ["ForeignMemo", "SampledSoftmax"]


class ForeignMemo(UserDict[str, Any]):
    """A memo in which every label of the space is found, as its trainable logits.

    Looking a label up binds it: the hook that asked is going to use it.
    """

    def __init__(self, distribution: ArchitectureDistribution, memo: dict[str, Any]) -> None:
        super().__init__()
        self.data = memo
        self.distribution = distribution
        self.readers: dict[nn.Parameter, ChoiceReader] = {}

    def __contains__(self, key: object) -> bool:
        return key in self.data or key in self.distribution.choices

    def __getitem__(self, key: str) -> Any:
        if key in self.data:
            return self.data[key]
        logits = self.distribution.logits_of(key)
        if logits not in self.readers:
            self.readers[logits] = self.distribution.bind(key)
        return logits


class SampledSoftmax(nn.Module):
    """Called like a softmax on logits, returns their weights in the running sample, shape ``(K,)``."""

    def __init__(self, memo: ForeignMemo) -> None:
        super().__init__()
        self._memo = memo

    def forward(self, logits: Tensor) -> Tensor:
        """Weights of the label whose logits these are; a plain softmax for logits of a hook's own."""
        reader = self._memo.readers.get(logits)  # type: ignore[call-overload]
        return torch.softmax(logits, dim=-1) if reader is None else reader.weights()
