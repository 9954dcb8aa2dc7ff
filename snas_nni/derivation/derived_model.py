"""The model that NNI's experiment exports, with this project's derivation behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni.nas.space import RawFormatModelSpace
from torch import nn

from snas_nni.derivation.child import derive_child

__all__ = ["DerivedModel"]


class DerivedModel(RawFormatModelSpace):
    """NNI's frozen model space, with :func:`~snas_nni.derivation.child.derive_child` in place of NNI's ``freeze``.

    Attributes:
        derive: gets the supernet and returns the child; None for the child with the supernet's own statistics.
    """

    derive: Callable[[Any], nn.Module] | None = None

    @classmethod
    def at(
        cls, model_space: RawFormatModelSpace, sample: dict[str, Any], derive: Callable[[Any], nn.Module] | None = None
    ) -> DerivedModel:
        """The model at an NNI sample."""
        frozen = model_space.freeze(sample)
        model = cls(frozen.model_space, frozen.evaluator)
        model.sample, model.status, model.derive = frozen.sample, frozen.status, derive
        return model

    def executable_model(self) -> nn.Module:
        """The child with inherited weights."""
        if self.derive is not None:
            return self.derive(self.model_space)
        return derive_child(self.model_space, self.sample)
