"""The graph of a child, from one pass of its supernet in which every candidate runs under its condition.

Modules without choices are one node each, as high up as they are; mutable layers, choices and repeats are nodes of
their own. What leads from one to the next is told by the tensors: each remembers the nodes that it comes from through
the functions that the code in between calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nni.nas.nn.pytorch import InputChoice, LayerChoice, Repeat
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from exports.example_input import InputExample
from exports.network.descriptions import describe, is_small
from exports.network.graph import Network, Node
from snas_nni.cpu_kernels.memory_format import order_as_given
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import Choice, chosen_categories
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.trace import Trace
from snas_nni.supernet.base import SampledModule
from snas_nni.supernet.evaluating import evaluating

__all__ = ["trace_network"]

Sources = tuple[int, ...]
"""Nodes that a tensor comes from."""

MANY = 60
"""From so many nodes on, a module whose choices are sizes of layers only is one node."""


def trace_network(
    supernet: nn.Module, distribution: ArchitectureDistribution, sample: Mapping[str, Any], example: InputExample
) -> Network:
    """Trace the graph of a child; modes, gradients and statistics of the supernet are left as they are.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        sample: NNI sample of the child.
        example: what one input looks like.

    Raises:
        SnasError: candidates of unequal shapes, by label.
        ArchitectureFileError: there are more than 2,000 nodes.
    """
    network = _traced(supernet, distribution, sample, example, fine=True)
    if len(network.nodes) > MANY:
        network = _traced(supernet, distribution, sample, example, fine=False)
    return network


def _traced(
    supernet: nn.Module,
    distribution: ArchitectureDistribution,
    sample: Mapping[str, Any],
    example: InputExample,
    fine: bool,
) -> Network:
    choices = distribution.choices
    trace = Trace({str(label): chosen_categories(choice, sample)[0] for label, choice in choices.items()})
    tracer = _Tracer(trace, choices, dict(sample))
    handles = list(_hooks(supernet, tracer, fine))
    weight = next(supernet.parameters(), None)
    device = "cpu" if weight is None else weight.device
    inputs = tree_map(lambda each: each.to(device) if isinstance(each, Tensor) else each, example.batch())
    tracer.begin(inputs)
    try:
        with order_as_given(), evaluating(supernet, distribution, trace), tracer:
            output = supernet(*inputs) if isinstance(inputs, tuple) else supernet(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Network(_reached(_tidied(tracer.end(output), tracer.small)))


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _hooks(supernet: nn.Module, tracer: _Tracer, fine: bool) -> Iterator[Any]:
    """Hook the modules that are nodes, and the blocks of repeats."""
    covered: set[Any] = set()
    repeats: list[Any] = []
    named: Iterator[tuple[str, Any]] = supernet.named_modules()
    for name, module in named:
        if module in covered or module is supernet:
            continue
        sampled = isinstance(module, SampledModule)
        if sampled and isinstance(module, Repeat):
            kind = "repeat"
            repeats.append(module)
        elif sampled and isinstance(module, LayerChoice):
            kind = "choice"
            # Rows for the choices inside, none for the rest.
            covered.update(each for each in module.modules() if not any(map(_decides, each.modules())))
        elif sampled and isinstance(module, InputChoice):
            kind = "inputs"
        else:
            choices = [each for each in module.modules() if _decides(each)]
            if choices not in ([], [module]) and (fine or any(map(_has_branches, choices))):
                continue
            kind = "layer"
            covered.update(module.modules())
        yield module.register_forward_pre_hook(tracer.before(name, kind), with_kwargs=True)
        yield module.register_forward_hook(tracer.after)
    for repeat in repeats:  # last, because a block's own hook gives its output another tensor
        for block in repeat.blocks:
            yield block.register_forward_hook(tracer.after_block(repeat))


def _decides(module: Any) -> bool:
    return bool(_labels(module))


def _has_branches(module: nn.Module) -> bool:
    return isinstance(module, (LayerChoice, InputChoice, Repeat))


def _labels(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, SampledModule):
        return tuple(map(str, module.readers))
    # A layer that a space of NNI's slices by itself asks a policy, which reads.
    return tuple(map(str, getattr(getattr(module, "sampling_policy", None), "readers", {})))


class _Tracer(TorchFunctionMode):
    """Collects nodes while the supernet runs.

    Args:
        trace: of the pass.
        choices: of the distribution.
        sample: of the child.
    """

    def __init__(self, trace: Trace, choices: Mapping[str, Choice], sample: dict[str, Any]) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.small: set[int] = set()
        self._trace = trace
        self._sample = sample
        self._names = {str(label): [str(value) for value in each.candidates] for label, each in choices.items()}
        self._present = {
            str(label): {index for index, value in enumerate(each.candidates) if value in _values(sample[label])}
            for label, each in choices.items()
        }
        # The tensors themselves are kept, so that no other one gets the number of one that is gone.
        self._sources: dict[int, tuple[Tensor, Sources]] = {}
        self._inside = 0  # modules whose insides are not looked at
        self._open: list[tuple[int, str, list[Sources]] | None] = []
        self._groups: list[int] = []
        self._blocks: dict[nn.Module, list[Any]] = {}  # what each block of a repeat returned

    # ---- what the hooks call ---------------------------------------------------------------------------------------

    def before(self, name: str, kind: str) -> Any:
        """Return a hook that makes a module's node."""

        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            labels = _labels_inside(module) if kind == "layer" else _labels(module)
            if self._inside and kind == "layer" and not labels:
                self._open.append(None)  # part of a candidate, whose name says what it is
                return
            read = [self._sources_of(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
            node = self._add(kind, name, _text(module, kind, self._sample), labels, read)
            if kind == "layer" and is_small(_in_the_child(module, self._sample)):
                self.small.add(node)
            self._open.append((node, kind, read))
            self._inside += kind != "repeat"
            if kind in ("choice", "repeat"):
                self._groups.append(node)

        return hook

    def after(self, module: nn.Module, args: Any, output: Any) -> Any:
        """Say what a module's outputs come from; they are new tensors, as a skip returns what it was given."""
        opened = self._open.pop()
        if opened is None:
            return output
        node, kind, read = opened
        self._inside -= kind != "repeat"
        if kind in ("choice", "repeat"):
            self._groups.pop()
        if self._inside:
            return output
        sources: Sources = (node,)
        if kind == "repeat":
            depth, blocks = _depth(module, self._sample), self._blocks.pop(module, [])
            of_blocks = [each for each in tree_leaves(blocks[depth - 1]) if isinstance(each, Tensor)] if depth else []
            sources = self._sources_of(of_blocks[-1]) if of_blocks else read[0] if read else ()
        output = tree_map(lambda each: each.detach() if isinstance(each, Tensor) else each, output)
        self._remember(output, sources)
        return output

    def after_block(self, repeat: nn.Module) -> Any:
        """Return a hook that notes what a block of a repeat returned."""

        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self._blocks.setdefault(repeat, []).append(output)

        return hook

    # ---- the ends ----------------------------------------------------------------------------------------------------

    def begin(self, inputs: Any) -> None:
        """Make the node of the network's input."""
        self._remember(inputs, (self._add("input", "input", "", (), []),))

    def end(self, output: Any) -> list[Node]:
        """Make the node of its output; return all."""
        read = [self._sources_of(each) for each in tree_leaves(output) if isinstance(each, Tensor)]
        self._add("output", "output", "", (), read[:1])
        return self.nodes

    # ---- in between --------------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass on what results come from; where several nodes' results meet there is a node of its own."""
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        if self._inside or not tensors:
            return result
        given = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        read = [sources for each in given if (sources := self._sources_of(each))]
        merged = tuple(dict.fromkeys(source for sources in read for source in sources))
        if len(merged) > 1 and len(set(read)) > 1:
            merged = (self._add("join", getattr(func, "__name__", "join"), "", (), read),)
        if merged:
            self._remember(result, merged)
        return result

    def _sources_of(self, tensor: Tensor) -> tuple[int, ...]:
        found = self._sources.get(id(tensor))
        return found[1] if found is not None else ()

    def _remember(self, values: Any, sources: tuple[int, ...]) -> None:
        for each in tree_leaves(values):
            if isinstance(each, Tensor):
                self._sources[id(each)] = (each, sources)

    def _add(self, kind: str, name: str, text: str, labels: tuple[str, ...], read: list[Sources]) -> int:
        chosen = [int(value) for value in _values(self._sample[labels[0]])] if kind == "inputs" else None
        edges: dict[int, bool] = {}
        for position, sources in enumerate(read if not self._inside else ()):
            for source in sources:
                edges[source] = edges.get(source, False) or chosen is None or position in chosen
        if not edges and self.nodes and not self._inside and kind != "repeat":
            edges = {len(self.nodes) - 1: True}  # came a way that tensors do not tell
        if kind == "repeat":
            edges = {}  # its blocks read
        group = self._groups[-1] if self._groups else None
        condition = self._trace.condition
        parent = None if group is None else self.nodes[group]
        branch = self._branch(condition, parent.labels) if parent is not None and parent.kind == "choice" else ""
        active = _value(condition, self._present) > 0.5
        self.nodes.append(Node(kind, name, text, labels, tuple(edges.items()), group, branch, active))
        return len(self.nodes) - 1

    def _branch(self, condition: Polynomial, labels: tuple[str, ...]) -> str:
        found = {self._names[label][index] for term in condition.terms for label, index in term if label in labels}
        return found.pop() if len(found) == 1 else ""


def _value(condition: Polynomial, present: Mapping[str, set[int]]) -> float:
    """Value of a polynomial for a child; several candidates of a label may be in it."""
    return sum(
        factor
        for term, factor in condition.terms.items()
        if all(index in present.get(label, ()) for label, index in term)
    )


def _depth(module: Any, sample: dict[str, Any]) -> int:
    return int(module.depth_choice.freeze(sample))


def _in_the_child(module: nn.Module, sample: dict[str, Any]) -> nn.Module:
    return module.counterpart(sample).module if isinstance(module, SampledModule) else module


def _text(module: Any, kind: str, sample: dict[str, Any]) -> str:
    """Describe a module as the child has it."""
    if kind == "repeat":
        return f"{_depth(module, sample)} of up to {len(module.blocks)}"
    if kind == "choice":
        return _parts(_in_the_child(module, sample), sample)
    if kind == "inputs":
        return str(module.reduction)
    return _parts(module, sample)


def _parts(module: Any, sample: dict[str, Any]) -> str:
    """Describe a module, or the parts of a sequence that holds choices: sizes as in the child, others left out."""
    if isinstance(module, nn.Sequential) and _labels_inside(module):
        parts = [_parts(each, sample) for each in module if not (_has_branches(each) or is_small(each))]
        return " · ".join(filter(None, parts))
    return describe(_in_the_child(module, sample))


def _labels_inside(module: nn.Module) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for each in module.modules() for label in _labels(each)))


