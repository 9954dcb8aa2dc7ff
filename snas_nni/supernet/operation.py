"""Mutable layers in the supernet: value choices in the arguments of ``MutableConv2d``, ``MutableLinear`` and others.

Channel and kernel choices share one large weight, of which each value uses a slice (NNI's mixed operations, after
FBNetV2). Arguments that cannot be sliced (stride, dilation, dropout, ...) and other parametrised modules run as one
module for each value, see :mod:`snas_nni.supernet.arguments`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from nni.mutable import MutableExpression
from nni.nas.nn.pytorch import ParametrizedModule
from torch import Tensor, nn

from snas_nni import nni_compat
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.errors import UnsupportedSpaceError
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.expressions import expression_value, expression_weights, traced_value
from snas_nni.supernet.frozen import match_all
from snas_nni.supernet.segments import Segments, parts_of, segmented

__all__ = ["SLICED_OPERATIONS", "mutable_arguments"]


def mutable_arguments(module: ParametrizedModule) -> dict[str, MutableExpression]:
    """The arguments of a parametrised module that hold choices, by name (or by position for unnamed ones)."""
    positional = {str(i): a for i, a in enumerate(module.trace_args) if isinstance(a, MutableExpression)}
    named = {k: a for k, a in module.trace_kwargs.items() if isinstance(a, MutableExpression)}
    return {**positional, **named}


def _outcomes(arguments: dict[str, Any], names: Sequence[str]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The labels behind some arguments, and the values that these can have together."""
    labels: dict[str, Any] = {}
    for name in names:
        if isinstance(arguments[name], MutableExpression):
            labels.update(arguments[name].simplify())
    outcomes = []
    for values in itertools.product(*(mutable.values for mutable in labels.values())):
        sample = dict(zip(labels, values, strict=True))
        outcomes.append(
            tuple(a.freeze(sample) if isinstance(a, MutableExpression) else a for a in map(arguments.get, names))
        )
    return sorted(labels), outcomes


