"""A device that is pretended: its tensors have real numbers, and every way between it and the host is counted.

A step runs on it with its backward pass and its optimizers, which fake CUDA tensors cannot do. Its tensors say that
they are on the device "meta", whose autograd needs no driver; what they hold lies on the CPU. Mixing them with tensors
of the CPU is refused as a GPU would, but for single numbers, which are arguments of a kernel there.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

DEVICE = torch.device("meta")
CPU = torch.device("cpu")
_WITH_INDICES = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}


class OnDevice(Tensor):
    """A tensor of the device, which holds ``inner``."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnDevice":
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=inner.requires_grad,
        )
        made.inner = inner
        return made

    def tolist(self) -> Any:
        """All numbers, in one transfer, as a GPU's tensors give them."""
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside the pretended device")


class _MadeFromNumbers(TorchFunctionMode):
    """Tensors that are made out of Python's numbers: on a device, by moving them there."""

    def __init__(self, moves: list[str]) -> None:
        super().__init__()
        self.moves = moves

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device", args[0].device if func is Tensor.new_tensor else None)
        makes = func in (torch.tensor, torch.as_tensor, Tensor.new_tensor)
        if not (makes and device is not None and torch.device(device) == DEVICE):
            return func(*args, **kwargs)
        self.moves.append(_place())
        numbers = args[1:] if func is Tensor.new_tensor else args
        if func is Tensor.new_tensor:
            kwargs.setdefault("dtype", args[0].dtype)
        return OnDevice(torch.tensor(*numbers, **{**kwargs, "device": CPU}))


class PretendedDevice(TorchDispatchMode):
    """Runs what is done to its tensors, and counts.

    Attributes:
        reads: where the host waited for numbers of the device.
        moves: where a tensor of the host was moved to the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.moves: list[str] = []

    @contextmanager
    def running(self) -> Iterator["PretendedDevice"]:
        """Run what is inside the ``with`` block on the device, where its tensors are."""
        with _MadeFromNumbers(self.moves), self:
            yield self

    def taken(self) -> tuple[list[str], list[str]]:
        """Reads and moves since it was asked last."""
        found = list(self.reads), list(self.moves)
        self.reads.clear()
        self.moves.clear()
        return found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        ours = [each for each in tensors if isinstance(each, OnDevice)]
        device = kwargs.get("device")
        device = None if device is None else torch.device(device)
        if device == DEVICE:
            kwargs["device"] = CPU
        if func is torch.ops.aten._local_scalar_dense.default and ours:
            self.reads.append(_place())
        elif func is torch.ops.aten.copy_.default and len(ours) == 1:
            (self.moves if isinstance(args[0], OnDevice) else self.reads).append(_place())
        elif ours and device == CPU:
            self.reads.append(_place())
        elif tensors and not ours and device == DEVICE and func is torch.ops.aten._to_copy.default:
            self.moves.append(_place())
        elif ours and func in _WITH_INDICES:
            if any(not isinstance(each, OnDevice) for each in tensors):  # which a GPU's take from the host too
                self.moves.append(_place())
        elif ours and any(each.dim() and not isinstance(each, OnDevice) for each in tensors):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, found two")
        if any(each.device == DEVICE and not isinstance(each, OnDevice) for each in tensors):
            raise RuntimeError(f"{func}: a tensor was made from numbers of the host, on the device")
        result = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if device == CPU or not (ours or device == DEVICE):
            return result
        # What an operation writes to and returns is the tensor that was given.
        known = {id(each.inner): each for each in ours}
        return tree_map_only(Tensor, lambda each: known.get(id(each)) if id(each) in known else OnDevice(each), result)


def _inner(each: Any) -> Any:
    return each.inner if isinstance(each, OnDevice) else each


def _place() -> str:
    """Where in this project, or else in its tests, the host asks."""
    frames = [f"{f.filename.rsplit('/site-packages/')[-1]}:{f.lineno} {f.name}" for f in traceback.extract_stack()[:-2]]
    return " < ".join(reversed(frames[-14:]))


def move(module: nn.Module, device: PretendedDevice) -> None:
    """Put the parameters and buffers of a module on the pretended device."""
    with device.running():
        for each in module.modules():
            for name, parameter in list(each._parameters.items()):
                if parameter is not None:
                    moved = OnDevice(parameter.detach().clone())
                    each._parameters[name] = nn.Parameter(moved, requires_grad=parameter.requires_grad)
            for name, buffer in list(each._buffers.items()):
                if buffer is not None:
                    each._buffers[name] = OnDevice(buffer.detach().clone())


def on_device(tensor: Tensor) -> Tensor:
    """A tensor of the host as one of the device, as a loader would have moved it before the step."""
    return OnDevice(tensor.clone())