def _tidied(nodes: Sequence[Node], small: set[int]) -> list[Node]:
    """Write normalizations and activations behind what they read, where nothing else reads that."""
    readers = Counter(source for node in nodes for source, _ in node.inputs)
    texts = [node.text for node in nodes]
    labels = [node.labels for node in nodes]
    stands_for = list(range(len(nodes)))
    for index, node in enumerate(nodes):
        if index not in small or len(node.inputs) != 1:
            continue
        source = stands_for[node.inputs[0][0]]
        before = nodes[source]
        if before.group == node.group and before.kind in ("layer", "join") and readers[node.inputs[0][0]] == 1:
            stands_for[index] = source
            texts[source] = f"{texts[source]} · {node.text}" if texts[source] else node.text
            labels[source] = tuple(dict.fromkeys((*labels[source], *node.labels)))
    kept = [index for index in range(len(nodes)) if stands_for[index] == index]
    number = {index: place for place, index in enumerate(kept)}
    tidied = []
    for index in kept:
        node = nodes[index]
        edges: dict[int, bool] = {}
        for source, used in node.inputs:
            place = number[stands_for[source]]
            edges[place] = edges.get(place, False) or used
        group = None if node.group is None else number[node.group]
        tidied.append(replace(node, text=texts[index], labels=labels[index], inputs=tuple(edges.items()), group=group))
    return tidied


def _reached(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Mark as not active what the output does not depend on."""
    wanted, heard = [len(nodes) - 1], set()
    while wanted:
        index = wanted.pop()
        if index not in heard and nodes[index].active:
            heard.add(index)
            wanted += [source for source, used in nodes[index].inputs if used]
    active: list[bool] = []
    for index, node in enumerate(nodes):
        outer = node.group is None or active[node.group]
        inside_choice = node.group is not None and (nodes[node.group].kind == "choice" or not node.inputs)
        active.append(node.active and outer and (index in heard or inside_choice or node.kind == "repeat"))
    return tuple(
        replace(
            node,
            active=active[index],
            inputs=tuple((source, used and active[index] and active[source]) for source, used in node.inputs),
        )
        for index, node in enumerate(nodes)
    )
