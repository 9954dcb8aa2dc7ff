"""The file of a network's source: imports, classes, and a call broken into lines that can be read."""

from __future__ import annotations

import ast

from torch import nn

from exports.code.modules import Source

__all__ = ["file_text"]

_WIDTH = 100


def file_text(source: Source, model: nn.Module, weights: str) -> str:
    """Return the text of the file.

    Args:
        source: of the network.
        model: the network itself.
        weights: file of the weights that the text names.
    """
    kind = type(model).__name__
    count = sum(parameter.numel() for parameter in model.parameters())
    calls = "\n".join([*source.classes.values(), source.call])
    imports = ["from torch import Tensor, nn"] if "Tensor" in calls else ["from torch import nn"]
    if "torch." in calls:
        imports.insert(0, "import torch")
    if "functional." in calls:
        imports.append("from torch.nn import functional")
    if any(name in calls for name in ("inf", "nan")):
        imports.insert(0, "from math import inf, nan  # noqa: F401\n")
    result = source.call.split("(")[0]
    head = [
        f'"""{kind}: a network of {count:,} parameters, written by snas_nni as plain layers of torch.',
        "",
        "    from safetensors.torch import load_file",
        "",
        "    model = network()",
        f'    model.load_state_dict(load_file("{weights}"))',
        "    model.eval()",
        '"""',
    ]
    last = [
        f"\ndef network() -> {result}:",
        '    """Return the network with new weights."""',
        f"    return {_broken(source.call, 4)}",
    ]
    classes = [f"\n{text}" for text in source.classes.values()]
    parts = ["\n".join(head), "\n".join(imports), *classes, "\n".join(last)]
    return "\n\n".join(parts) + "\n"


def _broken(call: str, indent: int) -> str:
    """Break a call into lines where it is too long for one, one argument a line."""
    if indent + len(call) <= _WIDTH:
        return call
    tree = ast.parse(call, mode="eval").body
    return _lines(tree, call, indent)


def _lines(node: ast.expr, text: str, indent: int) -> str:
    whole = ast.get_source_segment(text, node) or ""
    if indent + len(whole) <= _WIDTH or not isinstance(node, (ast.Call, ast.List, ast.Dict)):
        return whole
    inner = " " * (indent + 4)
    if isinstance(node, ast.List):
        parts = [_lines(each, text, indent + 4) for each in node.elts]
        return "[\n" + "".join(f"{inner}{part},\n" for part in parts) + " " * indent + "]"
    if isinstance(node, ast.Dict):
        pairs = [
            f"{ast.unparse(key) if key else ''}: {_lines(value, text, indent + 4)}"
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return "{\n" + "".join(f"{inner}{pair},\n" for pair in pairs) + " " * indent + "}"
    arguments = [_lines(each, text, indent + 4) for each in node.args]
    for each in node.keywords:
        before = f"{each.arg}=" if each.arg else "**"
        arguments.append(before + _lines(each.value, text, indent + 4))
    head = ast.get_source_segment(text, node.func)
    return f"{head}(\n" + "".join(f"{inner}{each},\n" for each in arguments) + " " * indent + ")"