class SampledArguments(nni_compat.MixedOperationSamplingPolicy):
    """Gives NNI's mixed operations their arguments from the running sample."""

    def __init__(self, operation: Any, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> None:
        bind = mutate_kwargs["distribution"].bind
        self.readers: dict[str, ChoiceReader] = {label: bind(label) for label in operation.simplify()}

    def forward_argument(self, operation: Any, name: str) -> Any:
        """A value, or ``{value: weight}`` while the sample is relaxed; of each part for a sum of channels."""
        expression = operation.mutable_arguments.get(name)
        if expression is None:
            return operation.init_arguments[name]
        if isinstance(operation, _Sliced) and name in operation.segmented:
            return parts_of(expression, self._value)
        return self._value(expression)

    def _value(self, expression: MutableExpression) -> Any:
        trace = next(iter(self.readers.values())).trace
        if trace is not None:
            return traced_value(expression, self.readers, trace)
        # At a one-hot sample the operation slices its weight as the child will, so that it equals the child even
        # where a mask would not (normalisation over a slice).
        if next(iter(self.readers.values())).sample.is_one_hot:
            return expression_value(expression, self.readers)
        return expression_weights(expression, self.readers)


class _Sliced(SampledModule):
    """What this project changes in NNI's mixed operations."""

    sliced: tuple[str, ...]
    bound_type: type[nn.Module]
    may_be_segmented: tuple[str, ...] = ()
    segmented: frozenset[str] = frozenset()

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the plain layer with its slice of the weights.

        NNI's own version puts ``bias: None`` into a state dict, which then does not load.
        """
        arguments = {**self.init_arguments}  # type: ignore[attr-defined]
        for name, expression in self.mutable_arguments.items():  # type: ignore[attr-defined]
            arguments[name] = expression.freeze(sample)
        layer = nni_compat.plain_type(self.bound_type)(**arguments)
        for name in self.segmented:
            arguments[name] = parts_of(self.mutable_arguments[name], lambda term: term.freeze(sample))  # type: ignore[attr-defined]
        state = {k: v for k, v in self.freeze_weight(**arguments).items() if v is not None}  # type: ignore[attr-defined]
        match_all(layer, state)
        layer.load_state_dict({**layer.state_dict(), **state})
        return layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run with the sample's values; a single path passes its credit on through a factor of 1."""
        output = super().forward(*args, **kwargs)  # type: ignore[misc]
        if self.reader.trace is not None or not self.reader.sample.is_one_hot or self.reader.sample.is_fixed:
            return output
        credit = math.prod((reader.rows() * reader.rows().detach()).sum() for reader in self.readers.values())
        if isinstance(output, tuple):
            return output[0] * credit, *output[1:]
        return output * credit

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The plain layer with its slice of the weights."""
        return Counterpart(self.freeze(dict(sample)))

    def own_parameters(self, size_of: Callable[[Tensor], float] = Tensor.numel) -> Polynomial:
        """Parameters of the slice of each combination of values."""
        total = []
        for indices in itertools.product(*(range(len(r.choice.candidates)) for r in self.readers.values())):
            sample, condition = {}, ONE
            for (label, reader), index in zip(self.readers.items(), indices, strict=True):
                sample[label] = reader.choice.candidates[index]
                condition = condition * Polynomial.entry(label, index)
            layer = self.freeze(sample)
            total.append(condition * float(sum(map(size_of, layer.parameters()))))
        return Polynomial.sum(total)

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace exactly the bound type, if all its choices are in arguments that can be sliced.

        Raises:
            UnsupportedSpaceError: sliced and unsliced choices in one layer.
        """
        if type(module) is not cls.bound_type:
            return None
        choices = mutable_arguments(module)
        unsliced = [argument for argument in choices if argument not in cls.sliced]
        if "padding" in unsliced and "kernel_size" in choices:
            unsliced.remove("padding")  # the padding that goes with the largest kernel serves all of them
        if "groups" in choices and not {"in_channels", "out_channels"} <= choices.keys():
            unsliced.append("groups")  # only groups that grow with the channels can be sliced
        if not choices or len(unsliced) == len(choices):
            return None
        if unsliced:
            labels = sorted({label for argument in unsliced for label in choices[argument].simplify()})
            raise UnsupportedSpaceError(
                f"label{'s' if len(labels) > 1 else ''} '{', '.join(labels)}' ({type(module).__name__} '{name}'): "
                f"a choice of {', '.join(unsliced)} cannot be searched together with one of "
                f"{', '.join(sorted(set(choices) - set(unsliced)))} in the same layer. Make a LayerChoice of layers "
                "instead."
            )
        cls.check(module, choices, f"({type(module).__name__} '{name}')")
        mixed: Any = super().mutate(module, name, memo, {**mutate_kwargs, "mixed_op_sampling": SampledArguments})  # type: ignore[misc]
        mixed.readers = mixed.sampling_policy.readers
        for argument in ("eps", "momentum"):  # NNI would forget `bn.eps = 1e-3` after construction
            if argument in mixed.init_arguments and argument not in choices:
                mixed.init_arguments[argument] = getattr(module, argument)
        mixed.segmented = frozenset(name for name in cls.may_be_segmented if segmented(choices.get(name)))
        _keep_weights(mixed, module)
        return mixed

    @classmethod
    def check(cls, module: ParametrizedModule, choices: dict[str, MutableExpression], where: str) -> None:
        """Refuse combinations of values that slices of one weight cannot express."""


def _keep_weights(mixed: nn.Module, module: nn.Module) -> None:
    """Start from the weights that the space has, where its layer is as large as the largest child's.

    The space is made with the first value of every choice. Where that is the largest, trained weights go on.
    """
    given = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    own = {**dict(mixed.named_parameters()), **dict(mixed.named_buffers())}
    if own.keys() != given.keys() or any(tensor.shape != given[name].shape for name, tensor in own.items()):
        return
    for name, tensor in own.items():
        tensor.data = given[name].detach().clone()
        tensor.requires_grad_(given[name].requires_grad)


class SlicedLinear(_Sliced, nni_compat.MixedLinear):
    """``MutableLinear`` with choices of its sizes."""

    sliced = ("in_features", "out_features")
    may_be_segmented = ("in_features", "out_features")

    def freeze_weight(self, in_features: Any, out_features: Any, **_: Any) -> dict[str, Tensor | None]:
        """Return the slices, those of each segment for a sum."""
        whole = [
            size if isinstance(given, Segments) else given
            for given, size in ((in_features, self.in_features), (out_features, self.out_features))
        ]
        state = super().freeze_weight(*whole)
        if isinstance(in_features, Segments):
            state["weight"] = in_features.select(state["weight"], 1)
        return _select_outputs(state, out_features)


class SlicedConv2d(_Sliced, nni_compat.MixedConv2d):
    """``MutableConv2d`` with choices of channels, kernel size (with its padding) and proportional groups."""

    sliced = ("in_channels", "out_channels", "kernel_size", "groups")
    may_be_segmented = ("in_channels", "out_channels")

    def super_init_argument(self, name: str, mutable_expr: MutableExpression) -> Any:
        """Return the value for the shared weight. NNI's version has too few groups where one is of several channels."""
        if name == "groups":
            return max(mutable_expr.grid())
        return super().super_init_argument(name, mutable_expr)

    def _freeze_weight_impl(
        self, in_channels: Any, out_channels: Any, kernel_size: Any, groups: Any, **_: Any
    ) -> dict[str, Any]:
        whole = [
            size if isinstance(given, Segments) else given
            for given, size in ((in_channels, self.in_channels), (out_channels, self.out_channels))
        ]
        # Grouped inputs are as many for each filter, whatever the number of groups is.
        if isinstance(in_channels, Segments) and groups != 1:
            whole[0] = (self.in_channels // self.groups) * groups if isinstance(groups, int) else whole[0]
        state = super()._freeze_weight_impl(*whole, kernel_size, groups)
        if isinstance(in_channels, Segments) and groups == 1:
            state["weight"] = in_channels.select(state["weight"], 1)
        return _select_outputs(state, out_channels)

    @classmethod
    def check(cls, module: ParametrizedModule, choices: dict[str, MutableExpression], where: str) -> None:
        """Refuse groups out of proportion, and kernel sizes whose padding does not keep the size of the output.

        Raises:
            UnsupportedSpaceError: names the labels and the padding to use.
        """
        arguments = {"padding": 0, "dilation": 1, **module.trace_kwargs}
        if "groups" in choices:
            names, outcomes = _outcomes(arguments, ("in_channels", "out_channels", "groups"))
            if len({(inputs / groups, outputs / groups) for inputs, outputs, groups in outcomes}) != 1:
                raise UnsupportedSpaceError(
                    f"label '{', '.join(names)}' {where}: groups must stay in proportion to in_channels and "
                    "out_channels (as in a depthwise convolution). Make a LayerChoice of layers instead."
                )
        if "kernel_size" not in choices:
            return
        if (mode := arguments.get("padding_mode", "zeros")) != "zeros":
            labels = ", ".join(sorted(choices["kernel_size"].simplify()))
            raise UnsupportedSpaceError(
                f"label '{labels}' {where}: kernel sizes cannot share one weight with padding_mode='{mode}'. Use "
                "padding_mode='zeros', or make a LayerChoice of layers instead."
            )
        names, outcomes = _outcomes(arguments, ("kernel_size", "padding", "dilation"))
        shrinks = set()
        for kernel, padding, dilation in outcomes:
            if not isinstance(padding, str):
                sizes = (nni_compat.axis_sizes(cls, value) for value in (kernel, padding, dilation))
                shrinks.add(tuple(d * (k - 1) - 2 * p for k, p, d in zip(*sizes, strict=True)))
        if len(shrinks) != 1:
            raise UnsupportedSpaceError(
                f"label '{', '.join(names)}' {where}: outputs of different kernel sizes have different sizes with "
                f"padding {arguments['padding']}. Use padding=kernel_size // 2 with the same nni.choice."
            )


class SlicedBatchNorm2d(_Sliced, nni_compat.MixedBatchNorm2d):
    """``MutableBatchNorm2d`` with a choice of its number of features."""

    sliced = ("num_features",)
    may_be_segmented = ("num_features",)

    def freeze_weight(self, num_features: Any, **_: Any) -> dict[str, Tensor | None]:
        """Return the slices. NNI's version fails without affine parameters."""
        tensors = {name: getattr(self, name) for name in ("weight", "bias", "running_mean", "running_var")}
        if isinstance(num_features, Segments):
            decided = num_features.indices is not None
            return {
                name: num_features.select(tensor, 0) if tensor is not None and decided else tensor
                for name, tensor in tensors.items()
            }
        size = self.num_features if isinstance(num_features, dict) else num_features
        return {name: None if tensor is None else tensor[:size] for name, tensor in tensors.items()}

    def forward_with_args(self, num_features: Any, eps: float, momentum: float, inputs: Tensor) -> Tensor:
        """Run NNI's version; statistics of segments, which it updates in a copy, go back to where they belong."""
        if not isinstance(num_features, Segments) or num_features.indices is None or not self.training:
            return super().forward_with_args(num_features, eps, momentum, inputs)
        statistics = self.freeze_weight(num_features)
        mean, variance = statistics["running_mean"], statistics["running_var"]
        output = nn.functional.batch_norm(
            inputs, mean, variance, statistics["weight"], statistics["bias"], True, momentum, eps
        )
        places = torch.tensor(num_features.indices, device=inputs.device)
        for own, updated in ((self.running_mean, mean), (self.running_var, variance)):
            if own is not None and updated is not own:
                own.index_copy_(0, places, updated)
        return output


class SlicedLayerNorm(_Sliced, nni_compat.MixedLayerNorm):
    """``MutableLayerNorm`` with a choice of its shape."""

    sliced = ("normalized_shape",)


class SlicedMultiheadAttention(_Sliced, nni_compat.MixedMultiHeadAttention):
    """``MutableMultiheadAttention`` with choices of its sizes."""

    sliced = ("embed_dim", "kdim", "vdim")
    batch_first: bool

    @classmethod
    def check(cls, module: ParametrizedModule, choices: dict[str, MutableExpression], where: str) -> None:
        """Refuse sizes of which only some make PyTorch join the three projections into one weight.

        Raises:
            UnsupportedSpaceError: names the labels and the reason.
        """
        names, outcomes = _outcomes({"kdim": None, "vdim": None, **module.trace_kwargs}, ("embed_dim", "kdim", "vdim"))
        joined = {(key or embed) == embed and (value or embed) == embed for embed, key, value in outcomes}
        if len(joined) != 1:
            raise UnsupportedSpaceError(
                f"label '{', '.join(names)}' {where}: where kdim and vdim equal embed_dim PyTorch keeps one weight, "
                "elsewhere three, so the values cannot share. Leave embed_dim out of the values of kdim and vdim."
            )

    def forward_with_args(self, *args: Any, **kwargs: Any) -> Any:
        """Run NNI's version on inputs that still are one tensor where they were.

        PyTorch projects all three at once if they are, and NNI transposes each by itself.
        """
        if not self.batch_first:
            return super().forward_with_args(*args, **kwargs)
        *sizes, query, key, value = args[:8]
        turned = {id(x): x.transpose(1, 0) for x in (query, key, value)}
        self.batch_first = False
        try:
            output, weights = super().forward_with_args(
                *sizes, *(turned[id(x)] for x in (query, key, value)), *args[8:], **kwargs
            )
        finally:
            self.batch_first = True
        return output.transpose(1, 0), weights


def _select_outputs(state: dict[str, Any], kept: Any) -> dict[str, Any]:
    if isinstance(kept, Segments):
        for name in ("weight", "bias"):
            if state[name] is not None:
                state[name] = kept.select(state[name], 0)
    return state


SLICED_OPERATIONS = (
    SlicedLinear,
    SlicedConv2d,
    SlicedBatchNorm2d,
    SlicedLayerNorm,
    SlicedMultiheadAttention,
)
