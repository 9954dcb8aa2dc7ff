"""What Lightning calls while a run trains: drop-path, the best weights, reports, seeds, fast layers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from nni.nas.nn.pytorch import Cell
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from exports.metric import ACCURACY, DecidingMetric
from snas_nni.cpu_kernels.fast_layers import use_fast_kernels_in_training
from snas_nni.errors import SettingError, SnasError
from snas_nni.one_shot.learning_rate import logits_steps
from snas_nni.one_shot.lightning_module import SnasLightningModule
from trials.data.loaders import seeded_generator
from trials.progress import Progress, readable_duration
from trials.state.nni_trial import NniTrial

__all__ = ["BestWeights", "DropPath", "EpochReport", "EpochSeed", "FastLayers", "droppable_edges", "epoch_line"]

Save = Callable[[Mapping[str, Tensor], int, float], None]
_STREAM = 2**40  # of random numbers; apart from those of the loaders, which count from the first image of a batch


def droppable_edges(child: nn.Module) -> list[nn.Module]:
    """Return the operations on the edges of all cells of a child, but for identities and zero operations.

    A cell is any module with a list or dictionary of modules called ``edges``, as in ``search_spaces``, or NNI's
    ``Cell``.
    """
    edges = dict.fromkeys(edge for module in child.modules() for edge in _edges(module))  # shared ones once
    return [edge for edge in edges if not (isinstance(edge, nn.Identity) or getattr(edge, "is_zero", False))]


def _edges(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, Cell):
        for operations in module.ops:
            yield from operations
        return
    edges = getattr(module, "edges", None)
    if isinstance(edges, nn.ModuleDict):
        yield from edges.values()
    elif isinstance(edges, nn.ModuleList):
        yield from edges


class DropPath(Callback):
    """Drop-path (paper, section 3): an edge's output is zero with a rising probability, drawn for each image.

    In epoch ``e`` of ``n``, counted from 0, the probability is ``final * e / n``. What is kept is scaled so that
    the expected output is unchanged. Edges are hooked for the time of training and in training mode only: the
    child itself, its weights' names and what is exported do not know of it.

    Args:
        final: probability that the last epoch comes near to, in [0, 1).
    """

    def __init__(self, final: float) -> None:
        self.final = final
        self.probability = 0.0
        self._handles: list[Any] = []

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Hook the edges.

        Raises:
            SettingError: the child has no cells.
        """
        self.remove()
        if self.final == 0:
            return
        if not any(True for module in pl_module.modules() for _ in _edges(module)):
            raise SettingError(
                f"training.drop_path is {self.final}, but {type(pl_module.model).__name__} has no cells whose edges "
                "could be dropped; set it to 0"
            )
        self._handles = [edge.register_forward_hook(self._drop) for edge in droppable_edges(pl_module)]

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the epoch's probability; not at the epoch's start, whose hook a resumed run does not call."""
        self.probability = self.final * trainer.current_epoch / trainer.max_epochs

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the hooks off."""
        self.remove()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Take the hooks off, whatever happened."""
        self.remove()

    def remove(self) -> None:
        """Take the hooks off; the child is then as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _drop(self, edge: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        dropped: Tensor = stochastic_depth(output, self.probability, mode="row", training=edge.training)
        return dropped


class BestWeights(Callback):
    """Keeps the child's weights of the epoch with the best validation metric; the lower loss breaks a tie.

    They are part of the checkpoint, so that a resumed run can still end with weights from before the cut.

    Args:
        save: called with the ``state_dict``, the epoch counted from 1 and the metric's value whenever there are
            better ones, so that a run that is cut off leaves the best so far.
        metric: the one that decides.

    Attributes:
        weights: the ``state_dict``, on the CPU; empty before the first epoch ended.
        epoch: counted from 1.
        value: of the metric; NaN before the first epoch ended.
        loss: mean loss of the same epoch; infinite where the module logs none.
    """

    def __init__(self, save: Save, metric: DecidingMetric = ACCURACY) -> None:
        self._save = save
        self._metric = metric
        self.weights: dict[str, Tensor] = {}
        self.epoch = 0
        self.value = math.nan
        self.loss = math.inf
        self._shown: dict[str, Tensor] = {}

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep what was validated, where it is a mean of the weights: the training goes on with others.

        So this callback comes before the one that takes means: that puts the weights back at the same hook.
        """
        if any(isinstance(each, WeightAveraging) for each in trainer.callbacks):
            self._shown = _copied(pl_module.model)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Write the best of the run that is resumed to this run's folder."""
        if self.weights and trainer.is_global_zero:
            self._save(self.weights, self.epoch, self.value)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Compare. Lightning validates before this hook, so the metrics are the epoch's own.

        Raises:
            SnasError: the training loss is not finite, or the module does not log the metric.
        """
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(metrics.get("train_loss", 0.0)):
            raise SnasError(
                f"the training loss of epoch {trainer.current_epoch + 1} is {metrics['train_loss']}: lower "
                "training.learning_rate, or use another precision"
            )
        name, rank = self._metric.logged, self._metric.rank
        if name not in metrics:
            raise SnasError(f"the training module logs {', '.join(sorted(metrics))}, but not {name}, which decides")
        value, loss = metrics[name], metrics.get("val_loss", math.inf)
        if self.weights and (rank(value), -loss) <= (rank(self.value), -self.loss):
            return
        self.value, self.loss, self.epoch = value, loss, trainer.current_epoch + 1
        self.weights = self._shown or _copied(pl_module.model)
        if trainer.is_global_zero:
            self._save(self.weights, self.epoch, self.value)

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        return {"weights": self.weights, "epoch": self.epoch, "accuracy": self.value, "loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what the checkpoint kept."""
        self.weights = dict(state_dict["weights"])
        self.epoch, self.value, self.loss = (state_dict[name] for name in ("epoch", "accuracy", "loss"))


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


class EpochReport(Callback):
    """Reports how the search stands after each epoch.

    Args:
        progress: prints the lines.
        trial: told each epoch's value of the child; None outside an experiment.
        metric: the one that decides.
    """

    def __init__(self, progress: Progress, trial: NniTrial | None = None, metric: DecidingMetric = ACCURACY) -> None:
        self._progress = progress
        self._metric = metric
        self._trial = trial
        self._start = 0.0
        self._first_epoch = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Let the search say how far a long measurement is before its first step."""
        if isinstance(pl_module, SnasLightningModule):
            pl_module.counter = lambda what, total: self._progress.counter(what, total).advance

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock; a resumed search does not start at epoch 0."""
        self._start = time.monotonic()
        self._first_epoch = trainer.current_epoch
        if (
            isinstance(pl_module, SnasLightningModule)
            and pl_module.settings.logits_learning_rate is None
            and not pl_module.settled  # of a search that chooses its child at once, no logit moves
        ):
            steps = logits_steps(trainer, pl_module.settings)
            self._progress.say(f"learning rate of the logits: {pl_module.logits_learning_rate:.3g}, for {steps} steps")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Print and report. Lightning validates before this hook, so the metrics are the epoch's own."""
        # Asked by every process: what is a mean over several devices is computed here.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not trainer.is_global_zero:
            return
        done, total = trainer.current_epoch + 1, trainer.max_epochs
        elapsed = time.monotonic() - self._start
        left = elapsed / (done - self._first_epoch) * (total - done)
        self._progress.epoch(epoch_line(done, total, metrics, left, self._metric), done, total)
        if self._trial is not None and self._metric.logged in metrics:
            named = {} if self._metric == ACCURACY else {"metric": self._metric.as_document()}
            self._trial.report_intermediate(
                {
                    "default": metrics[self._metric.logged],
                    **named,
                    "epoch": done,
                    "epochs": total,
                    **{
                        name.removeprefix("search/").replace("/", "_"): metrics[name]
                        for name in (
                            f"sampled/{self._metric.logged}",
                            "search/temperature",
                            "search/entropy",
                            "search/entropy_share",
                        )
                        if name in metrics
                    },
                }
            )


def epoch_line(
    done: int, total: int, metrics: Mapping[str, float], seconds_left: float, metric: DecidingMetric = ACCURACY
) -> str:
    """Write one epoch as one line; what was not measured is left out. The metric is named unless it is an accuracy.

    Entropy is in nats, and in percent of the most that the choices can have: 100 % has decided nothing, 0 % all.
    """
    parts = [f"epoch {done:>{len(str(total))}}/{total}"]
    share = f" ({metrics['search/entropy_share']:.0%} of most)" if "search/entropy_share" in metrics else ""
    for label, name, form in (
        ("temperature", "search/temperature", "{:.3f}"),
        ("entropy", "search/entropy", "{:.2f}" + share),
    ):
        if name in metrics:
            parts.append(f"{label} {form.format(metrics[name])}")
    reached = [
        f"{label} {metric.text(metrics[name])}"
        for label, name in (
            ("train", metric.logged_in_training),
            ("sampled", f"sampled/{metric.logged}"),
            ("child", metric.logged),
        )
        if name in metrics
    ]
    if metric != ACCURACY and reached:
        reached[0] = f"{metric.title}: {reached[0]}"
    parts += reached
    parts.append(f"{readable_duration(seconds_left)} left")
    return "  ".join(parts)


class EpochSeed(Callback):
    """Seeds torch, on all devices, before the first batch of each epoch; each process with a stream of its own.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed the epoch; not at its start, whose hook a resumed run does not call."""
        if batch_idx == 0:
            torch.manual_seed(
                seeded_generator(self.seed, trainer.current_epoch, _STREAM + trainer.global_rank).initial_seed()
            )


class FastLayers(Callback):
    """Quickens the network when training begins and leaves it as it was."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        """Quicken; on a CPU put the images that ``module.model`` gets into channels-last order."""
        network = getattr(module, "model", None)
        network = network if isinstance(network, nn.Module) else None
        self._undo.callback(use_fast_kernels_in_training(module, network, module.device.type))

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Undo it."""
        self._undo.close()
