"""A model space made of a trained network: its own layers in smaller sizes, its own blocks or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.nn.pytorch.base import recursive_freeze
from nni.nas.space import current_model
from torch import nn

from search_spaces._arguments import check_choice, check_flag, check_whole_number

from .choices import Options
from .conversion import converted
from .given import constructor_from, example_from, made_by, path_of, plain_example
from .importance import MEASURES

__all__ = ["FromModel", "space_from"]

WIDTHS = (0.25, 0.5, 0.75, 1.0)


class FromModel(ModelSpace):
    """A given network, of which a child has fewer channels and fewer blocks.

    Layers that share channels (over a residual addition, a depthwise convolution, a normalization, a gate) are cut
    together, under one label ``LAYER/width`` whose candidates are numbers of channels. A block with an identity
    shortcut may be left out, label ``BLOCK/block``. A depthwise convolution may have a smaller kernel, label
    ``LAYER/kernel``. The first candidate of every label is the given network's own, so that before any search, and as
    its dearest child, the space is the given network with its weights; its channels are ordered by importance.

    A child is a plain module of the network's own class, with its own names in the ``state_dict``.

    Args:
        model: the dotted path of a function or class that makes the network (``my.module.make``), the function itself,
            or a network, which is copied. Only a path, or what can be found by one, can stand in an architecture file.
        arguments: keyword arguments of the function, plain values.
        example: the shape of an input, batch first, or a list of several; or a tensor, or a tuple of arguments.
        weights: safetensors or torch file of the network's weights, tensors only; not read for a child's structure.
        widths: shares of the channels that a child may have, each in (0, 1]; the whole is always one of them.
        depth: whether residual blocks may be left out.
        kernels: odd sizes of depthwise kernels, which may take the place of larger ones; None for none.
        min_channels: the fewest channels of a group.
        keep: names of modules that stay as they are, with all inside them; ``*`` and ``?`` stand for other characters.
        importance: "magnitude", "batch_norm", "taylor" (of a network after ``loss.backward()``) or "none".

    Attributes:
        candidates: by label, the given network's own first.
        fixed: for layers and blocks that stay as they are, the reason.

    Raises:
        ValueError: an argument is outside its range, or the network cannot be turned into a space: named, with the
            reason and what to do.
    """

    imported_arguments: ClassVar[tuple[str, ...]] = ("model",)
    """Arguments that name code. A file's are imported only where the user names them too."""
    child_module: ClassVar[str] = "network"
    """The module that becomes the child."""

    def __init__(
        self,
        model: str | Callable[..., nn.Module] | nn.Module,
        arguments: Mapping[str, Any] | None = None,
        *,
        example: Any,
        weights: str | None = None,
        widths: Sequence[float] = WIDTHS,
        depth: bool = True,
        kernels: Sequence[int] | None = None,
        min_channels: int = 8,
        keep: Sequence[str] = (),
        importance: str = "magnitude",
    ) -> None:
        super().__init__()
        options = checked_options(widths, depth, kernels, min_channels, keep)
        check_choice("importance", importance, MEASURES)
        given = dict(arguments or {})
        if isinstance(model, nn.Module):
            if given or weights is not None:
                raise ValueError("model is a network already: arguments and weights go with a function that makes one")
            source: Any = model
            network = model
        else:
            constructor = constructor_from(model) if isinstance(model, str) else model
            source = model if isinstance(model, str) else path_of(constructor)
            network = made_by(constructor, given, None if _only_structure() else weights)
        args = example_from(example, network)
        copied = isinstance(model, nn.Module)
        measure = "none" if importance == "taylor" and _only_structure() else importance
        self.network, choices = converted(network, args, options, measure, copied)
        self.candidates = choices.values
        self.fixed = choices.fixed
        if type(self) is FromModel:
            self.trace_args, self.trace_kwargs = (), {
                "model": source,
                "arguments": given,
                "example": plain_example(args) or args,
                "weights": weights,
                "widths": list(options.widths),
                "depth": depth,
                "kernels": list(options.kernels),
                "min_channels": min_channels,
                "keep": list(options.keep),
                "importance": importance,
            }  # fmt: skip

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        return self.network(*args, **kwargs)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the network at a sample, without the space around it."""
        self.validate(sample)
        return recursive_freeze(self.network, sample)[0]

    @classmethod
    def create_fixed_module(cls, sample: dict[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
        """Return the plain network of a sample; NNI asks for it inside ``model_context(sample)``."""
        space = object.__new__(cls)
        space.__init__(*args, **kwargs)  # type: ignore[misc]
        return space.network

    def __str__(self) -> str:
        """What can be chosen, and what cannot for which reason."""
        count = len(self.candidates)
        lines = [f"{type(self.network).__name__}, {count} choice{'s' * (count > 1)}"]
        lines += [f"  {label}: {', '.join(map(str, values))}" for label, values in self.candidates.items()]
        if self.fixed:
            lines += ["fixed", *(f"  {path or '(the model)'}: {reason}" for path, reason in self.fixed.items())]
        return "\n".join(lines)


def space_from(
    model: nn.Module | Callable[..., nn.Module] | str,
    example: Any,
    widths: Sequence[float] = WIDTHS,
    depth: bool = True,
    kernels: Sequence[int] | None = None,
    min_channels: int = 8,
    keep: Sequence[str] = (),
    importance: str = "magnitude",
    *,
    constructor: Callable[..., nn.Module] | str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> FromModel:
    """Turn a network with its weights into a model space; see :class:`FromModel` for what a child may be.

    Args:
        model: the network, which is left as it is; or what makes it.
        example: an input, or a tuple of arguments of forward, batch first; or shapes of these.
        widths: see :class:`FromModel`, as the arguments that follow.
        depth: see there.
        kernels: see there.
        min_channels: see there.
        keep: see there.
        importance: see there.
        constructor: makes a network like ``model``: a function at the top level of a module, or its dotted path. An
            architecture file names it, so that a child can be built without ``model``.
        arguments: keyword arguments of the constructor.

    Raises:
        ValueError: see :class:`FromModel`; or the constructor makes another network.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from search_spaces import space_from
        >>> network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10))
        >>> space = space_from(network, torch.zeros(1, 3, 8, 8), widths=(0.5, 0.75, 1))
        >>> print(space)
        Sequential, 1 choice
          0/width: 16, 12, 8
        fixed
          3: is an output of the model
    """
    settings: dict[str, Any] = {
        "widths": widths,
        "depth": depth,
        "kernels": kernels,
        "min_channels": min_channels,
        "keep": keep,
        "importance": importance,
    }
    if not isinstance(model, nn.Module):
        return FromModel(model, arguments, example=example, **settings)
    space = FromModel(model, example=example, **settings)
    if constructor is not None:
        make = constructor_from(constructor) if isinstance(constructor, str) else constructor
        path = constructor if isinstance(constructor, str) else path_of(make)
        given = dict(arguments or {})
        with torch.device("meta"):
            other = made_by(make, given, None)
        shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in (model, other)]
        if shapes[0] != shapes[1]:
            odd = sorted(k for k in shapes[0].keys() | shapes[1].keys() if shapes[0].get(k) != shapes[1].get(k))
            raise ValueError(
                f"constructor {path} makes another network than the given one: they differ in {', '.join(odd[:3])}. "
                "Give the arguments that the network was made with"
            )
        space.trace_kwargs.update(model=path, arguments=given)
    return space


def _only_structure() -> bool:
    """Whether the network is made for the shapes of its layers, as where a file's child is built."""
    return current_model() is not None or torch.get_default_device().type == "meta"


def checked_options(
    widths: Sequence[float],
    depth: bool,
    kernels: Sequence[int] | None,
    min_channels: int,
    keep: Sequence[str],
) -> Options:
    """Check the settings of a space.

    Raises:
        ValueError: one is outside its range.
    """
    if not widths or not all(isinstance(w, (int, float)) and not isinstance(w, bool) and 0 < w <= 1 for w in widths):
        raise ValueError(f"widths is {widths!r}; it must be shares of the channels, each above 0 and at most 1")
    for kernel in kernels or ():
        if check_whole_number("kernels", kernel, 1) % 2 == 0:
            raise ValueError(f"kernels has {kernel}; an even kernel has no middle, so it must be odd")
    if isinstance(keep, str) or not all(isinstance(name, str) for name in keep):
        raise ValueError(f"keep is {keep!r}; it must be a list of names of modules")
    return Options(
        widths=tuple(map(float, widths)),
        depth=check_flag("depth", depth),
        kernels=tuple(kernels or ()),
        min_channels=check_whole_number("min_channels", min_channels, 1),
        keep=tuple(keep),
    )
