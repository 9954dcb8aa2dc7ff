"""A forward pass of the supernet in which every candidate runs once, each under the condition that makes it run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from snas_nni.distribution.polynomial import ONE, Polynomial

__all__ = ["Owner", "Trace"]


Owner = tuple[str, int] | None
"""Label and layer of a choice: which of the modules that share the label. None: no choice decides."""


class Trace:
    """Tells whoever watches the pass under which condition the code that runs now is part of the child.

    Modules of the supernet call :meth:`when` around each candidate. Layers whose weights are sliced (channel and
    kernel choices) run with one value per label, from ``values``.

    Args:
        values: candidate index for labels that slice; others do not look. For channels that a child may lack, 1 where
            the pass runs without them.
        observer: called with ``True`` when a condition is entered and ``False`` when it is left.
    """

    def __init__(self, values: Mapping[str, int] | None = None, observer: Callable[[bool], None] | None = None) -> None:
        self.values = dict(values or {})
        self.slicing_labels: set[str] = set()
        self.dropped_channels: dict[str, Polynomial] = {}
        self.reached: dict[tuple[str, int], Polynomial] = {}
        """By label and layer of each choice that was met: the condition under which the child has it at all."""
        self._observer = observer
        self._conditions = [ONE]
        self._owners: list[Owner] = [None]

    @property
    def condition(self) -> Polynomial:
        """The condition of what runs now: a polynomial that is 1 where the child runs it (n where n times)."""
        return self._conditions[-1]

    @property
    def owner(self) -> Owner:
        """The choice that decides about what runs now, the innermost if they are nested."""
        return self._owners[-1]

    @contextmanager
    def when(self, condition: Polynomial, owner: Owner) -> Iterator[None]:
        """What runs inside the block is part of the child when ``condition`` holds too."""
        if owner is not None:
            self.reached[owner] = self.condition
        self._conditions.append(self._conditions[-1] * condition)
        self._owners.append(owner)
        if self._observer is not None:
            self._observer(True)
        try:
            yield
        finally:
            if self._observer is not None:
                self._observer(False)
            self._conditions.pop()
            self._owners.pop()

    def value_index(self, label: str) -> int:
        """Which candidate of a slicing label this pass runs with."""
        self.slicing_labels.add(label)
        return self.values.get(label, 0)

    def drops_channels(self, name: str, condition: Polynomial) -> bool:
        """Whether this pass runs as a child that lacks some channels; noted, so that other passes run otherwise.

        Args:
            name: of these channels; equal for cells that share their choices.
            condition: is 1 where the child lacks them.
        """
        if not condition.terms:
            return False
        self.dropped_channels[name] = condition
        return bool(self.values.get(name, 0))
