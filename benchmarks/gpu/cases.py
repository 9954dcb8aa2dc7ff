"""Which steps are measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["Case", "cases"]


@dataclass(frozen=True)
class Case:
    """One process, or as many as it has devices.

    Attributes:
        strategy: snas, gumbel, darts, or child: the child trained alone.
        space: hub (NNI's DARTS) or snas.
        precision: of Lightning's Trainer.
        channels_last: the memory order of the images.
        compiled: torch.compile on every candidate of the supernet, since which of them run changes from step to step;
            on the whole child.
        devices: that share the work, each with a batch of its own.
        temperature: that the steps are at, from 1 to 0.03.
    """

    strategy: str
    space: str
    precision: str = "32-true"
    channels_last: bool = False
    compiled: bool = False
    devices: int = 1
    temperature: float = 1.0

    @property
    def name(self) -> str:
        """As in the table."""
        return ", ".join(
            [
                self.space,
                self.strategy,
                self.precision,
                *(["channels-last"] if self.channels_last else []),
                *(["compiled"] if self.compiled else []),
                *([f"{self.devices} devices"] if self.devices > 1 else []),
                f"temperature {self.temperature:g}",
            ]
        )

    def job(self) -> dict[str, Any]:
        """For the process, as JSON."""
        return asdict(self)


def cases(devices: int, quick: bool) -> list[Case]:
    """All cases of a machine.

    Args:
        devices: that the machine has.
        quick: one of each kind only, to show that they run.
    """
    found: list[Case] = []
    for space in ("snas",) if quick else ("hub", "snas"):
        plain = Case("snas", space)
        best = replace(plain, precision="bf16-mixed", channels_last=True)
        found += [plain, replace(plain, precision="bf16-mixed"), best, replace(best, compiled=True)]
        found += [replace(best, temperature=temperature) for temperature in ((0.1,) if quick else (0.3, 0.1, 0.03))]
        found += [replace(best, strategy="child", temperature=0.03)]
        found += [replace(best, strategy="child", temperature=0.03, compiled=True)]
        found += [Case(rival, space) for rival in (("gumbel",) if quick else ("gumbel", "darts"))]
        if devices > 1:
            found.append(replace(best, devices=devices))
    return found
