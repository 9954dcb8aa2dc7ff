"""What a retraining leaves: best and last weights, their architecture files, the ONNX file, the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from exports import Architecture, save
from exports.rebuilding.weights import save_tensors
from exports.run_folder import SearchResult
from trials.data.loaders import evaluation_loader
from trials.data.types import ClassificationData
from trials.progress import Progress
from trials.runs.results import write_results
from trials.runs.retrain_child import RetrainedChild
from trials.settings.retrain import RetrainSettings
from trials.state.nni_trial import NniTrial
from trials.state.output_folder import recorded_settings
from trials.training.callbacks import BestWeights
from trials.training.evaluation import agreement, child_costs, evaluate, torch_predictor

__all__ = ["RetrainOutput"]


class RetrainOutput:
    """The output folder of a retraining.

    Args:
        folder: where to.
        settings: of the run.
        searched: the architecture that is retrained.
        retrained: its child.
    """

    def __init__(
        self, folder: Path, settings: RetrainSettings, searched: Architecture, retrained: RetrainedChild
    ) -> None:
        self.folder = folder
        self._settings = settings
        self._searched = searched
        self._retrained = retrained

    def save_best(self, weights: Mapping[str, Tensor], epoch: int, accuracy: float) -> None:
        """Write the best weights so far: a ``state_dict``, its epoch counted from 1, its validation accuracy."""
        self._save(self.folder, weights, {"epoch": float(epoch), "validation_accuracy": accuracy})

    def write(
        self,
        trainer: Any,
        best: BestWeights,
        data: ClassificationData,
        input_shape: tuple[int, ...],
        seconds: float,
        trial: NniTrial | None,
        progress: Progress,
    ) -> SearchResult:
        """Evaluate the last and the best weights on the test split, and write everything.

        Args:
            trainer: after the training, with the last weights in the child.
            best: the best weights, which the child has afterwards.
            data: the splits.
            input_shape: shape of one prepared input.
            seconds: how long the training took.
            trial: the NNI trial, if this is one.
            progress: told the accuracies.

        Raises:
            OnnxExportError: the child cannot be exported, or ONNX Runtime decides differently.
        """
        child, device = self._retrained.child, trainer.strategy.root_device
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        last = evaluate(torch_predictor(child, device), evaluation_loader(data, data.test))
        last_metrics = {
            "epoch": float(trainer.current_epoch),
            "validation_accuracy": measured["val_acc"],
            "test_accuracy": last.top1.value,
        }
        self._save(self.folder / "last", child.state_dict(), last_metrics)

        child.load_state_dict(best.weights)
        test = evaluate(torch_predictor(child, device), evaluation_loader(data, data.test))
        progress.say(f"PyTorch:      test accuracy {test.top1}")
        metrics = {
            "epoch": float(best.epoch),
            "validation_accuracy": best.accuracy,
            "validation_loss": best.loss,
            "test_accuracy": test.top1.value,
            "test_loss": test.loss,
            **({"test_top5_accuracy": test.top5.value} if test.top5 else {}),
            "train_accuracy": measured["train_acc"],
            **child_costs(child.cpu(), input_shape, progress),
            "seconds": seconds,
        }

        def check(path: Path) -> dict[str, Any]:
            agreed = agreement(child, path, evaluation_loader(data, data.test))
            progress.say(f"ONNX Runtime: test accuracy {agreed.onnx.top1}, {agreed.different} other decisions")
            return {"test": agreed.onnx.as_document(), "different_decisions": agreed.different}

        summary = {
            "settings": recorded_settings(self._settings),
            "tuned": trial.parameters if trial is not None else {},
            "class_names": list(data.class_names),
            "input_shape": list(input_shape),
            "normalisation": asdict(data.normalisation) if data.normalisation else None,
            "test": test.as_document(),
            "last": {"folder": "last", **last_metrics, "test": last.as_document()},
        }
        return write_results(self.folder, self._record(metrics), child, input_shape, summary, check)

    def _save(self, folder: Path, weights: Mapping[str, Tensor], metrics: dict[str, float]) -> None:
        folder.mkdir(exist_ok=True)
        path = folder / "weights.safetensors"
        digest = save_tensors(weights, path)
        save(self._record(metrics).with_weights(path, digest), folder / "architecture.json")

    def _record(self, metrics: dict[str, float]) -> Architecture:
        return Architecture.create(
            space=self._retrained.space,
            sample=self._retrained.sample,
            child=self._retrained.child,
            probabilities=self._searched.probabilities,
            entropy=self._searched.entropy,
            seed=self._settings.seed,
            settings=recorded_settings(self._settings),
            metrics=metrics,
        )
