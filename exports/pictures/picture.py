"""A picture of a cell or of the choices, and the files that show an architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from exports.architecture.files import write_file
from exports.architecture.record import Architecture
from exports.errors import ArchitectureFileError
from exports.network.graph import Network, read_network
from exports.pictures.choices import choices_drawing
from exports.pictures.graph import CellGraph
from exports.pictures.narrow import narrow_drawing
from exports.pictures.network import network_drawing
from exports.pictures.shapes import Drawing
from exports.pictures.svg import to_svg
from exports.pictures.wide import wide_drawing
from snas_nni.showing.tables import html_table

__all__ = ["Picture", "cell_picture", "choices_picture", "network_picture", "pictures_of", "save_pictures"]

NARROW = 350.0
"""Width of a picture for phones, in pixels."""


@dataclass(frozen=True)
class Picture:
    """A picture that can be written as SVG or PNG; equal pictures give equal bytes.

    Attributes:
        name: what is shown, ``normal`` for the cell of that name.
        drawing: for wide pages.
        narrow: the same for phones, with other proportions.
    """

    name: str
    drawing: Drawing
    narrow: Drawing

    def svg(self, narrow: bool = False) -> str:
        """Return the text of an SVG file, which follows its reader's light or dark mode."""
        return to_svg(self.narrow if narrow else self.drawing)

    def _repr_svg_(self) -> str:
        """Return what a notebook shows."""
        return self.svg()

    def png(self, narrow: bool = False, scale: float = 2.0) -> bytes:
        """Return the bytes of a PNG file, on white, with ``scale`` pixels per unit of the drawing."""
        from exports.pictures.png import to_png  # on demand: matplotlib takes seconds, and SVG needs none of it

        return to_png(self.narrow if narrow else self.drawing, scale)


def cell_picture(edges: Iterable[Mapping[str, Any]], name: str = "", outputs: Iterable[int] | None = None) -> Picture:
    """Draw one cell.

    Args:
        edges: ``{"from", "to", "op", "probability"?}`` each, as in ``Architecture.cells``.
        name: of the cell, for the headline.
        outputs: numbers of the nodes that leave the cell. Where it is not given, a cell of one input ends in its
            last node and any other concatenates all nodes that it computes.

    Raises:
        ArchitectureFileError: there is no edge, there are more than 400, or one does not lead forward.
    """
    graph = CellGraph.of(edges, outputs)
    title = f"{name} cell" if name and "cell" not in name else name or "cell"
    title = title[0].upper() + title[1:]
    return Picture(name or "cell", wide_drawing(graph, title), narrow_drawing(graph, title))


def choices_picture(architecture: Architecture) -> Picture:
    """Draw the value and probability of every label."""
    drawing = choices_drawing(architecture.sample, architecture.probabilities, "Choices")
    return Picture("choices", drawing, drawing)


def network_picture(architecture: Architecture, network: Network) -> Picture:
    """Draw a network without cells: what runs in its order, with the candidates of every choice.

    Args:
        architecture: the child's record, which has the choices and their probabilities.
        network: of the same child.
    """
    values = {label: _values(architecture, label) for label in architecture.sample}
    return Picture(
        "network", network_drawing(network, values, "Network"), network_drawing(network, values, "Network", NARROW)
    )


def _values(architecture: Architecture, label: str) -> list[tuple[str, float | None, bool]]:
    value = architecture.sample[label]
    chosen = list(map(str, value)) if isinstance(value, list) else [str(value)]
    probabilities = architecture.probabilities.get(label, {})
    names = [*probabilities, *(name for name in chosen if name not in probabilities)]
    return [(name, probabilities.get(name), name in chosen) for name in names]


def architecture_html(architecture: Architecture) -> str:
    """Return what a notebook shows of an architecture: its size, what was measured, its picture.

    A picture that cannot be drawn is left out; its reason is told in its place.
    """
    arguments = ", ".join(f"{name}={value!r}" for name, value in architecture.space.arguments.items())
    rows = [("space", f"{architecture.space.class_path}({arguments})"), ("parameters", f"{architecture.parameters:,}")]
    rows += [(name, f"{value:.4g}") for name, value in architecture.metrics.items()]
    if architecture.entropy:
        rows.append(("entropy left", f"{sum(architecture.entropy.values()):.2f} nats"))
    try:
        drawn = "".join(f"<div>{picture.svg()}</div>" for picture in pictures_of(architecture))
    except ArchitectureFileError as error:
        drawn = f"<p>{escape(str(error))}</p>"
    return html_table("Architecture", rows) + drawn


def pictures_of(architecture: Architecture) -> list[Picture]:
    """Draw every cell of an architecture; where it has none its network, or its choices alone.

    The network is read from ``network.json`` beside the file that the architecture was loaded from.

    Raises:
        ArchitectureFileError: a cell cannot be drawn, see :func:`cell_picture`, or network.json is broken.
    """
    cells = [cell_picture(edges, name) for name, edges in architecture.cells.items() if edges]
    if cells:
        return cells
    network = read_network(architecture.file.parent) if architecture.file is not None else None
    return [choices_picture(architecture) if network is None else network_picture(architecture, network)]


def save_pictures(architecture: Architecture, folder: str | Path) -> list[Path]:
    """Write ``cell_NAME.svg`` and ``.png`` of every cell and return the paths.

    Without cells they are called ``network`` or ``choices``.

    Raises:
        ArchitectureFileError: a cell cannot be drawn, or a file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchitectureFileError("(file)", f"cannot be made: {error}", "Give another folder", folder) from error
    written: list[Path] = []
    for index, picture in enumerate(pictures_of(architecture)):
        # A cell's name comes from a file: it may hold what a file name may not.
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in picture.name)[:80]
        name = safe if picture.name in ("choices", "network") and not architecture.cells else f"cell_{safe or index}"
        name = f"{name}_{index}" if folder / f"{name}.svg" in written else name
        for ending, content in ((".svg", picture.svg().encode()), (".png", picture.png())):
            write_file(folder / (name + ending), content)
            written.append(folder / (name + ending))
    return written
