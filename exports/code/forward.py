"""The ``forward`` of a traced module as readable source: one line for each operation."""

from __future__ import annotations

import re
from typing import Any

from torch import fx, nn

from exports.errors import CodeExportError

__all__ = ["forward_source"]

_KNOWN = {"torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree", "getattr"}
"""Names in the code that torch.fx writes which mean the same in the file, or are not used there."""
_RELEASED = re.compile(r";  \w+(?: = \w+)* = None(?=\s|$)")
_ITEM = re.compile(r'getattr\((self[\w.\[\]]*), "(\w+)"\)')


def forward_source(graph: fx.Graph, module: nn.Module, name: str) -> str:
    """Return ``def forward(self, ...):`` with its body, indented as a method.

    Args:
        graph: of the module.
        module: that was traced.
        name: of the module, for messages.

    Raises:
        CodeExportError: it calls a function that is not torch's or Python's.
    """
    written: Any = graph.python_code("self")
    lines = [line for line in written.src.splitlines() if line.strip()]
    start = next(index for index, line in enumerate(lines) if line.startswith("def forward("))
    names = [node.name for node in graph.nodes if node.op == "placeholder"]
    renamed = re.compile(rf" *(?:{'|'.join(names)}) = \w+(?:;.*)?")  # an input called like something of Python's
    body = [_readable(line, module) for line in lines[start + 1 :] if not renamed.fullmatch(line)]
    for used, found in written.globals.items():
        if used in _KNOWN or used.startswith("_Tensor_") or not re.search(rf"\b{used}\b", "\n".join(body)):
            continue
        raise CodeExportError(
            f"{name} calls {getattr(found, '__module__', '?')}.{getattr(found, '__name__', used)}, which is not part "
            "of torch: write it with torch's own functions or as a module, or export to ONNX"
        )
    head = f"    def forward({', '.join(['self', *(f'{each}: Tensor' for each in names)])}):"
    return "\n".join([head, *(f"    {line}" for line in body)]).replace("torch.nn.functional.", "functional.")


def _readable(line: str, module: nn.Module) -> str:
    """A line without what torch.fx adds: the release of what is not needed any more, and looking up items by text."""
    line = _RELEASED.sub("", line)
    while (shorter := _ITEM.sub(lambda found: _item(found, module), line)) != line:
        line = shorter
    return line


def _item(found: re.Match[str], module: nn.Module) -> str:
    holder, name = found.groups()
    path = holder.removeprefix("self").replace("[", ".").replace("]", "").strip(".")
    listed = isinstance(module.get_submodule(path), (nn.ModuleList, nn.Sequential))
    return f"{holder}[{name}]" if listed and name.isdigit() else found.group()
