"""What a choice adds to its output beside its candidates: some of its input, while the search has an auxiliary skip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snas_nni.distribution.sample import CurrentSample

__all__ = ["has_skip", "with_skip"]


def has_skip(output: Any, x: Any) -> bool:
    """Whether an input can be added to an output: both are tensors of one shape that hold real or complex numbers."""
    if not (isinstance(output, Tensor) and isinstance(x, Tensor)) or output.shape != x.shape:
        return False
    return output.is_complex() or (output.is_floating_point() and x.is_floating_point())


def with_skip(output: Any, x: Any, current: CurrentSample) -> Any:
    """Return ``output + b x`` where the two agree in shape, ``output`` itself where they do not or b is 0.

    Args:
        output: of a choice.
        x: its input.
        current: knows b, the factor of this step.
    """
    if current.auxiliary_skip == 0 or not has_skip(output, x):
        return output
    current.skips_added += 1
    return torch.add(output, x.to(output.dtype), alpha=current.auxiliary_skip)
