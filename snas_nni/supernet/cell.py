"""NNI's ``Cell`` in the supernet, where its inner choices cannot simply be searched one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import Cell, LayerChoice
from nni.nas.nn.pytorch.base import recursive_freeze
from nni.nas.nn.pytorch.cell import preprocess_cell_inputs
from nni.nas.space import model_context
from torch import Tensor, nn

from snas_nni.cpu_kernels.shared_layers import run_shared
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.distribution.sample import ChoiceReader
from snas_nni.nni_compat import PathSamplingCell
from snas_nni.supernet.auxiliary import has_skip, with_skip
from snas_nni.supernet.base import Counterpart, SampledModule
from snas_nni.supernet.frozen import match_all
from snas_nni.supernet.weighting import same_shape, weighted_sum

__all__ = ["MixedCell"]


def _copy_of(_node: int, _slot: int, _source: int | None, *, operation: nn.Module) -> nn.Module:
    return copy.deepcopy(operation)


def _factories(cell: Cell) -> Any:
    """What makes the cell's operations for a given node and input, or None if its choices stand alone."""
    if cell.op_candidates_factory is not None:
        return cell.op_candidates_factory
    if cell.merge_op != "loose_end":
        return None
    last: LayerChoice = cell.ops[-1][-1]
    if isinstance(last.candidates, dict):
        return {name: partial(_copy_of, operation=op) for name, op in last.candidates.items()}
    return [partial(_copy_of, operation=op) for op in last.candidates]


def _frozen(part: Any, sample: dict[str, Any]) -> Any:
    """A copy of a cell's processor or of its operations' factories, without choices."""
    if isinstance(part, nn.Module):
        return copy.deepcopy(recursive_freeze(part, sample)[0])
    if isinstance(part, dict):
        return {name: _frozen(factory, sample) for name, factory in part.items()}
    if isinstance(part, list):
        return [_frozen(factory, sample) for factory in part]
    if isinstance(part, partial) and part.func is _copy_of:
        return partial(_copy_of, operation=_frozen(part.keywords["operation"], sample))
    return part


