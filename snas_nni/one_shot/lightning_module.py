"""The search step: one batch, one sample, one forward, one backward, both optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace
from torch import Tensor, nn

from snas_nni.cost_model import CostModel
from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from snas_nni.derivation.portability import watch_unsaved_buffers
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.sample import Sample
from snas_nni.errors import NotFiniteError, SnasError
from snas_nni.nni_compat import BaseOneShotLightningModule
from snas_nni.one_shot.distributed import (
    all_reduce_mean,
    average,
    average_buffers,
    average_gradients,
    devices_of,
    local_backward,
    samples_of_this_device,
)
from snas_nni.one_shot.evaluator_log import EvaluatorLog
from snas_nni.one_shot.evidence.batches import training_batches
from snas_nni.one_shot.evidence.comparing import Accept
from snas_nni.one_shot.evidence.settling import Settling
from snas_nni.one_shot.learning_rate import logits_learning_rate, settling_learning_rate
from snas_nni.one_shot.lightning_compat import trainer_of
from snas_nni.one_shot.optimizers import logits_optimizer, weights_optimizer, without_parameters
from snas_nni.one_shot.progress import is_settling, is_warming_up, temperature_now
from snas_nni.one_shot.regularization import Regularization
from snas_nni.one_shot.resume_state import Resumption, random_state, set_random_state, undisturbed_metrics
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.one_shot.telemetry import EpochTelemetry
from snas_nni.regularizer import Regularizer, RegularizerTerm
from snas_nni.resources.child_selection import ChildSelection

__all__ = ["SnasLightningModule"]


class SnasLightningModule(BaseOneShotLightningModule):
    """Minimises E_{Z ~ p(Z)} [L(Z) + regularizers] over weights and logits together (paper, section 2.2 and 2.3).

    Wraps the evaluator's Lightning module, whose ``training_step`` gives L and whose ``validation_step`` gives the
    metrics. Validation runs twice on held-out data: once as the child, whose metrics keep the names that the evaluator
    gave them, and once with a sampled Z, under ``sampled/<name>``. The child is the most probable one within the budget
    (the mode, without one) until the search settles, and the chosen one from there on.

    Args:
        training_module: the evaluator's module; automatic optimisation, one optimiser.
        distribution: bound to the supernet that the evaluator trains.
        settings: of the search.
        seed: of the samples that validation looks at.
        regularizers: terms added to the loss, in order.
        count_costs: gets a training batch, returns the space's costs for the regularizers that want to know them.
        selection: the children that come into question; those of the distribution by default.
        accept: is asked about the children that are compared; see :class:`~snas_nni.SNAS`.
    """

    def __init__(
        self,
        training_module: Any,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        seed: int = 0,
        regularizers: Sequence[Regularizer | Callable[..., RegularizerTerm | Tensor]] = (),
        count_costs: Callable[[Any], CostModel] | None = None,
        selection: ChildSelection | None = None,
        accept: Accept | None = None,
    ) -> None:
        super().__init__(training_module)
        self.distribution = distribution
        self.settings = settings
        self.seed = seed
        self.regularization = Regularization(regularizers, count_costs)
        self.selection = selection or ChildSelection(distribution)
        self.settling = Settling(distribution, self.selection, settings, seed, accept)
        self._shown: Sample | None = None
        self._telemetry = EpochTelemetry(distribution)
        self._undo = ExitStack()
        self.search_step = 0
        self._evaluator_log = EvaluatorLog(self)
        self._resumption = Resumption()

    # ---- training ------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """One search step; returns what the evaluator's own training step returned."""
        weights_batch = batch["train"] if self.settings.bilevel else batch
        self.regularization.prepare(weights_batch)
        if self.settings.bilevel and not self.resting:
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
        return output

    def _backward(self, batch: Any, batch_idx: int) -> Any:
        """Add the gradients of ``samples_per_step`` samples, one after the other so that one graph is alive."""
        output: Any = None
        settings, settled = self.settings, self.settled
        count = 1 if settled else settings.samples_per_step  # the same child each time
        own = samples_of_this_device(self.trainer, count, settings.spread_samples and not settled)
        for runs_here in own:
            sample = self._draw()  # by every device, so that their generators stay in step
            if not runs_here:
                continue
            with self.distribution.use(sample), local_backward(self.trainer):
                output = self.training_module.training_step(batch, batch_idx)
                loss = output["loss"] if isinstance(output, dict) else output
                terms = [] if settled else self.regularization.terms(self.distribution, sample, self.search_step)
                for name, term in terms:
                    self.log(f"penalty/{name}", term.value.detach(), on_step=False, on_epoch=True)
                self._resumption.has_logged(self.trainer)
                total = loss + sum(term.value for _, term in terms)
                value = float(total.detach())
                if devices_of(self.trainer) > 1:
                    value = average(value, total.device)  # so that all of them stop, if one has to
                if not math.isfinite(value):
                    raise self._not_finite(value)
                self._telemetry.watch(value, sample, [term for _, term in terms])
                self.manual_backward(total / (sum(own) * settings.accumulate_batches))
        return output

    def _draw(self) -> Sample:
        return self._settled() if self.settled else self.selection.draw(partial(self._draw_at, self.temperature))

    def _draw_at(self, temperature: float) -> Sample:
        if self.settings.sampling == "single_path":
            return self.distribution.draw_single_path(temperature)
        return self.distribution.draw(temperature)

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
        with settling_learning_rate(optimizer, self.trainer, self.settings):
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

    @property
    def warming_up(self) -> bool:
        """Whether the logits are still frozen."""
        return is_warming_up(self.trainer, self.settings)

    @property
    def settled(self) -> bool:
        """Whether one child is trained alone now."""
        return is_settling(self.trainer, self.settings)

    @property
    def resting(self) -> bool:
        """Whether the logits do not move: while warming up, and once one child is trained alone."""
        return self.warming_up or self.settled

    @property
    def temperature(self) -> float:
        """The temperature of the current step; that of progress 0 while warming up."""
        return temperature_now(self.trainer, self.settings)

    # ---- optimisers ----------------------------------------------------------------------------------------------

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the logits."""
        return logits_optimizer(self.distribution, self.settings, logits_learning_rate(self.trainer, self.settings))

    @property
    def logits_learning_rate(self) -> float:
        """The one that is set, or that followed from the length of the search; known once that has begun."""
        rate: float = self.architecture_optimizers().param_groups[0]["lr"]
        return rate

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
            generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.trainer.current_epoch + batch_idx)
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
        # Not `training_module.model`: a module that holds its network by itself has no such thing.
        supernet = next((m for m in self.training_module.modules() if isinstance(m, ModelSpace)), None)
        self._undo.callback(
            use_fast_kernels_in_training(self.training_module, supernet, self.device.type, self.settings.channels_last)
        )
        if supernet is not None:
            self._undo.callback(watch_unsaved_buffers(supernet).remove)
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
        if self.settled:
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
        self._resumption.end_epoch(self.trainer)
        super().on_train_epoch_end()

    def _log_search_metrics(self) -> None:
        metrics = self._telemetry.end(self.trainer.current_epoch, self.temperature, self.resting)
        if metrics is not None:
            if devices_of(self.trainer) > 1:
                metrics = all_reduce_mean(metrics, "credit/")
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
        for batch in first.seeded(self.seed) if first is not None else ():
            self.regularization.prepare(self.trainer.strategy.batch_to_device(batch))
        set_random_state(states)

    # ---- NNI's interface -----------------------------------------------------------------------------------------

    def resample(self) -> dict[str, Any]:
        """Draw a Z at the current temperature and return the sample nearest to it.

        Outside a Trainer the temperature is the first one, and the supernet, called by itself, runs with this Z.
        """
        training = trainer_of(self) is not None
        temperature = self.temperature if training else self.settings.temperature(0.0)
        drawn = self._draw_at(temperature)
        self.distribution.current.drawn = drawn
        return drawn.values()

    def arch_parameters(self) -> list[nn.Parameter]:
        """The logits, by NNI's name for them."""
        return list(self.distribution.parameters())

    def export(self) -> dict[str, Any]:
        """The sample of the child: the chosen one once the search has settled, the most probable one before."""
        return self.settling.chosen or self.selection.current()

    def export_probs(self) -> dict[str, dict[Any, float]]:
        """Probabilities, without noise."""
        return self.distribution.probabilities()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what Lightning does not: random states, the regularizers' states, the epoch's telemetry so far."""
        checkpoint["snas"] = {
            "generator": self.distribution.generator.get_state(),
            "search_step": self.search_step,
            "epoch": self._telemetry.state_dict(),
            "regularizers": self.regularization.state_dict(),
            "settling": self.settling.state_dict(),
            **Resumption.state_dict(self.trainer, self.training_module),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        state = checkpoint["snas"]
        self.distribution.generator.set_state(state["generator"].cpu())
        self.search_step = state["search_step"]
        self._telemetry.load_state_dict(state["epoch"])
        self.regularization.load_state_dict(state["regularizers"])
        if "settling" in state:  # not in files from before there was any
            self.settling.load_state_dict(state["settling"])
        self._resumption.load_state_dict(state, checkpoint)

    def on_train_start(self) -> None:
        """Give loaders their states, in a search that goes on."""
        self._resumption.start_training(self.trainer)
        super().on_train_start()

    def on_train_batch_start(self, batch: Any, batch_idx: int, *args: Any) -> Any:
        """In an epoch that goes on, restore what its start would have changed."""
        self._resumption.start_batch(self.training_module)
        return super().on_train_batch_start(batch, batch_idx, *args)
