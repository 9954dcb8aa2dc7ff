"""What a choice becomes in the child where NNI's own answer does not run, and where new layers are put."""

from __future__ import annotations

import torch
from nni.nas.nn.pytorch.choice import ChosenInputs
from torch import Tensor, nn

__all__ = ["NoInputs", "follow", "replace_empty_choices"]


class NoInputs(nn.Module):
    """What an ``InputChoice`` of any number of inputs becomes when it chose none: zeros.

    NNI's own ``ChosenInputs`` returns ``None`` there. Zero is an operation like the others, so the child runs.
    """

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return zeros of the shape of the first candidate input."""
        return torch.zeros_like(inputs[0])


def replace_empty_choices(child: nn.Module) -> nn.Module:
    """Put :class:`NoInputs` where a frozen ``InputChoice`` has no input; return ``child``, changed in place."""
    for parent in list(child.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, ChosenInputs) and not module.chosen and module.reduction in ("sum", "mean"):
                setattr(parent, name, NoInputs())
    return child


def follow(child: nn.Module, supernet: nn.Module) -> None:
    """Put layers that were made anew where the supernet is: on its device, and in its precision if it has one."""
    parameters = [p for p in supernet.parameters() if p.is_floating_point()]
    devices, precisions = {p.device for p in parameters}, {p.dtype for p in parameters}
    if len(devices) == 1:
        child.to(devices.pop())
    if len(precisions) == 1:
        child.to(precisions.pop())
