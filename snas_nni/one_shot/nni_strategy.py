"""NNI's side of the strategy: from a model space to its supernet, and how evaluators and their data are treated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni.mutable import Mutable
from nni.nas.nn.pytorch import ModelSpace
from torch import nn

from snas_nni.cost_model import CostModel
from snas_nni.derivation.loose_ends import InputMemory
from snas_nni.derivation.portability import portability_notes
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.errors import SnasError, UnsupportedSpaceError
from snas_nni.nni_compat import DARTS
from snas_nni.one_shot.distributed import broadcast_from_rank_zero
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.one_shot.trial_record import trial_record_kept
from snas_nni.regularizer import Regularizer
from snas_nni.resources import Convention, LatencyTable
from snas_nni.resources.cost_source import CostSource
from snas_nni.supernet.foreign import ForeignMemo, SampledSoftmax
from snas_nni.supernet.hooks import (
    choices_of,
    hooks,
    refuse_aliases,
    refuse_shared_sizes,
    refuse_sizes_per_layer,
    refuse_unread,
)
from snas_nni.supernet.sliced.operation import SampledArguments
from snas_nni.supernet.stage import prepare_stages, replacement_hook

__all__ = ["NniStrategy"]

_logger = logging.getLogger(__name__)


class NniStrategy(DARTS):
    """NNI's side of :class:`~snas_nni.SNAS`.

    It derives from NNI's ``DARTS`` only so that model spaces which choose their hooks by that class work.

    Attributes:
        settings: of the search.
        seed: of the initial logits and all draws.
        regularizers: terms that join the loss, in order.
        latency_table: measured latencies, or the JSON file that holds them.
        cost_convention: what counts as a cost; everything if None.
        example_input: that costs are counted on; None for the first of the first batch.
    """

    settings: SearchSettings
    seed: int
    regularizers: list[Regularizer]
    latency_table: str | Path | LatencyTable | None
    cost_convention: Convention | None
    example_input: Any
    _costs: CostSource  # of the supernet, like the distribution
    _distribution: ArchitectureDistribution | None = None
    _mutated: Any = None

    @property
    def supernet(self) -> ModelSpace:
        """The supernet, also that of a search that was restored, which NNI knows nothing of.

        Raises:
            SnasError: there is none yet.
        """
        _ = self.distribution
        supernet: ModelSpace = self._mutated
        return supernet

    @property
    def distribution(self) -> ArchitectureDistribution:
        """The architecture distribution; there is one after :meth:`mutate_model`."""
        if self._distribution is None:
            raise SnasError("there is no supernet yet: run the experiment, or call mutate_model(space), first.")
        return self._distribution

    def cost_model(self, example_input: Any = None) -> CostModel:
        """What every child of the space costs.

        Args:
            example_input: input of one example, or a tuple of arguments; not needed once costs were counted.

        Raises:
            SnasError: there is neither; or an operation cannot be counted.
        """
        _ = self.distribution  # raises where there is no supernet yet
        return self._costs.model(example_input)

    def mutate_model(self, model: ModelSpace) -> ModelSpace:
        """Turn a model space into a supernet, in place.

        Raises:
            UnsupportedSpaceError: names the label or module that cannot be searched, the reason, the way out.
        """
        choices = choices_of(model)
        self._distribution = ArchitectureDistribution(
            choices,
            initial_std=self.settings.initial_logits_std,
            seed=self.seed,
            sample_per_layer=self.settings.sample_per_layer,
            skip_tolerance=self.settings.skip_tolerance,
        )
        self._mutated = model
        self._costs = CostSource(
            model,
            self._distribution,
            convention=self.cost_convention,
            example_input=self.example_input,
            latency_table=self.latency_table,
            wanted={cost for regularizer in self.regularizers for cost in regularizer.costs},
            agreed=broadcast_from_rank_zero,
        )
        prepare_stages(model, self._distribution.bind)
        # DARTS.mutate_model would create logits of its own.
        supernet: ModelSpace = super(DARTS, self).mutate_model(model)
        refuse_aliases(supernet)
        relaxed = self.settings.sampling == "relaxed"
        refuse_shared_sizes(supernet, relaxed)
        if self.settings.sample_per_layer and not relaxed:
            refuse_sizes_per_layer(supernet, self._distribution)
        InputMemory.attach(supernet, self._distribution)
        refuse_unread(self._distribution)
        for note in portability_notes(supernet):
            _logger.warning("%s", note)
        return supernet

    def default_mutation_hooks(self) -> list[Callable[..., Any]]:
        """Supernet forms of all of NNI's mutables."""
        return hooks()

    def run_hook(self, hook: Callable[..., Any], name: str, module: nn.Module, memo: dict[str, Any]) -> Any:
        """Give this project's hooks the distribution, and hooks written for NNI's DARTS their logits and softmax."""
        foreign = ForeignMemo(self.distribution, memo)
        return replacement_hook(hook)(
            module,
            name,
            foreign,
            {
                "distribution": self.distribution,
                "softmax": SampledSoftmax(foreign),
                "mixed_op_sampling": SampledArguments,
            },
        )

    def mutate_evaluator(self, evaluator: Any) -> Any:
        """Wrap the evaluator; choices inside it are refused."""
        if isinstance(evaluator, Mutable) and evaluator.simplify():
            raise UnsupportedSpaceError(
                f"the evaluator holds choices of its own ({', '.join(evaluator.simplify())}). A one-shot search trains "
                "one supernet with one evaluator: fix their values, or tune them with nnictl around the search."
            )
        return super().mutate_evaluator(evaluator)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Training batches; pairs of training and validation batches for bi-level updates."""
        if self.settings.bilevel:
            return {"train": train_dataloader_fn(), "val": val_dataloader_fn()}
        return train_dataloader_fn()

    def val_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]) -> Any:
        """Held-out batches, which NNI's DARTS family does without."""
        return val_dataloader_fn()

    def _run(self) -> None:
        with trial_record_kept():
            super()._run()
