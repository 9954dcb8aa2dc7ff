"""The derived cells in plain words: which node feeds which, through which operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace

__all__ = ["cells_of"]

NNI_OPERATION_LABEL = re.compile(r"(?P<cell>.+)/op_(?P<node>\d+)_(?P<slot>\d+)")

Cells = dict[str, list[dict[str, Any]]]


def cells_of(
    space_class: type[ModelSpace],
    sample: Mapping[str, Any],
    probabilities: Mapping[str, Mapping[str, float]],
) -> Cells:
    """Return ``{cell: [{"from", "to", "op", "label"?, "probability"?}, ...]}`` of a sample; often empty.

    A space that has a ``describe_cells(sample)`` class or static method says itself what its cells are. It
    returns the edges that live, each with ``from``, ``to`` and ``op``, and may add the ``label`` that chose
    the operation. Otherwise the labels of NNI's ``Cell`` are read; a space with neither has no cells.

    Args:
        space_class: the model space's class.
        sample: ``{label: value}``.
        probabilities: ``{label: {value as text: probability}}``, for the edges whose label is known.
    """
    describe = getattr(space_class, "describe_cells", None)
    described = describe(sample) if describe is not None else nni_cells(sample)
    return {
        str(cell): [with_probability(cell, edge, probabilities) for edge in edges] for cell, edges in described.items()
    }


def nni_cells(sample: Mapping[str, Any]) -> Cells:
    """Read the edges of NNI's ``Cell`` modules off their labels, ``cell/op_2_0`` and ``cell/input_2_0``."""
    found: list[tuple[str, int, int, str, list[int]]] = []
    for label in sample:
        match = NNI_OPERATION_LABEL.fullmatch(label)
        if match is None:
            continue
        cell, node, slot = match["cell"], int(match["node"]), int(match["slot"])
        inputs = sample.get(f"{cell}/input_{node}_{slot}")
        if inputs is None:
            continue
        found.append((cell, node, slot, label, list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]))
    cells: Cells = {}
    for cell, node, _, label, inputs in sorted(found):
        edges = cells.setdefault(cell, [])
        edges += [{"from": source, "to": node, "op": str(sample[label]), "label": label} for source in inputs]
    return cells


def with_probability(
    cell: str, edge: Mapping[str, Any], probabilities: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Return ``edge`` with the probability of its operation, where the operation's label is known."""
    completed = dict(edge)
    # Cells with one choice for every pair of nodes commonly name it so.
    label = edge.get("label", f"{cell}/edge_{edge.get('from')}_{edge.get('to')}")
    probability = probabilities.get(label, {}).get(str(edge.get("op")))
    if probability is not None:
        completed.setdefault("probability", probability)
    return completed
