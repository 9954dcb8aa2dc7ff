"""What all sliced layers have in common: their arguments come from the sample, their children are plain layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from snas_nni.supernet.sliced.segments import parts_of, segmented

__all__ = ["SampledArguments", "SlicedOperation", "mutable_arguments", "outcomes"]


def mutable_arguments(module: ParametrizedModule) -> dict[str, MutableExpression]:
    """The arguments of a parametrised module that hold choices, by name (or by position for unnamed ones)."""
    positional = {str(i): a for i, a in enumerate(module.trace_args) if isinstance(a, MutableExpression)}
    named = {k: a for k, a in module.trace_kwargs.items() if isinstance(a, MutableExpression)}
    return {**positional, **named}


def outcomes(arguments: dict[str, Any], names: Sequence[str]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The labels behind some arguments, and the values that these can have together."""
    labels: dict[str, Any] = {}
    for name in names:
        if isinstance(arguments[name], MutableExpression):
            labels.update(arguments[name].simplify())
    found = []
    for values in itertools.product(*(mutable.values for mutable in labels.values())):
        sample = dict(zip(labels, values, strict=True))
        found.append(
            tuple(a.freeze(sample) if isinstance(a, MutableExpression) else a for a in map(arguments.get, names))
        )
    return sorted(labels), found


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
        if isinstance(operation, SlicedOperation) and name in operation.segmented:
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


class SlicedOperation(SampledModule):
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
