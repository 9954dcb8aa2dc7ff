"""Which classes the source of a network has, and the call that makes the network of them."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from exports.code.forward import forward_source
from exports.code.layers import call_of, plain_type
from exports.code.values import ValueTracer
from exports.errors import CodeExportError

__all__ = ["Source", "source_of"]

_TAKEN = {"nn", "torch", "functional", "Tensor", "Layers", "network", "device", "inf", "nan"}
_BARE = '''class Layers(nn.Module):
    """Layers that whoever holds them runs one by one."""

    def __init__(self, **parts) -> None:
        super().__init__()
        for name, part in parts.items():
            if type(part) is Tensor:
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)'''


@dataclass
class Source:
    """What was written so far.

    Attributes:
        classes: source of each class by its name, in the order of the file.
        call: makes the network.
    """

    classes: dict[str, str] = field(default_factory=dict)
    call: str = ""


def source_of(network: nn.Module, inputs: tuple[Any, ...]) -> Source:
    """Write a network down: one class for each kind of module that has a ``forward`` of its own.

    A module whose ``forward`` cannot be followed by itself is followed as a part of the one that calls it.

    Args:
        network: in evaluation mode.
        inputs: of its ``forward``; tensors.

    Raises:
        CodeExportError: the network cannot be followed, or has a part that cannot be written down.
    """
    writer = _Writer(network, inputs)
    writer.source.call = writer.call(network, "")
    return writer.source


class _Writer:
    def __init__(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.source = Source()
        self._inputs = _first_inputs(network, inputs)
        self._forwards: dict[nn.Module, str | None] = {}
        self._root = network

    def call(self, module: nn.Module, path: str) -> str:
        """The call that makes a module."""
        if plain_type(module) is not None:
            return call_of(module, path)
        parts = {name: self.call(each, f"{path}.{name}".lstrip(".")) for name, each in module.named_children()}
        numbered = list(parts) == [str(i) for i in range(len(parts))]
        if isinstance(module, (nn.Sequential, nn.ModuleList)) and numbered:
            if isinstance(module, nn.ModuleList):
                return _call("nn.ModuleList", [f"[{', '.join(parts.values())}]"])
            if type(module).forward is nn.Sequential.forward:
                return _call("nn.Sequential", list(parts.values()))
        tensors = self._tensors(module, path)
        forward = self._forward(module, path)
        if forward is None and numbered and parts and not tensors:  # a list with a forward of its own
            return _call("nn.ModuleList", [f"[{', '.join(parts.values())}]"])
        if forward is None:
            self.source.classes.setdefault("Layers", _BARE)
            return _call("Layers", _named({**parts, **tensors}))
        name = self._class(type(module).__name__, list(parts), tensors, forward)
        return _call(name, _named({**parts, **tensors}))

    def _tensors(self, module: nn.Module, path: str) -> dict[str, str]:
        """Calls that make a module's own parameters and buffers."""
        found = {}
        for name, parameter in module.named_parameters(recurse=False):
            found[name] = f"nn.Parameter(torch.empty({tuple(parameter.shape)}))"
        kept = module.state_dict(keep_vars=True)
        for name, buffer in module.named_buffers(recurse=False):
            if name not in kept:
                raise CodeExportError(
                    f"{path or 'the network'} holds the buffer {name}, which is not saved with the weights: register "
                    "it as persistent, or export to ONNX"
                )
            found[name] = f"torch.zeros({tuple(buffer.shape)}, dtype={buffer.dtype})"
        return found

    def _forward(self, module: nn.Module, path: str) -> str | None:
        """Source of a module's forward; None if it has to be followed from outside."""
        if module in self._forwards:
            return self._forwards[module]
        self._forwards[module] = None  # while it is being followed
        inputs = self._inputs.get(module)
        if inputs is None:  # never called, or not with tensors alone
            return None
        try:
            tracer = ValueTracer(lambda part, name: self._is_call(part, f"{path}.{name}".lstrip(".")), inputs)
            graph = tracer.trace(module)
            self._forwards[module] = forward_source(graph, module, path or "the network")
        except Exception as error:  # whatever the user's forward raises of what it does not know
            if module is self._root:
                if isinstance(error, CodeExportError):
                    raise
                raise CodeExportError(
                    f"torch.fx cannot follow {type(module).__name__}: {error}. Export to ONNX, which runs it"
                ) from error
        return self._forwards[module]

    def _is_call(self, part: nn.Module, path: str) -> bool:
        if plain_type(part) is not None:
            return True
        if isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward:
            names = [name for name, _ in part.named_children()]
            return names == [str(i) for i in range(len(names))] and all(
                self._is_call(each, f"{path}.{name}") for name, each in part.named_children()
            )
        return self._forward(part, path) is not None

    def _class(self, name: str, parts: list[str], tensors: dict[str, str], forward: str) -> str:
        """The name of a class of that forward and these parts, which is written unless there is one."""
        name = name if name.isidentifier() else "Module"
        names = [*parts, *tensors]
        number = 1
        while True:
            taken = name if number == 1 else f"{name}{number}"
            text = _class_source(taken, names, tensors, forward)
            if taken not in _TAKEN and self.source.classes.setdefault(taken, text) == text:
                return taken
            number += 1


def _class_source(name: str, names: list[str], tensors: dict[str, str], forward: str) -> str:
    lines = [f"class {name}(nn.Module):"]
    if names and not all(_is_word(each) for each in names):
        lines += [*_BARE.splitlines()[3:], ""]
    elif names:
        lines += [f"    def __init__(self, {', '.join(names)}) -> None:", "        super().__init__()"]
        for each in names:
            buffer = tensors.get(each, "").startswith("torch.zeros")
            lines.append(
                f"        self.register_buffer({each!r}, {each})" if buffer else f"        self.{each} = {each}"
            )
        lines.append("")
    return "\n".join([*lines, forward])


def _is_word(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name != "self"


def _named(parts: dict[str, str]) -> list[str]:
    if all(_is_word(name) for name in parts):
        return [f"{name}={part}" for name, part in parts.items()]
    inner = ", ".join(f"{name!r}: {part}" for name, part in parts.items())
    return [f"**{{{inner}}}"]


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})"


def _first_inputs(network: nn.Module, inputs: tuple[Any, ...]) -> dict[nn.Module, tuple[Any, ...]]:
    """What each module is called with first, if it is tensors alone; run once on the inputs."""
    found: dict[nn.Module, tuple[Any, ...] | None] = {}

    def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        plain = not named and all(isinstance(each, Tensor) for each in given)
        found.setdefault(module, given if plain else None)

    handles = [each.register_forward_pre_hook(note, with_kwargs=True) for each in network.modules()]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {module: given for module, given in found.items() if given is not None}