def _in_scope(factories: Any, cell: Cell) -> Any:
    """The factories, with choices inside an operation labelled as NNI's cell labels them."""

    def scoped(factory: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        def make(*args: Any) -> nn.Module:
            with cell.label_scope:
                return factory(*args)

        return make

    if isinstance(factories, dict):
        return {name: scoped(factory) for name, factory in factories.items()}
    return [scoped(factory) for factory in factories]


class MixedCell(SampledModule, PathSamplingCell):
    """Runs node i = sum over inputs j and operations o of W[j, o] * O_ijo(x_j).

    W[j, o] = sum over the node's slots k of Zinput_k[j] * Zop_k[o]: with one-hot Z that is exactly NNI's cell, in
    which slot k applies operation o to input j. Operations exist once for each (node, input), since a factory may
    make them differ by input (a stride); slots share them, and each gets a copy in the child.

    With ``merge_op='loose_end'`` each node is concatenated with weight (probability under Z that no later node uses
    it), so a used node contributes zeros where the child leaves it out.
    """

    def __init__(self, cell: Cell, factories: Any, distribution: Any) -> None:
        super().__init__(
            _in_scope(factories, cell),
            cell.num_nodes,
            cell.num_ops_per_node,
            cell.num_predecessors,
            cell.preprocessor,
            cell.postprocessor,
            cell.concat_dim,
            {},
            {},
            cell.label,
        )
        self.factories = factories
        self.merge_op = cell.merge_op
        self.readers: dict[str, ChoiceReader] = {label: distribution.bind(label) for label in self.simplify()}

    def _reader(self, kind: str, node: int, slot: int) -> ChoiceReader:
        return self.readers[f"{self.label}/{kind}_{node}_{slot}"]

    def forward(self, *inputs: Any) -> Any:
        """Return what NNI's cell returns, for ``num_predecessors`` tensors or a list of them."""
        processed: list[Tensor] = preprocess_cell_inputs(self.num_predecessors, *inputs)
        states: list[Tensor] = list(self.preprocessor(processed))
        for node in self.output_node_indices:
            states.append(self._node(node, states))
        merged = states[self.num_predecessors :]
        if self.merge_op == "loose_end":
            trace = self.reader.trace
            if trace is None:
                merged = [self._merged(node, states[node]) for node in self.output_node_indices]
            else:  # counted with and without the nodes that a child may leave out
                merged = [
                    states[node]
                    for node in self.output_node_indices
                    if not trace.drops_channels(f"left out: {self.label}/{node}", self._used(node))
                ]
        return self.postprocessor(torch.cat(merged, self.concat_dim), processed)

    def _node(self, node: int, states: list[Tensor]) -> Tensor:
        where = f"label '{self.label}' (Cell, node {node})"
        branches = self._operations(node)
        if self.reader.trace is not None:
            outputs = [
                self.run_traced(self._condition(node, source, name), operation, states[source])
                for source, name, operation in branches
            ]
            first: Tensor = same_shape(outputs, [f"{name} on input {source}" for source, name, _ in branches], where)
            return first
        slots = range(self.num_ops_per_node)
        operations = [self._reader("op", node, slot) for slot in slots]
        sources = [self._reader("input", node, slot) for slot in slots]
        numbers = [
            sum(s.numbers()[j] * o.numbers()[k] for s, o in zip(sources, operations, strict=True))
            for j in range(node)
            for k in range(len(self.op_names))
        ]

        def run(index: int) -> Any:
            source, _, operation = branches[index]
            return run_shared(operation, states[source])

        def weights(indices: Sequence[int]) -> list[Tensor]:
            by_slot = [s.weights()[:, None] * o.weights()[None, :] for s, o in zip(sources, operations, strict=True)]
            flat = torch.stack(by_slot).sum(0).reshape(-1).unbind()
            return [flat[index] for index in indices]

        summed: Tensor = self.run_weighted(numbers, run, weights, lambda _: where)
        if self.reader.current.auxiliary_skip:
            # Each slot is an edge, from the input that it chooses.
            of_sources = torch.stack([each.weights() for each in sources]).sum(0).unbind()
            fitting = [j for j in range(node) if has_skip(summed, states[j]) and any(s.numbers()[j] for s in sources)]
            if fitting:
                x = weighted_sum([states[j] for j in fitting], [of_sources[j] for j in fitting], lambda: where)
                summed = with_skip(summed, x, self.reader.current)
        return summed

    def _operations(self, node: int) -> list[tuple[int, str, nn.Module]]:
        edges = self.ops[node - self.num_predecessors]
        return [(source, name, edges[source][name]) for source in range(node) for name in self.op_names]

    def _condition(self, node: int, source: int, name: str) -> Polynomial:
        """How many slots of the node apply this operation to this input."""
        return Polynomial.sum(
            Polynomial.entry(f"{self.label}/input_{node}_{slot}", source)
            * Polynomial.entry(f"{self.label}/op_{node}_{slot}", self.op_names.index(name))
            for slot in range(self.num_ops_per_node)
        )

    def branches(self) -> list[tuple[Polynomial, nn.Module]]:
        """The operations, each with the number of slots of the child's cell that hold a copy of it."""
        return [
            (self._condition(node, source, name), operation)
            for node in self.output_node_indices
            for source, name, operation in self._operations(node)
        ]

    def _merged(self, node: int, state: Tensor) -> Tensor:
        unused = self._unused(node)
        if isinstance(unused, float):
            return state
        if self.reader.current.marks_dropped_channels and not unused:
            return torch.full_like(state, torch.nan)  # see snas_nni.derivation.loose_ends
        return unused * state

    def _later(self, node: int) -> list[str]:
        """Labels of the input choices that could use a node."""
        later = [n for n in self.output_node_indices if n > node]
        return [f"{self.label}/input_{n}_{slot}" for n in later for slot in range(self.num_ops_per_node)]

    def _unused(self, node: int) -> Tensor | float:
        unused: Tensor | float = 1.0
        for label in self._later(node):
            unused = unused * (1 - self.readers[label].weights()[node])
        return unused

    def _used(self, node: int) -> Polynomial:
        """The polynomial that is 1 where a later node uses this one."""
        used = Polynomial()
        for label in self._later(node):
            used = used.either(Polynomial.entry(label, node))
        return used

    def keeps_all(self, sample: Mapping[str, Any]) -> bool:
        """Whether the child's cell has every node among its loose ends."""
        return all(sample[label][0] != node for node in self.output_node_indices for label in self._later(node))

    def freeze(self, sample: dict[str, Any]) -> Cell:
        """Return NNI's cell of the sample, with copies of the operations it chose."""
        # Frozen before the context: in it, NNI's modules cannot be copied.
        factories, preprocessor, postprocessor = (
            _frozen(part, sample) for part in (self.factories, self.preprocessor, self.postprocessor)
        )
        with model_context(sample):
            cell = Cell(
                factories,
                self.num_nodes,
                self.num_ops_per_node,
                self.num_predecessors,
                self.merge_op,
                preprocessor,
                postprocessor,
                self.concat_dim,
                label=self.label,
            )
        for path, source in self.chosen_operations(sample).items():
            operation = cell.get_submodule(path)
            inherited = recursive_freeze(source, sample)[0].state_dict()
            match_all(operation, inherited)
            operation.load_state_dict(inherited)
        return cell

    def counterpart(self, sample: Mapping[str, Any]) -> Counterpart:
        """The cell, with the chosen operations in place of all; slots that chose the same one have copies of it."""
        return Counterpart(self, self.chosen_operations(sample))

    def chosen_operations(self, sample: Mapping[str, Any]) -> dict[str, nn.Module]:
        """The supernet's operation for each operation of the child's cell, by its path in the child."""
        chosen = {}
        for position, node in enumerate(self.output_node_indices):
            for slot in range(self.num_ops_per_node):
                source = sample[f"{self.label}/input_{node}_{slot}"][0]
                name = str(sample[f"{self.label}/op_{node}_{slot}"])
                chosen[f"ops.{position}.{slot}"] = self.ops[position][source][name]
        return chosen

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]) -> Any:
        """Replace cells with operation factories or loose ends; others are searched choice by choice."""
        if type(module) is Cell:
            factories = _factories(module)
            if factories is not None:
                return cls(module, factories, mutate_kwargs["distribution"])
        return None
