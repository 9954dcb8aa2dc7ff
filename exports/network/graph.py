"""The graph of a network: its layers and choices, what each of them reads, and which of them the child has.

``network.json`` in a run's folder is ``{"nodes": [...]}``, one object for each :class:`Node` in the order in which they
run. The file may come from anywhere: it only decides what is drawn.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from exports.errors import ArchitectureFileError
from snas_nni.files import parse_json, read_bounded, reason_of, write_atomically

__all__ = ["KINDS", "NETWORK_FILE", "Network", "Node", "read_network", "write_network"]

NETWORK_FILE = "network.json"
KINDS = ("input", "layer", "choice", "inputs", "repeat", "join", "output")
MOST_BYTES = 2**22
MOST_NODES, MOST_EDGES = 2000, 20_000


@dataclass(frozen=True)
class Node:
    """Something that runs.

    Attributes:
        kind: ``layer`` without a choice among modules, ``choice`` of a module, ``inputs`` for a choice among inputs,
            ``repeat`` for a number of blocks, which are nodes of their own, ``join`` where results meet, or ``input``
            and ``output`` of the network.
        name: path of its module, or what joins.
        text: what it is in the child, ``Conv2d 3×3, 16 → 24``.
        labels: of the choices that decide about it.
        inputs: indices of earlier nodes that it reads, each with whether the child reads it.
        group: index of the repeat or choice that it is part of; None for none.
        branch: the candidate of its group that it is part of; empty for none.
        active: whether the child has it.
    """

    kind: str
    name: str
    text: str = ""
    labels: tuple[str, ...] = ()
    inputs: tuple[tuple[int, bool], ...] = ()
    group: int | None = None
    branch: str = ""
    active: bool = True


@dataclass(frozen=True)
class Network:
    """Nodes in the order in which they run; each reads earlier ones only.

    Raises:
        ArchitectureFileError: a node is not as :class:`Node` says, or there are more than 2,000.
    """

    nodes: tuple[Node, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if len(self.nodes) > MOST_NODES or sum(len(node.inputs) for node in self.nodes) > MOST_EDGES:
            raise _broken("(file)", f"has more than {MOST_NODES} nodes or {MOST_EDGES} edges")
        for index, node in enumerate(self.nodes):
            where = f"nodes[{index}]"
            if node.kind not in KINDS:
                raise _broken(f"{where}.kind", f"must be one of {', '.join(KINDS)}")
            if not all(0 <= source < index for source, _ in node.inputs):
                raise _broken(f"{where}.inputs", "must be earlier nodes")
            if node.group is not None and not 0 <= node.group < index:
                raise _broken(f"{where}.group", "must be an earlier node")

    def groups_of(self, index: int) -> list[int]:
        """Return what a node is part of, from the inside out."""
        found: list[int] = []
        group = self.nodes[index].group
        while group is not None:
            found.append(group)
            group = self.nodes[group].group
        return found

    @classmethod
    def from_document(cls, document: object) -> Network:
        """Read a parsed JSON document.

        Raises:
            ArchitectureFileError: naming the key path that is wrong.
        """
        nodes = document.get("nodes") if isinstance(document, dict) else None
        if not isinstance(nodes, list) or len(nodes) > MOST_NODES:
            raise _broken("nodes", f"must be a list of at most {MOST_NODES} nodes")
        return cls(tuple(_node(f"nodes[{index}]", entry) for index, entry in enumerate(nodes)))


def _node(where: str, entry: object) -> Node:
    if not isinstance(entry, dict):
        raise _broken(where, "must be an object")
    texts = {name: entry.get(name, "") for name in ("kind", "name", "text", "branch")}
    labels, inputs, group, active = (entry.get(name) for name in ("labels", "inputs", "group", "active"))
    for name, text in texts.items():
        if not isinstance(text, str):
            raise _broken(f"{where}.{name}", "must be a text")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise _broken(f"{where}.labels", "must be a list of texts")
    if not isinstance(inputs, list) or not all(_is_edge(edge) for edge in inputs):
        raise _broken(f"{where}.inputs", "must be pairs of a whole number and true or false")
    if group is not None and type(group) is not int:
        raise _broken(f"{where}.group", "must be a whole number or null")
    edges = tuple((edge[0], edge[1]) for edge in inputs)
    return Node(**texts, labels=tuple(labels), inputs=edges, group=group, active=active is True)


def _is_edge(edge: object) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and type(edge[0]) is int and isinstance(edge[1], bool)


def _broken(key: str, problem: str) -> ArchitectureFileError:
    return ArchitectureFileError(key, problem, "Write the file again with a search or derive, or remove it")


def write_network(folder: Path, network: Network) -> Path:
    """Write ``network.json`` into a run's folder; return its path."""
    path = folder / NETWORK_FILE
    document: dict[str, Any] = {"nodes": [asdict(node) for node in network.nodes]}
    write_atomically(path, (json.dumps(document, separators=(",", ":")) + "\n").encode())
    return path


def read_network(folder: Path) -> Network | None:
    """Read ``network.json`` of a run's folder; None if there is none.

    Raises:
        ArchitectureFileError: it cannot be read, or is not as it must be.
    """
    path = folder / NETWORK_FILE
    if not path.is_file():
        return None
    try:
        return Network.from_document(parse_json(read_bounded(path, MOST_BYTES)))
    except ArchitectureFileError as error:
        raise error.in_file(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _broken("(file)", f"cannot be read: {reason_of(error, 200)}").in_file(path) from error
