"""The search in Lightning's loop: its steps, its validation, its epochs and its checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from nni.nas.nn.pytorch import ModelSpace

from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from snas_nni.derivation.portability import watch_unsaved_buffers
from snas_nni.one_shot.distributed import (
    all_reduce_mean,
    average,
    average_buffers,
    average_gradients,
    devices_of,
    local_backward,
    samples_of_this_device,
)
from snas_nni.one_shot.learning_rate import settling_learning_rate
from snas_nni.one_shot.lightning_compat import set_up_training_loaders, trainer_of
from snas_nni.one_shot.progress import position_of
from snas_nni.one_shot.resume_state import Resumption, undisturbed_metrics
from snas_nni.one_shot.search_module import SearchModule

__all__ = ["SnasLightningModule"]


class SnasLightningModule(SearchModule):
    """Minimises E_{Z ~ p(Z)} [L(Z) + regularizers] over weights and logits together (paper, section 2.2 and 2.3).

    Wraps the evaluator's Lightning module, whose ``training_step`` gives L and whose ``validation_step`` gives the
    metrics. Validation runs twice on held-out data: once as the child, whose metrics keep the names that the evaluator
    gave them, and once with a sampled Z, under ``sampled/<name>``. The child is the most probable one within the budget
    (the mode, without one) until the search settles, and the chosen one from there on.
    """

    # ---- training ------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """One search step; returns what the evaluator's own training step returned."""
        weights_batch = batch["train"] if self.settings.bilevel else batch
        self._step.prepare(weights_batch)
        if self.settings.bilevel and not self.resting:
            self._logits_step_on(batch["val"], batch_idx)
        output = self._backward(weights_batch, batch_idx)
        if self._step.is_due(batch_idx, self.trainer.is_last_batch):
            self._synchronise()
            self._step_weights(batch_idx)
            if not self.settings.bilevel and not self.resting:
                self._step.step_logits(self._optimizers()[1])
            self._zero_gradients()
        self.search_step += 1
        self.advance_lr_schedulers(batch_idx)
        return output

    def _backward(self, batch: Any, batch_idx: int) -> Any:
        """Add the gradients of ``samples_per_step`` samples, one after the other so that one graph is alive."""
        output: Any = None
        settings, settled, temperature = self.settings, self.settled, self.temperature
        count = 1 if settled else settings.samples_per_step  # the same child each time
        own = samples_of_this_device(self.trainer, count, settings.spread_samples and not settled)
        for runs_here in own:
            # by every device, so that their generators stay in step
            sample = self._settled() if settled else self._step.draw(temperature)
            if not runs_here:
                continue
            with (
                self.distribution.use(sample),
                self._step.skips(position_of(self.trainer)),
                local_backward(self.trainer),
            ):
                output = self.training_module.training_step(batch, batch_idx)
                loss = output["loss"] if isinstance(output, dict) else output
                total, terms = self._step.total(loss, sample, settled)
                for name, term in terms:
                    self.log(f"penalty/{name}", term.value.detach(), on_step=False, on_epoch=True)
                self._resumption.has_logged(self.trainer)
                value = self._step.read(total)
                if devices_of(self.trainer) > 1:
                    value = average(value, total.device)  # so that all of them stop, if one has to
                self._step.watch(value, sample, terms, self.trainer.current_epoch, temperature)
                self.manual_backward(total / (sum(own) * settings.accumulate_batches))
        return output

    def _logits_step_on(self, batch: Any, batch_idx: int) -> None:
        """First-order bi-level update, for comparison: logits on a batch of their own."""
        self._backward(batch, batch_idx)
        self._synchronise()
        self._step.step_logits(self._optimizers()[1])
        self._zero_gradients()

    def _synchronise(self) -> None:
        if devices_of(self.trainer) > 1:
            average_gradients(self.parameters())

    def _zero_gradients(self) -> None:
        for optimizer in self._optimizers():
            optimizer.zero_grad()

    def _step_weights(self, batch_idx: int) -> None:
        optimizer = self._optimizers()[0]
        self.training_module.configure_gradient_clipping(optimizer, self.settings.weights_gradient_clip, "norm")
        with settling_learning_rate(optimizer, position_of(self.trainer), self.settings):
            self.training_module.optimizer_step(self.trainer.current_epoch, batch_idx, optimizer)

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
                self.distribution.use(self._step.draw_freely(temperature, generator)),
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
        if self._resumption.resumes:  # perhaps after its last step, and the child must be within the budget there too
            set_up_training_loaders(self.trainer)
            self._prepare_costs()
        elif self.settings.initial_logits == "sensitivity":
            set_up_training_loaders(self.trainer)
            self._measure_initial_logits()
        super().on_fit_start()

    def teardown(self, stage: Any = None) -> Any:
        """Leave the supernet as it was."""
        self._undo.close()
        return super().teardown(stage)

    # ---- epochs --------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Remember where the logits are, and check the schedule before time is spent on the epoch."""
        _ = self.temperature  # a schedule that cannot be followed is refused before the first step
        self._step.begin_epoch(position_of(self.trainer))
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
        metrics = self._step.telemetry.end(self.trainer.current_epoch, self.temperature, self.resting)
        if metrics is not None:
            if devices_of(self.trainer) > 1:
                metrics = all_reduce_mean(metrics, "credit/")
            self.log_dict({**metrics, **self.regularization.metrics(self.distribution)})

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what Lightning does not: random states, the regularizers' states, the epoch's telemetry so far."""
        checkpoint["snas"] = {
            "generator": self.distribution.generator.get_state(),
            "search_step": self.search_step,
            "epoch": self._step.telemetry.state_dict(),
            "regularizers": self.regularization.state_dict(),
            "settling": self.settling.state_dict(),
            "costs": self.costs.state_dict() if self.costs is not None else {},
            **Resumption.state_dict(self.trainer, self.training_module),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        # Lightning changes the type of the weights after they were loaded, and 64 bits would be cut to 32 before.
        if (trainer := trainer_of(self)) is not None:
            trainer.precision_plugin.convert_module(self)
        state = checkpoint["snas"]
        self.distribution.generator.set_state(state["generator"].cpu())
        self.search_step = state["search_step"]
        self._step.telemetry.load_state_dict(state["epoch"])
        self.regularization.load_state_dict(state["regularizers"])
        if "settling" in state:  # not in files from before there was any
            self.settling.load_state_dict(state["settling"])
        if self.costs is not None:
            self.costs.load_state_dict(state.get("costs", {}))
        self._resumption.load_state_dict(state, checkpoint)

    def on_train_start(self) -> None:
        """Give loaders their states, in a search that goes on."""
        self._resumption.start_training(self.trainer)
        super().on_train_start()

    def on_train_batch_start(self, batch: Any, batch_idx: int, *args: Any) -> Any:
        """In an epoch that goes on, restore what its start would have changed."""
        self._resumption.start_batch(self.training_module)
        return super().on_train_batch_start(batch, batch_idx, *args)
