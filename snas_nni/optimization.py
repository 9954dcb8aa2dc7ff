"""The search step: one batch, one sample, one forward, one backward, both optimisers."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchmetrics import Metric

from snas_nni.distribution import ArchitectureDistribution
from snas_nni.errors import SettingError, SnasError
from snas_nni.resources.costs import CostModel
from snas_nni.sample import Sample
from snas_nni.settings import SearchSettings
from snas_nni.telemetry import CreditMeter, logit_movement, search_metrics

__all__ = ["Regularizer", "SnasLightningModule"]

_logger = logging.getLogger(__name__)


class Regularizer(Protocol):
    """A term added to the task loss, such as a resource penalty.

    It may also have: ``name`` (for the log); ``costs``, which holds the names of the costs it asks for;
    ``prepare(cost_model)``, called before the first step; ``metrics(distribution)``, numbers to log per epoch;
    ``state_dict()`` and ``load_state_dict(state)``, kept in checkpoints; ``read``, the weights that the last call
    read, by label.
    """

    def __call__(self, distribution: ArchitectureDistribution, sample: Sample, step: int) -> Tensor:
        """Return a scalar tensor that is differentiable with respect to the logits.

        Args:
            distribution: logits, probabilities, entropies.
            sample: the Z that the forward pass of this step ran with.
            step: number of finished search steps.
        """
        ...


class SnasLightningModule(BaseOneShotLightningModule):
    """Minimises E_{Z ~ p(Z)} [L(Z) + regularizers] over weights and logits together (paper, section 2.2 and 2.3).

    Wraps the evaluator's Lightning module, whose ``training_step`` gives L and whose ``validation_step`` gives the
    metrics. Validation runs twice on held-out data: once as the child at the mode, whose metrics keep the names that
    the evaluator gave them, and once with a sampled Z, under ``sampled/<name>``.

    Args:
        training_module: the evaluator's module; automatic optimisation, one optimiser.
        distribution: bound to the supernet that the evaluator trains.
        settings: of the search.
        regularizers: terms added to the loss, in order.
        count_costs: gets a training batch, returns the space's costs for the regularizers that want to know them.
    """

    def __init__(
        self,
        training_module: Any,
        distribution: ArchitectureDistribution,
        settings: SearchSettings,
        regularizers: Sequence[Regularizer] = (),
        count_costs: Callable[[Any], CostModel] | None = None,
    ) -> None:
        super().__init__(training_module)
        self.distribution = distribution
        self.settings = settings
        self.regularizers = list(regularizers)
        self._count_costs = count_costs
        self._credit = CreditMeter()
        self._reorder: RemovableHandle | None = None
        self.search_step = 0
        self._metric_prefix: str | None = ""
        self._epoch_losses: list[float] = []
        self._logged_epoch = -1
        self._logits_before: dict[str, Tensor] = {}

    # ---- training ------------------------------------------------------------------------------------------------

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """One search step; returns what the evaluator's own training step returned."""
        weights_batch = batch
        if not self._logits_before:  # a search that resumes within an epoch does not start that epoch
            self._remember_logits()
        if self._count_costs is not None:
            self._prepare_regularizers(batch["train"] if self.settings.bilevel else batch)
        if self.settings.bilevel:
            weights_batch = batch["train"]
            if not self.warming_up:
                self._logits_step_on(batch["val"], batch_idx)
        output = self._backward(weights_batch, batch_idx)
        if self._accumulated(batch_idx):
            self._step_weights(batch_idx)
            if not self.settings.bilevel and not self.warming_up:
                self._step_logits()
            self._zero_gradients()
        self.search_step += 1
        self.advance_lr_schedulers(batch_idx)
        return output

    def _backward(self, batch: Any, batch_idx: int) -> Any:
        """Add the gradients of ``samples_per_step`` samples, one after the other so that one graph is alive."""
        output: Any = None
        count = self.settings.samples_per_step
        for _ in range(count):
            sample = self._draw()
            with self.distribution.use(sample):
                output = self.training_module.training_step(batch, batch_idx)
                loss = output["loss"] if isinstance(output, dict) else output
                total = loss + self._regularization(sample)
                value = float(total.detach())
                if not math.isfinite(value):
                    raise self._not_finite(value)
                self._epoch_losses.append(value)
                self._credit.watch(sample, [getattr(r, "read", {}) for r in self.regularizers])
                self.manual_backward(total / (count * self.settings.accumulate_batches))
        return output

    def _draw(self) -> Sample:
        if self.settings.sampling == "single_path":
            return self.distribution.draw_single_path(self.temperature)
        return self.distribution.draw(self.temperature)

    def _regularization(self, sample: Sample) -> Tensor | float:
        total: Tensor | float = 0.0
        for index, regularizer in enumerate(self.regularizers):
            term = regularizer(self.distribution, sample, self.search_step)
            name = getattr(regularizer, "name", f"{type(regularizer).__name__}_{index}")
            self.log(f"penalty/{name}", term.detach(), on_step=False, on_epoch=True)
            total = total + term
        return total

    def _prepare_regularizers(self, batch: Any) -> None:
        wanting = [r for r in self.regularizers if hasattr(r, "prepare")]
        if wanting and self._count_costs is not None:
            model = self._count_costs(batch)
            for regularizer in wanting:
                regularizer.prepare(model)
        self._count_costs = None

    def _logits_step_on(self, batch: Any, batch_idx: int) -> None:
        """First-order bi-level update, for comparison: logits on a batch of their own."""
        self._backward(batch, batch_idx)
        self._step_logits()
        self._zero_gradients()

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
        weights = [o for o in self.optimizers() if not getattr(o, "is_arch_optimizer", False)]
        if len(weights) != 1 or not self.training_module.automatic_optimization:
            raise SettingError(
                f"the evaluator's Lightning module must use automatic optimisation with exactly one optimiser, "
                f"it has {len(weights)}. Return one optimiser from configure_optimizers."
            )
        return weights[0], self.architecture_optimizers()

    def _not_finite(self, value: float) -> SnasError:
        return SnasError(
            f"the loss is {value} at step {self.search_step} (epoch {self.trainer.current_epoch}, temperature "
            f"{self.temperature:.3g}). Try a lower learning rate of the weights, a smaller weights_gradient_clip, or "
            "a higher final temperature; the last checkpoint is from before this step."
        )

    # ---- temperature ---------------------------------------------------------------------------------------------

    @property
    def warming_up(self) -> bool:
        """Whether the logits are still frozen."""
        return bool(self.trainer.current_epoch < self.settings.warmup_epochs)

    @property
    def temperature(self) -> float:
        """The temperature of the current step; that of progress 0 while warming up."""
        schedule, warmup = self.settings.temperature, self.settings.warmup_epochs
        epochs = self.trainer.max_epochs
        if epochs is None or epochs <= 0:
            raise SettingError("the Trainer needs max_epochs: the temperature falls over the epochs of the search.")
        if epochs <= warmup:
            raise SettingError(f"warmup_epochs is {warmup}, but the Trainer has max_epochs={epochs}: nothing is left.")
        if self.warming_up:
            return schedule(0.0)
        done: float = self.trainer.current_epoch - warmup + 1
        if schedule.per == "step":
            batches = self.trainer.num_training_batches
            if batches == math.inf:
                raise SettingError(
                    "temperature_interval='step' needs to know how many batches an epoch has, and the training loader "
                    "does not say. Use 'epoch', or set the Trainer's limit_train_batches."
                )
            position = min(self.trainer.fit_loop.epoch_loop.batch_idx + 1, batches)
            done = done - 1 + position / batches
        return schedule(done / (epochs - warmup))

    # ---- optimisers ----------------------------------------------------------------------------------------------

    def configure_architecture_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the logits."""
        settings = self.settings
        return torch.optim.Adam(
            self.distribution.parameters(),
            lr=settings.logits_learning_rate,
            betas=settings.logits_betas,
            weight_decay=settings.logits_weight_decay,
        )

    def postprocess_weight_optimizers(self, optimizers: Any) -> Any:
        """Take the logits out of the evaluator's optimiser, where a user's own supernet module may hold them."""
        logits = set(self.distribution.parameters())

        def without_logits(part: Any) -> Any:
            if isinstance(part, torch.optim.Optimizer):
                for group in part.param_groups:
                    group["params"] = [p for p in group["params"] if p not in logits]
            elif isinstance(part, dict):
                for value in part.values():
                    without_logits(value)
            elif isinstance(part, (list, tuple)):
                for value in part:
                    without_logits(value)
            return part

        return without_logits(optimizers)

    # ---- validation ----------------------------------------------------------------------------------------------

    def setup(self, stage: Any = None) -> Any:
        """Redirect the evaluator's logging to this module."""
        result = super().setup(stage)
        self.training_module.log = self._log_for_evaluator
        self.training_module.log_dict = self._log_dict_for_evaluator
        return result

    def _log_for_evaluator(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        if self._metric_prefix and isinstance(value, Metric):
            value = value.compute()  # the object itself belongs to the child's pass
        if self._metric_prefix is not None:
            self.log(self._metric_prefix + name, value, *args, **kwargs)

    def _log_dict_for_evaluator(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        for name, value in metrics.items():
            self._log_for_evaluator(name, value, *args, **kwargs)

    def validation_step(self, batch: Any, batch_idx: int, *args: Any) -> Any:
        """Evaluate a sampled Z, then the child at the mode; return the child's output."""
        if not self.trainer.sanity_checking:
            # A generator of its own: looking must not change what the search draws next.
            generator = torch.Generator().manual_seed(
                self.settings.seed + 1_000_003 * self.trainer.current_epoch + batch_idx
            )
            temperature = self.temperature
            with (
                self.distribution.use(self.distribution.draw(temperature, generator)),
                self._as("sampled/"),
                _undisturbed_metrics(self.training_module),
            ):
                self.training_module.validation_step(batch, batch_idx, *args)
        with self.distribution.use(self.distribution.mode_sample()):
            return self.training_module.validation_step(batch, batch_idx, *args)

    @contextmanager
    def _as(self, prefix: str) -> Iterator[None]:
        self._metric_prefix = prefix
        try:
            yield
        finally:
            self._metric_prefix = ""

    def on_fit_start(self) -> None:
        """Put the images into the memory order that convolutions are fast in, for the time of the search."""
        wanted = self.settings.channels_last
        # Not `training_module.model`: a module that holds its network by itself has no such thing.
        supernet = next((m for m in self.training_module.modules() if isinstance(m, ModelSpace)), None)
        if supernet is not None and (self.device.type == "cpu" if wanted is None else wanted):
            self._reorder = supernet.register_forward_pre_hook(_channels_last)
        super().on_fit_start()

    def teardown(self, stage: Any = None) -> Any:
        """Leave the supernet as it was."""
        if self._reorder is not None:
            self._reorder.remove()
            self._reorder = None
        return super().teardown(stage)

    # ---- epochs --------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Remember where the logits are, and check the schedule before time is spent on the epoch."""
        _ = self.temperature  # a schedule that cannot be followed is refused before the first step
        self._epoch_losses = []
        self._credit.reset()
        self._remember_logits()
        super().on_train_epoch_start()

    def _remember_logits(self) -> None:
        with torch.no_grad():
            self._logits_before = {
                label: torch.log_softmax(self.distribution.rows_of(label), -1) for label in self.distribution.choices
            }

    def on_validation_epoch_start(self) -> None:
        """Forward to the evaluator, which NNI's base class does not."""
        self.training_module.on_validation_epoch_start()

    def on_validation_epoch_end(self) -> None:
        """Log the search's own metrics next to the evaluator's, then let the evaluator report."""
        if not self.trainer.sanity_checking:
            self._log_search_metrics()
        self.training_module.on_validation_epoch_end()

    def on_train_epoch_end(self) -> None:
        """Log the search's metrics for epochs without validation."""
        self._log_search_metrics()
        super().on_train_epoch_end()

    def _log_search_metrics(self) -> None:
        epoch = self.trainer.current_epoch
        if epoch == self._logged_epoch or not self._epoch_losses:
            return
        self._logged_epoch = epoch
        metrics = {"search/temperature": self.temperature, **search_metrics(self.distribution)}
        metrics["search/logit_movement"] = logit_movement(self._logits_before, self.distribution)
        metrics["search/loss"] = sum(self._epoch_losses) / len(self._epoch_losses)
        metrics.update(self._credit.metrics())
        for regularizer in self.regularizers:
            if hasattr(regularizer, "metrics"):
                metrics.update(regularizer.metrics(self.distribution))
        self.log_dict(metrics)
        if not self.warming_up and metrics["search/logit_movement"] == 0.0:
            _logger.warning(
                "epoch %d: no logit moved. Nothing is being searched: check that the loss depends on the choices.",
                epoch,
            )

    # ---- NNI's interface -----------------------------------------------------------------------------------------

    def resample(self) -> dict[str, Any]:
        """Draw a Z at the current temperature and return the sample nearest to it."""
        return self.distribution.draw(self.temperature).values()

    def export(self) -> dict[str, Any]:
        """The sample at the mode."""
        return self.distribution.mode()

    def export_probs(self) -> dict[str, dict[Any, float]]:
        """Probabilities, without noise."""
        return self.distribution.probabilities()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the random state that the draws go on from."""
        checkpoint["snas"] = {
            "generator": self.distribution.generator.get_state(),
            "torch": torch.get_rng_state(),
            "search_step": self.search_step,
            "regularizers": [r.state_dict() if hasattr(r, "state_dict") else None for r in self.regularizers],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        state = checkpoint["snas"]
        self.distribution.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["torch"].cpu())
        self.search_step = state["search_step"]
        for regularizer, saved in zip(self.regularizers, state["regularizers"], strict=True):
            if saved is not None and hasattr(regularizer, "load_state_dict"):
                regularizer.load_state_dict(saved)


@contextmanager
def _undisturbed_metrics(module: nn.Module) -> Iterator[None]:
    """Let a block use torchmetrics objects without leaving a trace in their accumulated state."""
    metrics = [m for m in module.modules() if isinstance(m, Metric)]
    saved = [(copy.deepcopy(metric.metric_state), metric._update_count) for metric in metrics]
    for metric in metrics:
        metric.reset()
    try:
        yield
    finally:
        for metric, (state, updates) in zip(metrics, saved, strict=True):
            for name, value in state.items():
                setattr(metric, name, value)
            metric._update_count, metric._computed = updates, None


def _channels_last(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    def reordered(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() == 4:
            return value.contiguous(memory_format=torch.channels_last)
        return value

    return tuple(reordered(value) for value in args)
