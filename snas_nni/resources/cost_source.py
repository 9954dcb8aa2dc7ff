"""The costs of one supernet, counted when they are first asked for and kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.polynomial import Polynomial
from snas_nni.errors import SnasError
from snas_nni.resources.costs import count_supernet
from snas_nni.resources.latency.eager import measure_latency
from snas_nni.resources.latency.table import LatencyTable
from snas_nni.resources.operations import Convention
from snas_nni.resources.reach import find_reach, has_nested_choices
from snas_nni.supernet.evaluating import suited

__all__ = ["CostSource"]

_logger = logging.getLogger(__name__)


class CostSource:
    """Counts what every child of a space costs, and measures latencies if they are asked for and no table is given.

    Args:
        supernet: a model space after ``SNAS().mutate_model``.
        distribution: its distribution.
        convention: what counts; everything if None.
        example_input: the input of one example, or a tuple of arguments of ``forward``; that of the first question
            if None.
        latency_table: measured latencies, or the JSON file that holds them; those of a checkpoint go before them.
        wanted: names of the costs that the search asks for.
        agreed: makes a number that is measured equal in all processes of a search.

    Attributes:
        table: the latencies that the costs were made with; None before that, and without any.
    """

    def __init__(
        self,
        supernet: nn.Module,
        distribution: ArchitectureDistribution,
        *,
        convention: Convention | None = None,
        example_input: Any = None,
        latency_table: str | Path | LatencyTable | None = None,
        wanted: Collection[str] = (),
        agreed: Callable[[LatencyTable], LatencyTable] = lambda table: table,
    ) -> None:
        self._supernet = supernet
        self._distribution = distribution
        self._convention = convention
        self._example_input = example_input
        self._latency_table = latency_table
        self._wanted = set(wanted)
        self._agreed = agreed
        self._model: CostModel | None = None
        self.table: LatencyTable | None = None

    def model(self, example_input: Any = None) -> CostModel:
        """What every child costs.

        Args:
            example_input: input of one example, or a tuple of arguments; not needed once costs were counted.

        Raises:
            SnasError: there is no example; or an operation cannot be counted.
        """
        if self._model is None:
            example = self._example_input if example_input is None else example_input
            if example is None:
                raise SnasError("costs are counted on an input: pass example_input, such as torch.zeros(1, 3, 32, 32).")
            example = suited(example, self._supernet)
            counted = count_supernet(self._supernet, self._distribution, example, self._convention)
            table = self._find_table(example)
            self._model = counted if table is None else counted.with_costs({"latency_ms": table.parts})
        return self._model

    def for_batch(self, batch: Any) -> CostModel:
        """The same, counted on the first example of a training batch if no other is there.

        Raises:
            SnasError: the batch does not begin with a tensor of inputs.
        """
        if self._model is not None or self._example_input is not None:
            return self.model()
        return self.model(_first_example(batch))

    def reach(self, batch: Any) -> dict[str, Polynomial]:
        """When a child has a choice, of those that some children do not have; see :mod:`snas_nni.resources.reach`.

        Args:
            batch: of the training, whose first example is looked at if costs were not counted. None are found where
                the network does not run on that.
        """
        if self._model is not None:
            return self._model.reached
        if not has_nested_choices(self._supernet):
            return {}
        try:
            example = _first_example(batch) if self._example_input is None else self._example_input
            example = suited(example, self._supernet)
            arguments = example if isinstance(example, tuple) else (example,)
            return find_reach(self._supernet, self._distribution, arguments)
        except (SnasError, RuntimeError, TypeError, ValueError, IndexError) as error:
            _logger.debug("which choices a child has is not known: %s", error)  # a number to look at, no more
            return {}

    def _find_table(self, example: Any) -> LatencyTable | None:
        if self.table is not None:
            return self.table
        table = self._latency_table
        if table is None and "latency_ms" in self._wanted:
            table = self._agreed(measure_latency(self._supernet, self._distribution, example))
        elif isinstance(table, (str, Path)):
            table = LatencyTable.load(table, self._distribution.choices)
        self.table = table
        return table

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the latencies of the search, which another measurement would not repeat."""
        if self.table is None:
            return {}
        parts = [
            [
                None if owner is None else [str(owner[0]), owner[1]],
                [[[[str(label), index] for label, index in term], value] for term, value in polynomial.terms.items()],
            ]
            for owner, polynomial in self.table.parts.items()
        ]
        about = {"device": dict(self.table.device), "measurement": dict(self.table.measurement)}
        return {"parts": parts, **json.loads(json.dumps(about))}  # plain values: torch's version is a class of its own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: its latencies hold, whatever a file says or the machine is now."""
        if not state:  # a search without latencies, or a checkpoint of a former version
            return
        labels = {str(label): label for label in self._distribution.choices}

        def entry(pair: Sequence[Any]) -> tuple[Any, int]:
            return labels[pair[0]], pair[1]

        parts = {
            None if owner is None else entry(owner): Polynomial(
                {tuple(entry(pair) for pair in term): value for term, value in terms}
            )
            for owner, terms in state["parts"]
        }
        self.table, self._model = LatencyTable(parts, state["device"], state["measurement"]), None


def _first_example(batch: Any) -> Tensor:
    first = batch[0] if isinstance(batch, (list, tuple)) and batch else batch
    if not isinstance(first, Tensor):
        raise SnasError(
            "costs are counted on one example, and the training batch does not begin with a tensor of inputs. "
            "Pass SNAS(example_input=...), a tensor or a tuple of arguments of the network's forward."
        )
    return first[:1]
