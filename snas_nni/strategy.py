"""``SNAS``: Stochastic Neural Architecture Search as an NNI one-shot strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's own strategies
import torch
from nni.mutable import Mutable
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.strategy import DARTS
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import RawFormatModelSpace
from torch import nn

from snas_nni.derivation.child import derive_child
from snas_nni.derivation.loose_ends import InputMemory
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import choice_of
from snas_nni.errors import SettingError, SnasError, UnsupportedSpaceError
from snas_nni.regularizer import Regularizer
from snas_nni.resources import (
    Budget,
    BudgetController,
    BudgetReport,
    Convention,
    CostModel,
    LatencyTable,
    count_supernet,
    measure_latency,
)
from snas_nni.resources.child_selection import ChildSelection
from snas_nni.resources.memory import STORED_BYTES, stored_bytes
from snas_nni.search.deriving import compared, derive_judged
from snas_nni.search.distributed import of_the_first
from snas_nni.search.evidence import Judged
from snas_nni.search.lightning_module import SnasLightningModule
from snas_nni.search.settings import SearchSettings
from snas_nni.search.temperature import Shape, TemperatureSchedule
from snas_nni.supernet.foreign import ForeignMemo, SampledSoftmax
from snas_nni.supernet.hooks import hooks, refuse_aliases
from snas_nni.supernet.operation import SampledArguments
from snas_nni.supernet.stage import in_place_of, prepare_stages

__all__ = ["SNAS"]


class SNAS(DARTS):
    """Stochastic Neural Architecture Search (Xie et al., ICLR 2019, arXiv 1812.09926).

    One relaxed architecture is drawn per training step and shared by all modules of a label; one backward pass on
    one batch updates weights and logits; the temperature falls until the supernet is its own child. All arguments
    are optional; the defaults are the paper's. Use it like any strategy of NNI::

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
        logits_learning_rate: of Adam, > 0. The paper's 3e-4 suits 150 epochs of 782 steps; a search of n steps can
            move a logit by about n times this number, so shorter searches need a larger one.
        logits_betas: of Adam.
        logits_weight_decay: of Adam, >= 0.
        logits_gradient_clip: largest norm of the logits' gradient, or None.
        weights_gradient_clip: largest norm of the weights' gradient, or None.
        warmup_epochs: first epochs with the logits frozen, at the initial temperature.
        settle_epochs: last epochs, in which one child is trained alone: the best of the most probable ones. The
            temperature has then fallen to its end. None: a fifth of the epochs after warming up; 0: never.
        candidates: how many of the most probable children are compared before the search settles, each with BatchNorm
            statistics of its own, on held-out data; 1 settles on the most probable one.
        selection_share: of the held-out batches, how much of them children are compared on; in (0, 1].
        selection_metric: what the evaluator logs in its ``validation_step`` that decides between children, the larger
            the better; with a ``-`` before its name, the smaller. None: ``val_acc`` or another accuracy, else a loss.
        recalibration_batches: training batches that a child's BatchNorm statistics are measured on; 0: it is judged
            with the supernet's.
        bilevel: update the logits on a validation batch of their own, as DARTS does; for comparison. The paper
            argues for a single level, and a space with a zero operation tends to select nothing otherwise.
        sampling: "relaxed" (the paper), or "single_path": a step runs one child drawn from the categorical
            distribution, the limit of temperature 0 (DSNAS, arXiv 2002.09128). A step then costs a child's time and
            memory; the gradient of the logits has more variance.
        sample_per_layer: each module draws its own Z in place of one for each label.
        samples_per_step: average the gradient over this many samples of Z.
        spread_samples: on several devices, share them out: each device runs its part of them on its own batch.
        accumulate_batches: step both optimisers after this many batches.
        skip_tolerance: candidates whose weights sum to less than this, times the temperature or, if less, times the
            mean of 1 - max Z, do not run; 0 runs all. See :func:`snas_nni.supernet.weighting.negligible` for the
            bound on the gradient.
        channels_last: give the supernet its images in channels-last memory order; None: on a CPU, where a
            convolution supernet trains about 1.5 times as fast in it.
        initial_logits_std: standard deviation of the initial logits around 0.
        regularizers: terms added to the loss; see :class:`~snas_nni.regularizer.Regularizer`.
        budget: upper bounds on what the child costs; see :class:`~snas_nni.resources.Budget`.
        latency_table: measured latencies, or the JSON file that holds them, for a penalty or budget of
            ``latency_ms``; measured at the start of the search on this machine if None and needed.
        cost_convention: what counts as a cost; everything if None.
        example_input: the input of one example that costs are counted on, or a tuple of arguments of ``forward``;
            the first image of the first batch if None.
        seed: of the initial logits and all draws; PyTorch's initial seed if None.
        mutation_hooks: NNI mutation hooks that are tried before this project's own.

    Raises:
        SettingError: an argument outside its range.
    """

    def __init__(
        self,
        *,
        initial_temperature: float = 1.0,
        final_temperature: float = 0.03,
        temperature_schedule: Shape | Callable[[float], float] = "linear",
        temperature_interval: Literal["epoch", "step"] = "epoch",
        logits_learning_rate: float = 3e-4,
        logits_betas: tuple[float, float] = (0.5, 0.999),
        logits_weight_decay: float = 1e-3,
        logits_gradient_clip: float | None = 10.0,
        weights_gradient_clip: float | None = 5.0,
        warmup_epochs: int = 0,
        settle_epochs: int | None = None,
        candidates: int = 8,
        selection_share: float = 1.0,
        selection_metric: str | None = None,
        recalibration_batches: int = 20,
        bilevel: bool = False,
        sampling: Literal["relaxed", "single_path"] = "relaxed",
        sample_per_layer: bool = False,
        samples_per_step: int = 1,
        spread_samples: bool = False,
        accumulate_batches: int = 1,
        skip_tolerance: float = 5e-4,
        channels_last: bool | None = None,
        initial_logits_std: float = 0.01,
        regularizers: Sequence[Regularizer] = (),
        budget: Budget | None = None,
        latency_table: str | Path | LatencyTable | None = None,
        cost_convention: Convention | None = None,
        example_input: Any = None,
        seed: int | None = None,
        mutation_hooks: list[Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(mutation_hooks=mutation_hooks)
        self.settings = SearchSettings(
            temperature=TemperatureSchedule(
                initial_temperature, final_temperature, temperature_schedule, temperature_interval
            ),
            logits_learning_rate=logits_learning_rate,
            logits_betas=tuple(logits_betas),  # type: ignore[arg-type]  # a list where it comes from YAML
            logits_weight_decay=logits_weight_decay,
            logits_gradient_clip=logits_gradient_clip,
            weights_gradient_clip=weights_gradient_clip,
            warmup_epochs=warmup_epochs,
            settle_epochs=settle_epochs,
            candidates=candidates,
            selection_share=selection_share,
            selection_metric=selection_metric,
            recalibration_batches=recalibration_batches,
            bilevel=bilevel,
            sampling=sampling,
            sample_per_layer=sample_per_layer,
            samples_per_step=samples_per_step,
            spread_samples=spread_samples,
            accumulate_batches=accumulate_batches,
            skip_tolerance=skip_tolerance,
            channels_last=channels_last,
            initial_logits_std=initial_logits_std,
            seed=torch.initial_seed() % 2**32 if seed is None else seed,
        )
        self.regularizers = list(regularizers)
        self.budget_controller = (
            None if budget is None else BudgetController(budget, final_temperature=self.settings.temperature(1.0))
        )
        if self.budget_controller is not None:
            self.regularizers.append(self.budget_controller)
        self.latency_table = latency_table
        self.cost_convention = cost_convention
        self.example_input = example_input
        self.budget_report: BudgetReport | None = None
        self._cost_model: CostModel | None = None
        self._distribution: ArchitectureDistribution | None = None
        self._search: SnasLightningModule | None = None

    @property
    def distribution(self) -> ArchitectureDistribution:
        """The architecture distribution; there is one after :meth:`mutate_model`."""
        if self._distribution is None:
            raise SnasError("there is no supernet yet: run the experiment, or call mutate_model(space), first.")
        return self._distribution

    def selection(self, budget: Budget | None = None, example_input: Any = None) -> ChildSelection:
        """The children that come into question.

        Args:
            budget: bounds in place of those of the search. Candidates that the search excluded stay excluded.
            example_input: to count costs on, where none were counted yet; see :meth:`cost_model`.

        Raises:
            SettingError: no child meets the budget.
        """
        if budget is None:
            return ChildSelection(self.distribution, self.budget_controller)
        controller = BudgetController(budget)
        controller.prepare(self._with_stored_bytes(self.cost_model(example_input), budget.bounds))
        return ChildSelection(self.distribution, controller)

    def chosen_sample(self) -> dict[str, Any]:
        """The sample of the child: the one that the search settled on, else the most probable one within the budget.

        With a budget, ``budget_report`` then says how it meets it.
        """
        settled = self._search.settling.chosen if self._search is not None else None
        sample = settled or self.selection().current()
        self.budget_report = self.selection().report(sample)
        return sample

    def derive(
        self,
        candidates: int | None = None,
        *,
        budget: Budget | None = None,
        validation: Any = None,
        training: Any = None,
    ) -> tuple[dict[str, Any], nn.Module]:
        """The chosen sample, and its child with the supernet's weights, which it does not share.

        Without arguments it is the child that the search showed last. With any of them, the best of several is
        derived instead, with the BatchNorm statistics that it was judged with.

        Args:
            candidates: how many of the most probable children are compared; the search's setting if None.
            budget: upper bounds in place of the search's. What the search excluded as beyond its own stays excluded.
            validation: loader of held-out batches to compare on; the evaluator's if None.
            training: loader of training batches for BatchNorm statistics; the evaluator's if None.

        Raises:
            SettingError: no child meets the budget, or the evaluator logs nothing to compare children by.
            SnasError: no search was run, or there are no held-out data.
        """
        if candidates is None and budget is None and validation is None and training is None:
            sample = self.chosen_sample()
            return sample, derive_child(self._mutated, sample)
        selection = self.selection(budget)
        count = self.settings.candidates if candidates is None else candidates
        if selection.controller is not None and not selection.controller.is_prepared:
            raise SnasError("the budget does not know the costs yet: pass example_input to restore.")
        best = self.compare(count, budget=budget, validation=validation, training=training)[0]
        self.budget_report = selection.report(best.sample)
        return best.sample, derive_judged(self._ran(), self._mutated, best)

    def compare(
        self, candidates: int, *, budget: Budget | None = None, validation: Any = None, training: Any = None
    ) -> list[Judged]:
        """The most probable children within the budget, the best on held-out data first; arguments as for `derive`."""
        if candidates < 1:
            raise SettingError(f"candidates must be at least 1, got {candidates}.")
        samples = self.selection(budget).candidates(candidates)
        return compared(self._ran(), samples, validation=validation, training=training)

    def restore(
        self, space: ModelSpace, training_module: Any, checkpoint: Mapping[str, Any], example_input: Any = None
    ) -> None:
        """Go to where the checkpoint of a search is, so that children can be derived and compared without a run.

        Args:
            space: the model space, new; it becomes the supernet.
            training_module: the evaluator's Lightning module.
            checkpoint: what Lightning saved of a search of this space.
            example_input: to count costs on; needed for budgets, see :meth:`cost_model`.

        Raises:
            SnasError: the checkpoint is not of a search, or not of this space.
        """
        supernet = self.mutate_model(space)
        module = self.configure_oneshot_module(training_module)
        module.set_model(supernet)
        try:
            state = checkpoint["snas"]
            module.load_state_dict(checkpoint["state_dict"])
        except (KeyError, RuntimeError) as error:
            raise SnasError(f"the checkpoint is not of a search of {type(space).__name__}: {error}") from error
        module.settling.load_state_dict(state.get("settling", {"chosen": None}))
        self.distribution.generator.set_state(state["generator"].cpu())
        if example_input is not None:
            model = self.cost_model(example_input)
            if self.budget_controller is not None:
                self.budget_controller.prepare(model)

    def _ran(self) -> SnasLightningModule:
        if self._search is None:
            raise SnasError("no search was run: run the experiment, or restore a checkpoint, first.")
        return self._search

    def cost_model(self, example_input: Any = None) -> CostModel:
        """What every child of the space costs.

        Args:
            example_input: input of one example, or a tuple of arguments; not needed once costs were counted.

        Raises:
            SnasError: there is neither; or an operation cannot be counted.
        """
        if self._cost_model is None:
            example = self.example_input if example_input is None else example_input
            if example is None:
                raise SnasError("costs are counted on an input: pass example_input, such as torch.zeros(1, 3, 32, 32).")
            self._cost_model = self._counted(example)
        return self._cost_model

    def _counted(self, example: Any) -> CostModel:
        model = count_supernet(self._mutated, self.distribution, example, self.cost_convention)
        for regularizer in self.regularizers:
            model = self._with_stored_bytes(model, getattr(regularizer, "costs", ()))
        table = self.latency_table
        if table is None and self._wants_latency():
            table = of_the_first(measure_latency(self._mutated, self.distribution, example))
        if isinstance(table, (str, Path)):
            table = LatencyTable.load(table, self.distribution.choices)
        return model if table is None else model.with_costs({"latency_ms": table.parts})

    def _with_stored_bytes(self, model: CostModel, names: Iterable[str]) -> CostModel:
        missing = [name for name in STORED_BYTES if name in names and name not in model.names]
        return model.with_costs({name: stored_bytes(self._mutated, model, name) for name in missing})

    def _wants_latency(self) -> bool:
        return any("latency_ms" in getattr(regularizer, "costs", ()) for regularizer in self.regularizers)

    def _costs_for_batch(self, batch: Any) -> CostModel:
        model = self._costs_of(batch)
        if self.budget_controller is not None:
            self.budget_controller.prepare(model)
            # On several devices what the solver left open in time must be the same.
            self.distribution.exclude(of_the_first(self.budget_controller.bounds.excluded))
        return model

    def _costs_of(self, batch: Any) -> CostModel:
        if self._cost_model is not None or self.example_input is not None:
            return self.cost_model()
        first = batch[0] if isinstance(batch, (list, tuple)) and batch else batch
        if not isinstance(first, torch.Tensor):
            raise SnasError(
                "costs are counted on one example, and the training batch does not begin with a tensor of inputs. "
                "Pass SNAS(example_input=...), a tensor or a tuple of arguments of the network's forward."
            )
        return self.cost_model(first[:1])

    # ---- what NNI asks of a strategy -----------------------------------------------------------------------------

    def mutate_model(self, model: ModelSpace) -> ModelSpace:
        """Turn a model space into a supernet, in place.

        Raises:
            UnsupportedSpaceError: names the label or module that cannot be searched, the reason, the way out.
        """
        if not isinstance(model, ModelSpace):
            raise UnsupportedSpaceError(
                f"{type(model).__name__} is not a model space. Derive the network from nni.nas.nn.pytorch.ModelSpace."
            )
        if any(isinstance(module, BaseSuperNetModule) for module in model.modules()):
            raise UnsupportedSpaceError(
                f"{type(model).__name__} is a supernet already. Make a new space: it can be turned into one only once."
            )
        try:
            mutables = model.simplify()
        except ValueError as error:
            raise UnsupportedSpaceError(
                f"{error}. Modules with the same label share one choice, so they need the same candidates in the same "
                "order: give them equal candidate names, or labels of their own."
            ) from error
        choices = {label: choice_of(mutable) for label, mutable in mutables.items()}
        if not choices:
            raise UnsupportedSpaceError(
                f"{type(model).__name__} has nothing to choose. Put a LayerChoice, InputChoice, Repeat, Cell or a "
                "mutable layer into it."
            )
        self._distribution = ArchitectureDistribution(
            choices,
            initial_std=self.settings.initial_logits_std,
            seed=self.settings.seed,
            sample_per_layer=self.settings.sample_per_layer,
        )
        self._distribution.current.skip_tolerance = self.settings.skip_tolerance
        self._mutated = model
        self._cost_model = None
        prepare_stages(model, self._distribution.bind)
        # DARTS.mutate_model would create logits of its own.
        supernet: ModelSpace = super(DARTS, self).mutate_model(model)
        refuse_aliases(supernet)
        InputMemory.attach(supernet, self._distribution)
        unused = [label for label, readers in self._distribution.readers.items() if not readers]
        if unused:
            raise UnsupportedSpaceError(
                f"label '{', '.join(unused)}': the space chooses a value that no module of it uses in a way that can "
                "be searched (it was read by ensure_frozen or add_mutable). Use LayerChoice, InputChoice, Repeat, "
                "Cell or a mutable layer for it, or fix the value."
            )
        return supernet

    def default_mutation_hooks(self) -> list[Callable[..., Any]]:
        """Supernet forms of all of NNI's mutables."""
        return hooks()

    def run_hook(self, hook: Callable[..., Any], name: str, module: nn.Module, memo: dict[str, Any]) -> Any:
        """Give this project's hooks the distribution, and hooks written for NNI's DARTS their logits and softmax."""
        foreign = ForeignMemo(self.distribution, memo)
        return in_place_of(hook)(
            module,
            name,
            foreign,
            {
                "distribution": self.distribution,
                "softmax": SampledSoftmax(foreign),
                "mixed_op_sampling": SampledArguments,
            },
        )

    def configure_oneshot_module(self, training_module: Any) -> SnasLightningModule:
        """The search around the evaluator's Lightning module."""
        self._search = SnasLightningModule(
            training_module,
            self.distribution,
            self.settings,
            self.regularizers,
            self._costs_for_batch,
            self.selection(),
        )
        return self._search

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

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """The child, and after it the others of the ``limit`` most probable ones, ranked by what they reach.

        ``executable_model()`` of each is the child with inherited weights.

        Args:
            sort: not used; they are always sorted.
            limit: how many; None: as many as the search compares.
        """
        chosen = self.chosen_sample()
        count = self.settings.candidates if limit is None else limit
        if count == 1:
            yield _DerivedModel.at(self.model_space, chosen)
            return
        judged = self.compare(count)
        settled = self._ran().settling.chosen
        if settled is not None:  # it was trained alone since it was chosen, and is what the search showed
            yield _DerivedModel.at(self.model_space, settled)
            judged = [each for each in judged if each.sample != settled][: count - 1]
        for each in judged:
            yield _DerivedModel.at(self.model_space, each.sample, partial(derive_judged, self._ran(), judged=each))


class _DerivedModel(RawFormatModelSpace):
    """NNI's frozen model space, with this project's derivation in place of NNI's ``freeze``.

    Attributes:
        derive: gets the supernet and returns the child; None for the child with the supernet's own statistics.
    """

    derive: Callable[[Any], nn.Module] | None = None

    @classmethod
    def at(
        cls, model_space: RawFormatModelSpace, sample: dict[str, Any], derive: Callable[[Any], nn.Module] | None = None
    ) -> _DerivedModel:
        frozen = model_space.freeze(sample)
        model = cls(frozen.model_space, frozen.evaluator)
        model.sample, model.status, model.derive = frozen.sample, frozen.status, derive
        return model

    def executable_model(self) -> nn.Module:
        if self.derive is not None:
            return self.derive(self.model_space)
        return derive_child(self.model_space, self.sample)
