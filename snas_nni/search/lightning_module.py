"""The search step: one batch, one sample, one forward, one backward, both optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import nni.nas.strategy  # noqa: F401  before nni.nas.oneshot: the other order silently breaks NNI's strategies
import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from torch import Tensor, nn

from snas_nni.cpu_kernels.fast_layers import quicken
from snas_nni.cpu_kernels.memory_format import channels_last
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import NotFiniteError, SettingError, SnasError
from snas_nni.regularizer import Regularization, Regularizer
from snas_nni.resources.child_selection import ChildSelection
from snas_nni.resources.costs import CostModel
from snas_nni.search.batches import training_batches
from snas_nni.search.distributed import (
    average,
    average_buffers,
    average_gradients,
    devices_of,
    local_backward,
    means_of,
    rank_of,
)
from snas_nni.search.evaluator_log import EvaluatorLog
from snas_nni.search.optimizers import logits_optimizer, weights_optimizer, without_parameters
from snas_nni.search.resume_state import (
    PartialMeans,
    metric_states,
    random_state,
    set_metric_states,
    set_random_state,
    undisturbed_metrics,
)
from snas_nni.search.settings import SearchSettings, is_settling, is_warming_up, temperature_now
from snas_nni.search.settling import Settling
from snas_nni.search.telemetry import EpochTelemetry

__all__ = ["SnasLightningModule"]


class SnasLightningModule(BaseOneShotLightningModule):
    """Minimises E_{Z ~ p(Z)} [L(Z) + regularizers] over weights and logits together (paper, section 2.2 and 2.3).

    Wraps the evaluator's Lightning module, whose ``training_step`` gives L and whose ``validation_step`` gives the
    metrics. Validation runs twice on held-out data: once as the child, whose metrics keep the names that
    the evaluator gave them, and once with a sampled Z, under ``sampled/<name>``. The child is the most probable one
    within the budget (the mode, without one) until the search settles, and the chosen one from there on.

    Args:
        training_module: the evaluator's module; automatic optimisation, one optimiser.
        distribution: bound to the supernet that the evaluator trains.
        settings: of the search.
        regularizers: terms added to the loss, in order.
        count_costs: gets a training batch, returns the space's costs for the regularizers that want to know them.
        selection: the children that come into question; those of the distribution by default.
    """

    def __init__(
        self,
        training_module: Any,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        regularizers: Sequence[Regularizer] = (),
        count_costs: Callable[[Any], CostModel] | None = None,
        selection: ChildSelection | None = None,
    ) -> None:
        super().__init__(training_module)
        self.distribution = distribution
        self.settings = settings
        self.regularization = Regularization(regularizers, count_costs)
        self.selection = selection or ChildSelection(distribution)
        self.settling = Settling(distribution, self.selection, settings)
        self._shown: Sample | None = None
        self._telemetry = EpochTelemetry(distribution)
        self._undo = ExitStack()
        self.search_step = 0
        self._evaluator_log = EvaluatorLog(self)
        self._partial_means = PartialMeans()
        self._resumed_within_epoch: dict[str, Any] | None = None
        self._loader_states: list[Any] = []

    # ---- training ------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """One search step; returns what the evaluator's own training step returned."""
        weights_batch = batch
        self.regularization.prepare(batch["train"] if self.settings.bilevel else batch)
        if self.settings.bilevel:
            weights_batch = batch["train"]
            if not self.resting:
                self._logits_step_on(batch["val"], batch_idx)
        output = self._backward(weights_batch, batch_idx)
        if self._accumulated(batch_idx):
            self._synchronise()
            self._step_weights(batch_idx)
            if not self.settings.bilevel and not self.resting:
                self._step_logits()
            self._zero_gradients()
        self.search_step += 1
        self.advance_lr_schedulers(batch_idx)
        self._partial_means.complete(self.trainer)
        return output

    def _backward(self, batch: Any, batch_idx: int) -> Any:
        """Add the gradients of ``samples_per_step`` samples, one after the other so that one graph is alive."""
        output: Any = None
        settled, devices = is_settling(self.trainer, self.settings), devices_of(self.trainer)
        count = 1 if settled else self.settings.samples_per_step  # the same child each time
        spread = self.settings.spread_samples and devices > 1 and not settled
        if spread and count % devices:
            raise SettingError(
                f"spread_samples: {count} samples_per_step cannot be shared equally by {devices} devices. "
                "Give a multiple of their number."
            )
        for index in range(count):
            sample = self._draw()  # by every device, so that their generators stay in step
            if spread and index % devices != rank_of(self.trainer):
                continue
            with self.distribution.use(sample), local_backward(self.trainer):
                output = self.training_module.training_step(batch, batch_idx)
                loss = output["loss"] if isinstance(output, dict) else output
                total = loss if settled else loss + self._penalty(sample)
                value = float(total.detach())
                if devices > 1:
                    value = average(value, total.device)  # so that all of them stop, if one has to
                if not math.isfinite(value):
                    raise self._not_finite(value)
                self._telemetry.watch(value, sample, [] if settled else self.regularization.read())
                shares = count // devices if spread else count
                self.manual_backward(total / (shares * self.settings.accumulate_batches))
        return output

    def _draw(self) -> Sample:
        if is_settling(self.trainer, self.settings):
            return self._settled()
        single_path = self.settings.sampling == "single_path"
        draw = self.distribution.draw_single_path if single_path else self.distribution.draw
        return self.selection.draw(partial(draw, self.temperature))

    def _penalty(self, sample: Sample) -> Tensor | float:
        total: Tensor | float = 0.0
        for name, term in self.regularization.terms(self.distribution, sample, self.search_step):
            self.log(f"penalty/{name}", term.detach(), on_step=False, on_epoch=True)
            total = total + term
        return total

    def _logits_step_on(self, batch: Any, batch_idx: int) -> None:
        """First-order bi-level update, for comparison: logits on a batch of their own."""
        self._backward(batch, batch_idx)
        self._synchronise()
        self._step_logits()
        self._zero_gradients()

    def _synchronise(self) -> None:
        if devices_of(self.trainer) > 1:
            average_gradients(self.parameters())

    def _accumulated(self, batch_idx: int) -> bool:
        return (batch_idx + 1) % self.settings.accumulate_batches == 0 or self.trainer.is_last_batch

    def _zero_gradients(self) -> None:
        for optimizer in self._optimizers():
            optimizer.zero_grad()

    def _step_weights(self, batch_idx: int) -> None:
        optimizer = self._optimizers()[0]
        self.training_module.configure_gradient_clipping(optimizer, self.settings.weights_gradient_clip, "norm")
        self.training_module.optimizer_step(self.trainer.current_epoch, batch_idx, optimizer)

    def _step_logits(self) -> None:
        clip = self.settings.logits_gradient_clip
        if clip is not None:
            nn.utils.clip_grad_norm_(self.distribution.parameters(), clip)
        self._optimizers()[1].step()

    def _optimizers(self) -> tuple[Any, Any]:
        return weights_optimizer(self.optimizers(), self.training_module), self.architecture_optimizers()

    def _not_finite(self, value: float) -> NotFiniteError:
        return NotFiniteError(
            f"the loss is {value} at step {self.search_step} (epoch {self.trainer.current_epoch}, temperature "
            f"{self.temperature:.3g}). Try a lower learning rate of the weights, a smaller weights_gradient_clip, or "
            "a higher final temperature; the last checkpoint is from before this step."
        )

    # ---- temperature ---------------------------------------------------------------------------------------------

    @property
    def warming_up(self) -> bool:
        """Whether the logits are still frozen."""
        return is_warming_up(self.trainer, self.settings)

    @property
    def resting(self) -> bool:
        """Whether the logits do not move: while warming up, and once one child is trained alone."""
        return self.warming_up or is_settling(self.trainer, self.settings)

    @property
    def temperature(self) -> float:
        """The temperature of the current step; that of progress 0 while warming up."""
        return temperature_now(self.trainer, self.settings)

    # ---- optimisers ----------------------------------------------------------------------------------------------

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the logits."""
        return logits_optimizer(self.distribution, self.settings)

    def postprocess_weight_optimizers(self, optimizers: Any) -> Any:
        """Take the logits out of the evaluator's optimiser, where a user's own supernet module may hold them."""
        return without_parameters(optimizers, self.distribution.parameters())

    # ---- validation ----------------------------------------------------------------------------------------------

    def setup(self, stage: Any = None) -> Any:
        """Redirect the evaluator's logging to this module."""
        result = super().setup(stage)
        self._evaluator_log.attach(self.training_module)
        return result

    def validation_step(self, batch: Any, batch_idx: int, *args: Any) -> Any:
        """Evaluate a sampled Z, then the child; return the child's output."""
        if not self.trainer.sanity_checking:
            # A generator of its own: looking must not change what the search draws next.
            generator = torch.Generator().manual_seed(
                self.settings.seed + 1_000_003 * self.trainer.current_epoch + batch_idx
            )
            temperature = self.temperature
            with (
                self.distribution.use(self.distribution.draw(temperature, generator)),
                self._evaluator_log.under("sampled/"),
                undisturbed_metrics(self.training_module),
            ):
                self.training_module.validation_step(batch, batch_idx, *args)
        if self._shown is None:
            self._shown = self.distribution.one_hot_sample(self.export())
        with self.distribution.use(self._shown):
            return self.training_module.validation_step(batch, batch_idx, *args)

    def on_fit_start(self) -> None:
        """Make layers fast for the time of the search: the images' memory order, convolutions, BatchNorm."""
        wanted = self.settings.channels_last
        # Not `training_module.model`: a module that holds its network by itself has no such thing.
        supernet = next((m for m in self.training_module.modules() if isinstance(m, ModelSpace)), None)
        if supernet is not None and (self.device.type == "cpu" if wanted is None else wanted):
            self._undo.callback(supernet.register_forward_pre_hook(channels_last).remove)
        self._undo.callback(quicken(self.training_module))
        super().on_fit_start()

    def teardown(self, stage: Any = None) -> Any:
        """Leave the supernet as it was."""
        self._undo.close()
        return super().teardown(stage)

    # ---- epochs --------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Remember where the logits are, and check the schedule before time is spent on the epoch."""
        _ = self.temperature  # a schedule that cannot be followed is refused before the first step
        self._telemetry.begin()
        if is_settling(self.trainer, self.settings):
            self._settled()
        super().on_train_epoch_start()

    def on_validation_epoch_start(self) -> None:
        """Forward to the evaluator, which NNI's base class does not; all devices evaluate the same network."""
        if devices_of(self.trainer) > 1:
            average_buffers(self)
        self._shown = None  # the child of now
        self.training_module.on_validation_epoch_start()

    def on_validation_epoch_end(self) -> None:
        """Log the search's own metrics next to the evaluator's, then let the evaluator report."""
        if not self.trainer.sanity_checking:
            self._log_search_metrics()
        self.training_module.on_validation_epoch_end()

    def on_train_epoch_end(self) -> None:
        """Log the search's metrics for epochs without validation."""
        if devices_of(self.trainer) > 1:
            average_buffers(self)  # what the first device keeps is what all have
        self._log_search_metrics()
        super().on_train_epoch_end()

    def _log_search_metrics(self) -> None:
        metrics = self._telemetry.end(self.trainer.current_epoch, self.temperature, self.resting)
        if metrics is not None:
            if devices_of(self.trainer) > 1:
                metrics = means_of(metrics, "credit/")
            self.log_dict({**metrics, **self.regularization.metrics(self.distribution)})

    # ---- settling ------------------------------------------------------------------------------------------------

    def _settled(self) -> Sample:
        """The sample of the child that is trained alone, which is chosen when it is first asked for."""
        sample = self.settling.sample()
        if sample is None:
            self._prepare_costs()
            self.settling.choose(self.training_module, self.trainer)
            sample = self.settling.sample()
        if sample is None:
            raise SnasError("the search settles, but no child was chosen.")
        return sample

    def _prepare_costs(self) -> None:
        """Count costs before the first step of a search that goes on, where a child is chosen before it."""
        first = training_batches(self.trainer, 1)
        states = random_state()
        for batch in first.seeded(self.settings.seed) if first is not None else ():
            self.regularization.prepare(self.trainer.strategy.batch_to_device(batch))
        set_random_state(states)

    # ---- NNI's interface -----------------------------------------------------------------------------------------

    def resample(self) -> dict[str, Any]:
        """Draw a Z at the current temperature and return the sample nearest to it."""
        return self.distribution.draw(self.temperature).values()

    def export(self) -> dict[str, Any]:
        """The sample of the child: the chosen one once the search has settled, the most probable one before."""
        return self.settling.chosen or self.selection.current()

    def export_probs(self) -> dict[str, dict[Any, float]]:
        """Probabilities, without noise."""
        return self.distribution.probabilities()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what Lightning does not: random states, the regularizers' states, the epoch's telemetry so far."""
        loop = self.trainer.fit_loop.epoch_loop
        within_epoch = loop.batch_idx >= 0 and not self.trainer.is_last_batch
        checkpoint["snas"] = {
            "generator": self.distribution.generator.get_state(),
            "random": random_state(),
            "search_step": self.search_step,
            "epoch": self._telemetry.state_dict(),
            "regularizers": self.regularization.state_dict(),
            "settling": self.settling.state_dict(),
            "means": PartialMeans.state_dict(self.trainer) if within_epoch else {},
            "metrics": metric_states(self.training_module) if within_epoch else {},
            "within_epoch": within_epoch,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        state = checkpoint["snas"]
        self.distribution.generator.set_state(state["generator"].cpu())
        set_random_state(state["random"])
        self.search_step = state["search_step"]
        self._telemetry.load_state_dict(state["epoch"])
        self.regularization.load_state_dict(state["regularizers"])
        if "settling" in state:  # not in files from before there was any
            self.settling.load_state_dict(state["settling"])
        self._loader_states = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", [])
        if state["within_epoch"]:
            self._partial_means.load_state_dict(state["means"])
            self._resumed_within_epoch = state

    def on_train_start(self) -> None:
        """Give loaders their states; Lightning does that only for a search that was cut within an epoch."""
        loaders = [
            each for each in self.trainer.fit_loop._combined_loader.flattened if hasattr(each, "load_state_dict")
        ]
        if self._resumed_within_epoch is None and len(loaders) == len(self._loader_states):
            for loader, state in zip(loaders, self._loader_states, strict=True):
                loader.load_state_dict(state)
        self._loader_states = []
        super().on_train_start()

    def on_train_batch_start(self, batch: Any, batch_idx: int, *args: Any) -> Any:
        """In an epoch that goes on, restore what its start would have changed."""
        if self._resumed_within_epoch is not None:
            set_random_state(self._resumed_within_epoch["random"])
            set_metric_states(self.training_module, self._resumed_within_epoch["metrics"])
            self._resumed_within_epoch = None
        return super().on_train_batch_start(batch, batch_idx, *args)
