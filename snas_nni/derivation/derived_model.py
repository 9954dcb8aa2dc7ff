"""The model that NNI's experiment exports, with this project's derivation behind it."""

from __future__ import annotations

from typing import Any

from nni.nas.space import RawFormatModelSpace
from torch import nn

from snas_nni.derivation.child import derive_child

__all__ = ["DerivedModel"]


class DerivedModel(RawFormatModelSpace):
    """NNI's frozen model space, with :func:`~snas_nni.derivation.child.derive_child` in place of NNI's ``freeze``."""

    @classmethod
    def at(cls, model_space: RawFormatModelSpace, sample: dict[str, Any]) -> DerivedModel:
        """The model at an NNI sample."""
        frozen = model_space.freeze(sample)
        model = cls(frozen.model_space, frozen.evaluator)
        model.sample, model.status = frozen.sample, frozen.status
        return model

    def executable_model(self) -> nn.Module:
        """The child with inherited weights."""
        return derive_child(self.model_space, self.sample)
