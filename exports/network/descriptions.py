"""A module in a few words: its type, its kernel, how many channels go in and come out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

__all__ = ["describe", "is_small"]

SMALL = (
    nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm,
)  # fmt: skip
"""What is written behind the layer before it, not in a row of its own; activations too."""
MOST_PARTS = 4


def describe(module: nn.Module) -> str:
    """Describe a module: ``Conv2d 3×3, 16 → 24`` for a layer, its parts for a container."""
    if isinstance(module, nn.Sequential):
        return _parts(module)
    if isinstance(module, nn.modules.conv._ConvNd):
        kernel = "×".join(map(str, module.kernel_size))
        extra = f", stride {module.stride[0]}" if module.stride[0] != 1 else ""
        if module.groups > 1:
            extra += ", depthwise" if module.groups == module.in_channels else f", {module.groups} groups"
        return f"{_name(module)} {kernel}, {module.in_channels} → {module.out_channels}{extra}"
    if isinstance(module, nn.Linear):
        return f"{_name(module)} {module.in_features} → {module.out_features}"
    if isinstance(module, nn.Embedding):
        return f"{_name(module)} {module.num_embeddings} × {module.embedding_dim}"
    if isinstance(module, nn.RNNBase):
        return f"{_name(module)} {module.input_size} → {module.hidden_size}"
    if isinstance(module, nn.MultiheadAttention):
        return f"{_name(module)}, {module.num_heads} heads of {module.embed_dim // module.num_heads}"
    if isinstance(module, (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd)):
        return f"{_name(module)} {_size(module.kernel_size)}" + _stride(module)
    return _name(module)


def is_small(module: nn.Module) -> bool:
    """Whether a module is a normalization, an activation or the like, which needs no row of its own."""
    return isinstance(module, SMALL) or (
        type(module).__module__ == "torch.nn.modules.activation" and not isinstance(module, nn.MultiheadAttention)
    )


def _parts(modules: Iterable[nn.Module]) -> str:
    names = [describe(each) for each in modules if not isinstance(each, nn.Identity)]
    return " · ".join([*names[:MOST_PARTS], *(["…"] if len(names) > MOST_PARTS else [])]) or "Identity"


def _name(module: nn.Module) -> str:
    # NNI's own classes of torch's layers carry another name.
    return type(module).__name__.removeprefix("Mutable")


def _size(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, (tuple, list)) else f"{value}×{value}"


def _stride(module: Any) -> str:
    given = module.stride
    stride = given[0] if isinstance(given, (tuple, list)) else given
    return f", stride {stride}" if stride not in (None, 1) else ""
