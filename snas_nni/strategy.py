"""``SNAS``: Stochastic Neural Architecture Search as an NNI one-shot strategy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from snas_nni.cost_model import CostModel
from snas_nni.errors import SettingError
from snas_nni.one_shot.children import ChildrenOfSearch
from snas_nni.one_shot.distributed import broadcast_from_rank_zero
from snas_nni.one_shot.evidence.comparing import Accept
from snas_nni.one_shot.lightning_module import SnasLightningModule
from snas_nni.one_shot.loop.plain import Judgment, SearchLoop
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.one_shot.temperature import Shape
from snas_nni.regularizer import Regularizer, RegularizerTerm, as_regularizer
from snas_nni.resources import Budget, BudgetController, BudgetReport, Convention, LatencyTable, Sweep
from snas_nni.resources.profiler_penalty import ProfilerPenalty
from snas_nni.showing.calls import arguments_in_words

__all__ = ["SNAS"]

_logger = logging.getLogger(__name__)


class SNAS(ChildrenOfSearch):
    """Stochastic Neural Architecture Search (Xie et al., ICLR 2019, arXiv 1812.09926).

    One relaxed architecture is drawn per training step and shared by all modules of a label; one backward pass on
    one batch updates weights and logits; the temperature falls until the supernet is its own child. All arguments
    are optional; the defaults are the paper's, for a search of any length. Use it like any strategy of NNI::

        experiment = NasExperiment(space, evaluator, SNAS())
        experiment.run()
        sample = experiment.export_top_models(formatter="dict")[0]

    Lightning counts the steps of both optimisers: ``max_steps`` and ``every_n_train_steps`` of a Trainer are two for
    each batch. Set ``max_epochs``.

    It derives from NNI's ``DARTS`` only so that model spaces which choose their hooks by that class work.

    Args:
        initial_temperature: temperature before the first epoch, > 0.
        final_temperature: temperature of the last epoch, whatever their number; in (0, initial_temperature].
        temperature_schedule: "linear" (paper's code), "exponential", "cosine", or a function of progress in [0, 1].
        temperature_interval: whether it falls after every "epoch" (paper's code) or every "step".
        logits_learning_rate: of Adam, > 0; None for the one with which all steps of this search together reach as far
            as the paper's: 35 nats / steps, at most 0.3. The paper's is 3e-4, for 150 epochs of 782 steps; see
            :mod:`snas_nni.one_shot.learning_rate`.
        logits_betas: of Adam.
        logits_weight_decay: of Adam, >= 0.
        logits_gradient_clip: largest norm of the logits' gradient, or None.
        weights_gradient_clip: largest norm of the weights' gradient, or None.
        warmup_epochs: first epochs with the logits frozen, at the initial temperature.
        settle_epochs: last epochs, in which one child is trained alone: the best of the most probable ones. The
            temperature has then fallen to its end. None: a third of the epochs after warming up, none of
            fewer than five; 0: never.
        settle_learning_rate: of the weights at the start of settling, as a share of their first one, in [0, 1], where
            the evaluator's schedule has fallen below that; it falls along half a cosine. 0: as scheduled.
        candidates: how many different networks, the most probable ones, are compared before the search settles, each
            with BatchNorm statistics of its own, on held-out data; 1 settles on the most probable one.
        selection_share: of the held-out batches, how much of them children are compared on; in (0, 1].
        selection_metric: what the evaluator logs in its ``validation_step`` that decides between children, the larger
            the better; with a ``-`` before its name, the smaller. None: ``val_acc`` or another accuracy, else a loss.
        recalibration_batches: training batches that a child's BatchNorm statistics are measured on; 0: it is judged
            with the supernet's.
        judge_epochs: epochs that each of them trains alone on the training batches before it is judged, from the
            supernet's weights, which are put back; 0: none. Shared weights rank good children about as chance does.
        bilevel: update the logits on a validation batch of their own, as DARTS does; the paper argues against it.
        sampling: "relaxed" (the paper), or "single_path": a step runs one child drawn from the categorical
            distribution (DSNAS, arXiv 2002.09128), in its time and memory, with noisier gradients of the logits.
        sample_per_layer: each module draws its own Z in place of one for each label.
        samples_per_step: average the gradient over this many samples of Z.
        spread_samples: on several devices, share them out: each device runs its part of them on its own batch.
        accumulate_batches: step both optimisers after this many batches.
        skip_tolerance: candidates whose weights sum to less than this, times the temperature or, if less, times the
            mean of 1 - max Z, do not run; 0 runs all. See :func:`snas_nni.supernet.weighting.negligible`.
        channels_last: give the supernet its images in channels-last memory order; None: on a CPU, where a
            convolution supernet trains about 1.5 times as fast in it.
        initial_logits_std: standard deviation of the initial logits around 0.
        initial_logits: "random", or "sensitivity", for spaces of a trained network: measured before the first step
            (:mod:`snas_nni.one_shot.evidence.sensitivity`); settle_epochs may be all epochs then.
        sensitivity_batches: training batches that they are measured on.
        auxiliary_skip: each choice of operations adds this times its input to its output, where the two have one
            shape, at the first step; it falls linearly and is no part of any child
            (:mod:`snas_nni.community.auxiliary_skip`; DARTS-, arXiv 2009.01027). 0: none.
        auxiliary_skip_gone_at: the share of the steps before settling after which it is 0, in (0, 1].
        drop_to: candidates that each choice has left in the end; the least probable ones are dropped at the starts of
            epochs (:mod:`snas_nni.community.dropping`; P-DARTS, DrNAS, IS-DARTS). None: all.
        drop_start: when that begins: 0 is the first epoch of the temperature's fall, 1 the last one.
        drop_end: when it has ended; in [drop_start, 1], above 0.
        regularizers: terms added to the loss, each a :class:`~snas_nni.regularizer.Regularizer` or a plain function.
        budget: upper bounds on what the child costs; see :class:`~snas_nni.resources.Budget`.
        sweep: search for every budget at once, each step with a bound of its own; see
            :class:`~snas_nni.resources.Sweep`. No single child settles then, unless settle_epochs says so.
        accept: is asked about the children that are compared before the search settles, the best first; the first that
            it accepts is the child. It gets the NNI sample and a copy of the child on the CPU, in evaluation mode.
        latency_table: measured latencies, or their JSON file, for ``latency_ms``; measured here if None and needed.
        cost_convention: what counts as a cost; everything if None.
        example_input: one example that costs are counted on, or a tuple of arguments; the first of a batch if None.
        seed: of the initial logits and all draws; PyTorch's initial seed if None.
        mutation_hooks: NNI mutation hooks that are tried before this project's own.
        gradient_clip_val: NNI's name for weights_gradient_clip, which it replaces unless it is None.
        arc_learning_rate: NNI's name for logits_learning_rate, which it replaces unless it is None.
        penalty: NNI's, on a profiler's result; see :class:`~snas_nni.resources.profiler_penalty.ProfilerPenalty`.

    Raises:
        SettingError: an argument outside its range.

    Examples:
        An experiment mutates the space, trains it and derives the child. The same by hand, without the training:

        >>> from snas_nni import SnasCellSpace, derive_child
        >>> strategy = SNAS(logits_learning_rate=0.05, seed=0)
        >>> supernet = strategy.mutate_model(SnasCellSpace(channels=2, cells=3, classes=10))
        >>> len(strategy.distribution.choices)  # 14 edges in each of two kinds of cell
        28
        >>> with strategy.distribution.use(strategy.distribution.draw(temperature=0.5)):
        ...     supernet(torch.zeros(4, 3, 32, 32)).shape
        torch.Size([4, 10])
        >>> child = derive_child(supernet, strategy.distribution.mode())
        >>> child(torch.zeros(4, 3, 32, 32)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        *,
        initial_temperature: float = 1.0,
        final_temperature: float = 0.03,
        temperature_schedule: Shape | Callable[[float], float] = "linear",
        temperature_interval: Literal["epoch", "step"] = "epoch",
        logits_learning_rate: float | None = None,
        logits_betas: tuple[float, float] = (0.5, 0.999),
        logits_weight_decay: float = 1e-3,
        logits_gradient_clip: float | None = 10.0,
        weights_gradient_clip: float | None = 5.0,
        warmup_epochs: int = 0,
        settle_epochs: int | None = None,
        settle_learning_rate: float = 1.0,
        candidates: int = 8,
        selection_share: float = 1.0,
        selection_metric: str | None = None,
        recalibration_batches: int = 20,
        judge_epochs: int = 0,
        bilevel: bool = False,
        sampling: Literal["relaxed", "single_path"] = "relaxed",
        sample_per_layer: bool = False,
        samples_per_step: int = 1,
        spread_samples: bool = False,
        accumulate_batches: int = 1,
        skip_tolerance: float = 1e-4,
        channels_last: bool | None = None,
        initial_logits_std: float = 0.01,
        initial_logits: Literal["random", "sensitivity"] = "random",
        sensitivity_batches: int = 5,
        auxiliary_skip: float = 0.0,
        auxiliary_skip_gone_at: float = 0.6,
        drop_to: int | None = None,
        drop_start: float = 0.2,
        drop_end: float = 0.8,
        regularizers: Sequence[Regularizer | Callable[..., RegularizerTerm | torch.Tensor]] = (),
        budget: Budget | None = None,
        sweep: Sweep | None = None,
        accept: Accept | None = None,
        latency_table: str | Path | LatencyTable | None = None,
        cost_convention: Convention | None = None,
        example_input: Any = None,
        seed: int | None = None,
        mutation_hooks: list[Callable[..., Any]] | None = None,
        gradient_clip_val: float | None = None,
        arc_learning_rate: float | None = None,
        penalty: Any = None,
    ) -> None:
        given = locals()
        self._call = arguments_in_words(SNAS.__init__, {name: given[name] for name in given if name != "self"})
        super().__init__(mutation_hooks=mutation_hooks)
        if gradient_clip_val is not None:
            given["weights_gradient_clip"] = gradient_clip_val
        if arc_learning_rate is not None:
            given["logits_learning_rate"] = arc_learning_rate
        self.settings = SearchSettings(**{each.name: given[each.name] for each in fields(SearchSettings)})
        if sweep is not None and budget is not None and sweep.cost in budget.bounds:
            raise SettingError(f"the budget bounds {sweep.cost} and the sweep draws its bound; give one of the two.")
        if sweep is not None and drop_to is not None:
            raise SettingError("a sweep searches for every budget, which needs every candidate: leave drop_to out.")
        if sweep is not None and settle_epochs is None:
            self.settings = replace(self.settings, settle_epochs=0)
        self.seed = torch.initial_seed() % 2**32 if seed is None else seed
        self.regularizers = [as_regularizer(regularizer) for regularizer in regularizers]
        if penalty is not None:
            self.regularizers.append(ProfilerPenalty(penalty))
        self.budget_controller: BudgetController | None = None
        if budget is not None:
            schedule = self.settings.temperature
            self.budget_controller = BudgetController(
                budget,
                final_temperature=schedule(1.0),
                time_left=None if callable(schedule.shape) else schedule.time_left,
            )
            self.regularizers.append(self.budget_controller)
        self.accept = accept
        self.sweep = sweep
        if sweep is not None:
            self.regularizers.append(sweep)
        self.latency_table = latency_table
        self.cost_convention = cost_convention
        self.example_input = example_input
        self.budget_report: BudgetReport | None = None

    def extra_repr(self) -> str:
        """Return the arguments that are not as by default, for ``repr``."""
        return self._call

    def configure_oneshot_module(self, training_module: Any) -> SnasLightningModule:
        """The search around the evaluator's Lightning module."""
        module = SnasLightningModule(
            training_module,
            self.distribution,
            self.settings,
            self.seed,
            self.regularizers,
            self._costs_for_batch,
            self.selection(),
            self.accept,
            self._costs,
        )
        self._search = module
        return module

    def loop(
        self,
        optimizer: torch.optim.Optimizer,
        train: Any,
        *,
        epochs: int,
        validation: Any = None,
        judge: Judgment | None = None,
    ) -> SearchLoop:
        """The search in a loop of your own, without Lightning, after :meth:`mutate_model`.

        Args:
            optimizer: of the supernet's weights; its learning rate is yours to change between epochs.
            train: training batches, such as a ``DataLoader``; its length is that of an epoch.
            epochs: of the whole search.
            validation: held-out batches, on which children are compared before the search settles on one. Without
                them it settles on the most probable one.
            judge: gets one of these, runs the supernet on it, and returns what it reaches there, the larger the better.

        Raises:
            SettingError: nobody knows how many batches an epoch has, no epoch is left to search in, or a setting needs
                Lightning's loop.
            SnasError: there is no supernet yet.

        Examples:
            >>> from torch.nn.functional import cross_entropy
            >>> from snas_nni import SnasCellSpace
            >>> strategy = SNAS(seed=0)
            >>> supernet = strategy.mutate_model(SnasCellSpace(channels=2, cells=1, nodes=1))
            >>> train = [(torch.zeros(4, 3, 8, 8), torch.arange(4))]
            >>> search = strategy.loop(torch.optim.SGD(supernet.parameters(), lr=0.05), train, epochs=2)
            >>> for epoch in search:
            ...     for images, labels in train:
            ...         with search.sample(images):
            ...             loss = search.step(cross_entropy(supernet(images), labels))
            >>> sample, child = strategy.derive()
        """
        distribution = self.distribution  # raises where there is no supernet yet
        search = SearchLoop(
            self._mutated,
            optimizer,
            train,
            epochs,
            distribution=distribution,
            settings=self.settings,
            seed=self.seed,
            regularizers=self.regularizers,
            count_costs=self._costs_for_batch,
            selection=self.selection(),
            accept=self.accept,
            validation=validation,
            judge=judge,
            costs=self._costs,
        )
        self._search = search
        return search

    def _costs_for_batch(self, batch: Any) -> CostModel:
        model = self._costs.for_batch(batch)
        if self.budget_controller is not None:
            self.budget_controller.prepare(model)
            # On several devices what the solver left open in time must be the same.
            self.distribution.exclude_also(broadcast_from_rank_zero(self.budget_controller.excluded))
        return model
