"""What becomes of a choice or a layer in the child where NNI's own answer does not do, and where new layers are put."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from nni.nas.nn.pytorch import ParametrizedModule
from nni.nas.nn.pytorch.choice import ChosenInputs
from torch import Tensor, nn

__all__ = ["NoInputs", "completed", "follow_device", "follow_precision", "match", "match_all"]


class NoInputs(nn.Module):
    """What an ``InputChoice`` of any number of inputs becomes when it chose none: zeros.

    NNI's own ``ChosenInputs`` returns ``None`` there. Zero is an operation like the others, so the child runs.
    """

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return zeros of the shape of the first candidate input."""
        return torch.zeros_like(inputs[0])


def completed(child: nn.Module) -> nn.Module:
    """Mend what NNI leaves undone when it freezes a space; return ``child``, changed in place.

    :class:`NoInputs` comes where a frozen ``InputChoice`` has no input. A parametrized module that NNI made for a
    child does not know its arguments, without which it has no ``repr``, and PyTorch's exporter asks for that.
    """
    for parent in list(child.modules()):
        if isinstance(parent, ParametrizedModule) and not hasattr(parent, "trace_args"):
            parent.save_init_arguments()
        for name, module in list(parent.named_children()):
            if isinstance(module, ChosenInputs) and not module.chosen and module.reduction in ("sum", "mean"):
                setattr(parent, name, NoInputs())
    return child


def match(tensor: Tensor, counterpart: Tensor) -> None:
    """Give a tensor that was made anew the data type of its counterpart in the supernet, in place.

    Tensor by tensor, because a network may mix them on purpose: complex weights of a Fourier layer, a table of float64.
    """
    if tensor.dtype != counterpart.dtype:
        tensor.data = tensor.data.to(counterpart.dtype)


def match_all(module: nn.Module, counterparts: Mapping[str, Tensor]) -> None:
    """Move a new module to the device of its counterparts, and :func:`match` all that have one of their name."""
    devices = {tensor.device for tensor in counterparts.values()}
    if len(devices) == 1:
        module.to(devices.pop())
    for name, tensor in module.state_dict(keep_vars=True).items():
        if name in counterparts:
            match(tensor, counterparts[name])


def follow_device(child: nn.Module, supernet: nn.Module) -> None:
    """Move what was made anew to the supernet's device, if it has one."""
    devices = {parameter.device for parameter in supernet.parameters()}
    if len(devices) == 1:
        child.to(devices.pop())


def follow_precision(child: nn.Module, names: Collection[str], supernet: nn.Module) -> None:
    """Give tensors without a counterpart the supernet's precision, if it has one.

    Args:
        child: what was made anew.
        names: of these tensors in the child; those that are not floating-point numbers keep their type.
        supernet: where the others came from.
    """
    precisions = {parameter.dtype for parameter in supernet.parameters() if parameter.is_floating_point()}
    tensors: dict[str, Tensor] = dict(child.named_parameters(remove_duplicate=False))
    tensors.update(child.named_buffers(remove_duplicate=False))
    for tensor in (tensors[name] for name in names):
        if len(precisions) == 1 and tensor.is_floating_point():
            match(tensor, torch.empty(0, dtype=next(iter(precisions))))
