"""A table in two steps: which children to measure, and what their times say about each candidate.

Between the two anything may measure: this machine, or a device that gets the children as files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.errors import SettingError
from snas_nni.resources.costs import count_supernet
from snas_nni.resources.latency.calibration import calibration_of
from snas_nni.resources.latency.design import designed_children
from snas_nni.resources.latency.drawing import random_children
from snas_nni.resources.latency.fitting import fit_parts
from snas_nni.resources.latency.parts import Structure, parts_of
from snas_nni.resources.latency.table import LatencyTable

__all__ = ["HELD_OUT", "MeasurementPlan", "plan_measurements"]

HELD_OUT = 20
"""Random children that a table is compared with, and not fitted to."""


@dataclass(frozen=True)
class MeasurementPlan:
    """The children of a space that a table is made from.

    Attributes:
        costs: of the space.
        structure: the parts of the space.
        fitted: NNI samples of the children that the table is fitted to.
        held_out: NNI samples of the children that it is compared with.
    """

    costs: CostModel
    structure: Structure
    fitted: Sequence[dict[str, Any]]
    held_out: Sequence[dict[str, Any]]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """All children to measure, those that the table is fitted to first."""
        return [*self.fitted, *self.held_out]

    def table(
        self,
        milliseconds: Sequence[float],
        device: Mapping[str, Any] | None = None,
        measurement: Mapping[str, Any] | None = None,
    ) -> LatencyTable:
        """Return the table, with how well it predicts the held-out children.

        Args:
            milliseconds: of each of :attr:`samples`.
            device: description of the machine.
            measurement: how it was measured.

        Raises:
            SettingError: there is not one time above 0 for each child.
        """
        if len(milliseconds) != len(self.samples):
            raise SettingError(f"there are {len(self.samples)} children and {len(milliseconds)} times.")
        count = len(self.fitted)
        parts = fit_parts(self.structure, self.costs, list(zip(self.fitted, milliseconds[:count], strict=True)))
        total, measured = Polynomial.sum(parts.values()), milliseconds[count:]
        predicted = [total.value(self.costs.indices(sample)) for sample in self.held_out]
        calibration = calibration_of(predicted, measured).as_document() if len(measured) > 1 else {}
        children = {"children": count, **(measurement or {})}
        return LatencyTable(parts, dict(device or {}), children, calibration)


def plan_measurements(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    inputs: Tensor | tuple[Any, ...],
    *,
    children: int | None = None,
    held_out: int = HELD_OUT,
    seed: int = 0,
) -> MeasurementPlan:
    """Choose the children of a space whose times tell what each candidate takes.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        inputs: an example of one input, or the tuple of arguments of ``forward``.
        children: how many the table is fitted to, at least 3; None for as many as the space has to tell apart.
        held_out: how many random ones are compared with it beside, at least 0.
        seed: of the children.

    Raises:
        SettingError: a number outside its range.
        SnasError: an operation of the space cannot be counted.
    """
    if (children is not None and children < 3) or held_out < 0:
        raise SettingError(f"children must be at least 3 and held_out at least 0, got {children} and {held_out}.")
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    costs = count_supernet(supernet, distribution, arguments)
    structure = parts_of(supernet, distribution, costs, arguments)
    fitted = designed_children(structure.parts, costs, distribution.choices, children, seed, structure.alive)
    others = random_children(distribution.choices, held_out, seed + 1, fitted) if held_out else []
    return MeasurementPlan(costs, structure, fitted, others)
