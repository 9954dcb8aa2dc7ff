"""One pass of the model on an example that tells which layers share channels and which blocks are residual.

The model itself runs, under ``torch.overrides.TorchFunctionMode``: however its forward is written, it is
followed, where ``torch.fx`` stops at the first ``if`` on a value.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .groups import Axis, Groups
from .layers import KINDS
from .restrictions import matches, reasons_to_stay
from .rules import CARRIERS, Axes, known_rule, operation_name, tensors_in
from .running import as_it_was, twice

__all__ = ["LayerUse", "TracedModel", "trace"]

WRITES = frozenset(("setitem", "copy", "index_copy", "index_add", "index_put", "scatter", "masked_fill"))
WITH_WEIGHTS: dict[str, tuple[type[nn.Module], ...]] = {
    "conv1d": (nn.Conv1d,),
    "conv2d": (nn.Conv2d,),
    "linear": (nn.Linear,),
    "batch_norm": (nn.BatchNorm1d, nn.BatchNorm2d),
    "layer_norm": (nn.LayerNorm,),
}


@dataclass
class LayerUse:
    """A layer that can be made anew in another size.

    Attributes:
        path: its name in the model.
        layer: the layer.
        inputs: what its input channels are; None if their number is fixed.
        outputs: what its output channels are; None likewise.
    """

    path: str
    layer: nn.Module
    inputs: Axis | None
    outputs: Axis | None


@dataclass
class TracedModel:
    """What a pass found.

    Attributes:
        groups: of channels.
        layers: by path, in the order in which they first ran.
        blocks: paths of modules with an identity shortcut around them, which may be left out.
        fixed: why a layer or a block stays as it is, by path.
    """

    groups: Groups = field(default_factory=Groups)
    layers: dict[str, LayerUse] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)


def trace(model: nn.Module, args: tuple[Any, ...], keep: Sequence[str] = ()) -> TracedModel:
    """Run ``model(*args)`` in evaluation, and again as in training, where there may be more of it (auxiliary heads).

    Args:
        model: left as it is, its statistics and the global random state included.
        args: of its forward.
        keep: names of modules that stay as they are.
    """
    pass_ = _Pass(model, keep)
    with as_it_was(model):
        pass_.run(args, training=False)
        for given in (args, twice(args)):
            with contextlib.suppress(Exception):  # some networks cannot be trained on a single example, some on none
                pass_.run(given, training=True)
                break
    return pass_.result()


@dataclass
class _Value:
    tensor: Tensor  # held, so that its id stays its own
    axes: Axes
    node: int


@dataclass
class _Call:
    path: str
    source: int | None = None
    shape: tuple[int, ...] = ()


class _Pass(TorchFunctionMode):
    """The context of the rules."""

    def __init__(self, model: nn.Module, keep: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.keep = keep
        self.traced = TracedModel()
        self.groups = self.traced.groups
        self.modules = dict(model.named_modules())
        self.refused = reasons_to_stay(model)
        self.names = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        self.stack: list[_Call] = []
        self.calls: Counter[str] = Counter()
        self.calls_in_training: Counter[str] = Counter()
        self.training = False
        self.values: dict[int, _Value] = {}
        self.nodes: list[tuple[str, tuple[int, ...]]] = []
        self.operation = ""

    # What rules ask

    def axes(self, tensor: Tensor) -> Axes:
        value = self.values.get(id(tensor))
        return value.axes if value is not None else [None] * tensor.dim()

    def name_of(self, tensor: Tensor) -> str:
        if id(tensor) in self.names:
            return f"the parameter '{self.names[id(tensor)]}'"
        return f"a tensor of fixed shape {tuple(tensor.shape)}"

    def where(self) -> str:
        path = self.stack[-1].path if self.stack else ""
        return f"{self.operation} of '{path}'" if path else self.operation

    # Modules

    def run(self, args: tuple[Any, ...], training: bool) -> None:
        """Follow one pass; what the model returns stays as it is."""
        self.stack.clear()
        self.training = training
        self.model.train(training)
        with self.watching():
            output = self.model(*args)
        for tensor in tensors_in(output):
            for axis in self.axes(tensor):
                self.groups.fix(axis, "is an output of the model")

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            for path, module in self.modules.items():
                stack.callback(module.register_forward_pre_hook(self._entering(path), with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._left).remove)
            with self:
                yield

    def _entering(self, path: str) -> Any:
        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            (self.calls_in_training if self.training else self.calls)[path] += 1
            call = _Call(path)
            if len(args) == 1 and isinstance(args[0], Tensor) and not kwargs:
                call.source, call.shape = self._value(args[0]).node, tuple(args[0].shape)
            self.stack.append(call)

        return enter

    def _left(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        call = self.stack.pop()
        if self.training or call.source is None or not call.path or not any(True for _ in module.parameters()):
            return
        if isinstance(output, Tensor) and tuple(output.shape) == call.shape and self._shortcut(output, call.source):
            self.traced.blocks.append(call.path)

    def _shortcut(self, output: Tensor, source: int) -> bool:
        """Whether the output is the input plus something, possibly behind an activation."""
        seen: set[int] = set()
        waiting = [(self._value(output).node, False)]
        while waiting:
            node, added = waiting.pop()
            if node == source:
                if added:
                    return True
                continue
            name, parents = self.nodes[node]
            if node not in seen and name in CARRIERS and node > source:
                seen.add(node)
                waiting += [(parent, added or (name == "add" and len(parents) > 1)) for parent in parents]
        return False

    # Functions

    def _value(self, tensor: Tensor) -> _Value:
        if id(tensor) not in self.values:
            self._remember(tensor, [None] * tensor.dim(), "", ())
        return self.values[id(tensor)]

    def _remember(self, tensor: Tensor, axes: Axes, name: str, parents: tuple[int, ...]) -> None:
        self.nodes.append((name, parents))
        self.values[id(tensor)] = _Value(tensor, axes, len(self.nodes) - 1)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation_name(func)
        given = list(tensors_in((args, kwargs)))
        shaped = [tuple(tensor.shape) for tensor in given]
        result = func(*args, **kwargs)
        axes: list[Axes]
        found = list(tensors_in(result))
        if not found and name not in WRITES:
            return result
        self.operation = name
        parents = tuple(dict.fromkeys(self._value(tensor).node for tensor in given))
        if name in WITH_WEIGHTS:
            axes = [self._layer(name, args, kwargs, result)]
        else:
            rule = known_rule(name)
            derived: Any = rule(self, args, kwargs, result) if rule is not None else None
            if derived is None:
                self._fix_inputs(given, shaped, f"goes through {self.where()}")
                axes = _unknown(found)
            elif len(found) > 1 and len(derived) == len(found) and isinstance(derived[0], list):
                axes = derived
            else:
                axes = [derived, *_unknown(found[1:])]
        for tensor, those in zip(found, axes, strict=True):
            self._remember(tensor, those, name, parents)
        return result

    def _fix_inputs(self, tensors: Sequence[Tensor], shapes: Sequence[tuple[int, ...]], reason: str) -> None:
        for tensor in tensors:
            for axis in self.axes(tensor):
                self.groups.fix(axis, reason)

    def _layer(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> Axes:
        """A call that has weights: that of a layer of ours, or one that keeps the channels of its input."""
        inputs = next(tensors_in((args, kwargs)))
        axes = self.axes(inputs)
        path = self.stack[-1].path if self.stack else ""
        module = self.modules.get(path, self.model)
        kind = KINDS.get(type(module))
        weights = [tensor for tensor in tensors_in((args[1:], kwargs)) if id(tensor) in self.names]
        own = all(any(tensor is mine for mine in _own(module)) for tensor in weights)
        reason = self.refused.get(path, "")
        if kind is None or type(module) not in WITH_WEIGHTS[name] or not own:
            plain = " or ".join(each.__name__ for each in WITH_WEIGHTS[name])
            reason = reason or f"is a {type(module).__name__}, not a plain {plain}"
        before = axes[kind.channel_dim] if kind is not None and inputs.dim() else None
        behind: Axis | None = None
        if not reason and kind is not None:
            reason = kind.refusal(module)
            known = self.traced.layers.get(path)
            if not reason and known is not None:
                self._again(known, before)
                behind = known.outputs
            elif not reason:
                behind, reason = kind.outputs(self.groups, module, path, before)
                self.traced.layers[path] = LayerUse(path, module, before, behind)
                if matches(path, self.keep):
                    self.groups.fix(behind, "is to be kept")
        if reason:
            if path:
                self.traced.fixed.setdefault(path, reason)
            for axis in axes:
                self.groups.fix(axis, f"goes into '{path}', which {reason}")
            return [None] * result.dim()
        # Other dimensions than that of the channels: a layer mixes nothing there.
        dim = kind.channel_dim % inputs.dim() if kind is not None else 0
        for place, axis in enumerate(axes):
            if place != dim and axis is not None and place > 0 and name in ("conv1d", "conv2d", "layer_norm"):
                self.groups.fix(axis, f"lies along the axes of what enters '{path}'")
        return [behind if place == dim else axes[place] for place in range(result.dim())]

    def _again(self, known: LayerUse, before: Axis | None) -> None:
        reason = f"goes into '{known.path}', which is used more than once"
        known.inputs = self.groups.align([known.inputs, before], reason)

    # The end

    def result(self) -> TracedModel:
        once = [path for path in self.traced.blocks if self.calls[path] == 1]
        inner = [path for path in once if not any(other.startswith(f"{path}.") for other in once)]
        kept = [path for path in inner if matches(path, self.keep)]
        self.traced.fixed.update(dict.fromkeys(kept, "is to be kept"))
        self.traced.blocks = [path for path in inner if path not in kept]
        ran = self.calls + self.calls_in_training
        for path, module in self.modules.items():
            own = dict(module.named_parameters(recurse=False))
            if not own or path in self.traced.layers:
                continue
            reason = f"is of type {type(module).__name__} and holds parameters of its own ({', '.join(list(own)[:3])})"
            if not ran[path]:
                used = any(id(parameter) in self.values for parameter in own.values())
                reason = "has its weights used by another module" if used else "does not run on the example"
            self.traced.fixed.setdefault(path, reason)
        return self.traced


def _unknown(tensors: Sequence[Tensor]) -> list[Axes]:
    return [[None] * tensor.dim() for tensor in tensors]


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
