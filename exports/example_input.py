"""What one input of a network looks like: its shape, its number type, the values that occur in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snas_nni.errors import SettingError
from snas_nni.files import readable

if TYPE_CHECKING:
    from torch import Tensor  # a verb that only reads files starts without it

__all__ = ["DTYPES", "InputExample"]

WHOLE = ("uint8", "int8", "int16", "int32", "int64", "bool")
DTYPES = ("float32", "float64", "float16", "bfloat16", *WHOLE)
MOST_DIMENSIONS = 16
MOST_ELEMENTS = 2**28


@dataclass(frozen=True)
class InputExample:
    """One input, as far as making others like it needs to know.

    Attributes:
        shape: of one input without the batch; each side at least 1.
        dtype: torch's name of the number type, such as "float32", or "int64" for token numbers.
        low: smallest value that an input may have; None if that is not known.
        high: largest one, at least ``low``.

    Raises:
        SettingError: names the part that is out of its range.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if len(self.shape) > MOST_DIMENSIONS or not all(type(side) is int and side >= 1 for side in self.shape):
            raise SettingError(f"input shape: must hold whole numbers of at least 1, not {readable(self.shape)}")
        if math.prod(self.shape) > MOST_ELEMENTS:
            raise SettingError(f"input shape: {readable(self.shape)} has more than {MOST_ELEMENTS} elements")
        if self.dtype not in DTYPES:
            raise SettingError(f"input dtype: {readable(self.dtype)} is not one of {', '.join(DTYPES)}")
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not all(type(bound) in (int, float) and math.isfinite(bound) for bound in bounds):
            raise SettingError(
                f"input range: must be two finite numbers, not {readable(self.low)} and {readable(self.high)}"
            )
        if len(bounds) == 1 or (len(bounds) == 2 and bounds[0] > bounds[1]):
            raise SettingError(f"input range: needs a smallest and a largest value, not {self.low} and {self.high}")
        if bounds and self.is_whole and any(bound != int(bound) or abs(bound) > 2**62 for bound in bounds):
            raise SettingError(f"input range: {self.dtype} holds whole numbers, not {self.low} to {self.high}")

    @property
    def is_whole(self) -> bool:
        """Whether inputs are whole numbers, such as numbers of tokens."""
        return self.dtype in WHOLE

    @classmethod
    def of(cls, inputs: Tensor, *others: Tensor) -> InputExample:
        """Describe inputs that occur.

        Args:
            inputs: shape ``(N, *shape)``, N at least 1.
            others: more of them, for the range.
        """
        lowest = min(_number(each.min()) for each in (inputs, *others) if each.numel())
        highest = max(_number(each.max()) for each in (inputs, *others) if each.numel())
        known = math.isfinite(lowest) and math.isfinite(highest)
        return cls(
            tuple(inputs.shape[1:]),
            str(inputs.dtype).removeprefix("torch."),
            lowest if known else None,
            highest if known else None,
        )

    def batch(self, size: int = 1, seed: int = 0) -> Tensor:
        """Make inputs like this one, always the same ones; shape ``(size, *shape)``.

        Whole numbers are drawn from the range (zeros if it is not known), others uniformly from the range, or from a
        standard normal distribution.
        """
        import torch

        generator = torch.Generator().manual_seed(seed)
        shape, dtype = (size, *self.shape), getattr(torch, self.dtype)
        if self.is_whole:
            if self.low is None or self.high is None:
                return torch.zeros(shape, dtype=dtype)
            return torch.randint(int(self.low), int(self.high) + 1, shape, generator=generator).to(dtype)
        if self.low is None or self.high is None:
            return torch.randn(shape, generator=generator).to(dtype)
        return torch.rand(shape, generator=generator).mul_(self.high - self.low).add_(self.low).to(dtype)

    def as_document(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        document: dict[str, Any] = {"shape": list(self.shape), "dtype": self.dtype}
        if self.low is not None:
            document.update(low=self.low, high=self.high)
        return document

    @classmethod
    def from_document(cls, document: object, where: str = "input") -> InputExample:
        """Read plain values from a file that may say anything.

        Args:
            document: what :meth:`as_document` returned, or something else.
            where: the file and the key, for messages.

        Raises:
            SettingError: names ``where`` and what is wrong there.
        """
        if not isinstance(document, dict) or not isinstance(document.get("shape"), (list, tuple)):
            raise SettingError(f"{where}: must have a shape and a dtype, not {readable(document)}")
        unknown = set(document) - {"shape", "dtype", "low", "high"}
        if unknown:
            raise SettingError(f"{where}: there is no key {readable(min(map(str, unknown)))}")
        try:
            return cls(**{**document, "shape": tuple(document["shape"])})
        except (SettingError, TypeError) as error:
            raise SettingError(f"{where}: {error}") from None

    def __str__(self) -> str:
        values = "" if self.low is None else f", {self.low:g} to {self.high:g}"
        return f"shape {_sides(self.shape)}, {self.dtype}{values}"


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "()"


def _number(value: Tensor) -> float | int:
    return int(value) if not value.is_floating_point() else float(value)
