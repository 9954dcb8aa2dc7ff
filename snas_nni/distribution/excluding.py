"""Categories that no child may have: the distribution is conditioned on not having them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from snas_nni.errors import SnasError

__all__ = ["Excluded"]


class Excluded:
    """Excluded categories of each label.

    Args:
        shapes: of the rows of logits of each label, ``(rows, C)``.
        categories: indices by label, for labels of one categorical variable (all but gates of any number of
            inputs). Each label keeps at least one.

    Attributes:
        categories: ascending indices by label; labels of which nothing is excluded are not in it.

    Raises:
        SnasError: an unknown label, a category that does not exist, or none that would be left.
    """

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], categories: Mapping[str, Iterable[int]] | None = None
    ) -> None:
        self._shapes = dict(shapes)
        self._masks: dict[tuple[str, torch.device], Tensor] = {}
        self.categories: dict[str, tuple[int, ...]] = {}
        for label, given in (categories or {}).items():
            indices = tuple(sorted(set(given)))
            if not indices:
                continue
            rows, size = self._shapes.get(label, (0, 0))
            if rows != 1 or not 0 <= indices[0] <= indices[-1] < size:
                raise SnasError(f"label '{label}': categories {list(indices)} cannot be excluded, there are none such.")
            if len(indices) == size:
                raise SnasError(f"label '{label}': all of its candidates are excluded; no child is left.")
            self.categories[label] = indices

    @property
    def leaves_one(self) -> bool:
        """Whether every label has one category left."""
        return all(size - len(self.categories.get(label, ())) == 1 for label, (_, size) in self._shapes.items())

    def masked(self, label: str, rows: Tensor) -> Tensor:
        """Rows of logits, shape ``(..., rows, C)``, with -inf in place of the excluded categories of ``label``."""
        if label not in self.categories:
            return rows
        key = (label, rows.device)
        if key not in self._masks:
            mask = torch.zeros(rows.shape[-1], dtype=torch.bool)
            mask[list(self.categories[label])] = True
            self._masks[key] = mask.to(rows.device)
        return rows.masked_fill(self._masks[key], -torch.inf)
