"""A trace of a module that knows what it computes: branches on sizes are followed as the example decides them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.fx.proxy import TraceError

__all__ = ["ValueTracer"]

_OWN = ("torch", "_operator", "operator", "builtins", "math", "None")
"""Modules of functions that may stand in the source; torch's built-in ones have none."""


class ValueTracer(fx.Tracer):
    """torch.fx's tracer, which runs every operation on an example as well.

    So a ``forward`` may ask for sizes, and loop over tensors that it split. What it asks of values in a tensor cannot
    be written down, and is refused.

    Args:
        is_leaf: whether a module's call is written as a call; gets the module and its path.
        inputs: of the module that is traced.
    """

    def __init__(self, is_leaf: Callable[[nn.Module, str], bool], inputs: tuple[Any, ...]) -> None:
        super().__init__()
        self._is_leaf = is_leaf
        self._inputs = iter(inputs)
        self._values: dict[fx.Node, Any] = {}
        self._running = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See ``is_leaf``."""
        return self._is_leaf(m, module_qualified_name)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> fx.Proxy:
        """Record an operation, and run it; functions that are not torch's are followed, wrapped for torch.fx or not."""
        if kind == "call_function" and str(getattr(target, "__module__", None)).split(".")[0] not in _OWN:
            return target(*args, **kwargs)
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        node = proxy.node
        if kind != "output":
            given, named = (map_arg(each, self._value) for each in (node.args, node.kwargs))
            self._running = True
            try:
                with torch.no_grad():
                    self._values[node] = self._run(kind, target, given, named)
            finally:
                self._running = False
        return proxy

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a module inside of one that runs on the example; otherwise as torch.fx does."""
        return forward(*args, **kwargs) if self._running else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Look up a parameter: itself in what runs on the example, otherwise as torch.fx does."""
        return attr_val if self._running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        if node not in self._values:  # torch.fx looks up buffers without asking
            self._values[node] = self._run(node.op, node.target, (), {})
        return self._values[node]

    def _run(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if kind == "placeholder":
            return next(self._inputs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        if kind == "call_function":
            return target(*args, **kwargs)
        found: Any = self.root
        for name in target.split("."):
            found = getattr(found, name)
        return found(*args, **kwargs) if kind == "call_module" else found

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Record a module's forward, without numbers that nothing needs once branches are taken."""
        graph = super().trace(root, concrete_args)
        for node in reversed(graph.nodes):
            if node.users or node.op in ("placeholder", "output"):
                continue
            # An operation on tensors may change one in place.
            if node.op == "get_attr" or not isinstance(self._value(node), Tensor):
                graph.erase_node(node)
        return graph

    def to_bool(self, obj: fx.Proxy) -> bool:
        """The truth of a number that the module asks for.

        Raises:
            TraceError: it depends on values in a tensor.
        """
        value = self._value(obj.node)
        if isinstance(value, Tensor):
            raise TraceError("the network decides by values in a tensor what it computes")
        return bool(value)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """The parts of a tuple, a size or a tensor."""
        parts: Any = obj
        return iter([parts[index] for index in range(len(self._value(obj.node)))])
