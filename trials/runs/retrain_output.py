"""What a retraining leaves: best and last weights, their architecture files, the ONNX file, the summary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from exports import Architecture, InputExample, save
from exports.metric import ACCURACY, DecidingMetric
from exports.rebuilding.weights import save_tensors
from exports.run_folder import SearchResult
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.runs.evidence.evidence_file import write_evidence
from trials.runs.evidence.graph import write_graph_anew
from trials.runs.results import write_results
from trials.runs.retrain_child import RetrainedChild
from trials.runs.session import Session
from trials.settings.retrain import RetrainSettings
from trials.state.output_folder import recorded_settings
from trials.training.callbacks import BestWeights
from trials.training.evaluation import agreement, child_costs, torch_predictor
from trials.training.number_types import in_types, number_types, put_types

__all__ = ["RetrainOutput"]


class RetrainOutput:
    """The output folder of a retraining.

    Args:
        session: of the retraining.
        searched: the architecture that is retrained.
        retrained: its child.
        metric: the one that decides.
    """

    def __init__(
        self,
        session: Session[RetrainSettings],
        searched: Architecture,
        retrained: RetrainedChild,
        metric: DecidingMetric = ACCURACY,
    ) -> None:
        self.folder = session.folder
        self._session = session
        self._searched = searched
        self._retrained = retrained
        self._types = number_types(retrained.child)
        self._metric = metric

    def save_best(self, weights: Mapping[str, Tensor], epoch: int, value: float) -> None:
        """Write the best weights so far: a ``state_dict``, its epoch counted from 1, its validation metric."""
        self._save(self.folder, weights, {"epoch": float(epoch), self._metric.validation: value})

    def write(
        self,
        trainer: Any,
        best: BestWeights,
        data: TaskData,
        example: InputExample,
        seconds: float,
    ) -> SearchResult:
        """Evaluate the last and the best weights on the test split, and write everything.

        Args:
            trainer: after the training, with the last weights in the child.
            best: the best weights, which the child has afterwards.
            data: the splits.
            example: what one prepared input looks like.
            seconds: how long the training took.

        Raises:
            OnnxExportError: the child cannot be exported, or ONNX Runtime decides differently.
        """
        child, device, progress = self._retrained.child, trainer.strategy.root_device, self._session.progress
        put_types(child, self._types)
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        deciding, task = data.task.metric, data.task
        last = task.evaluate(torch_predictor(child, device), evaluation_loader(data, data.test))
        last_metrics = {
            "epoch": float(trainer.current_epoch),
            deciding.validation: measured[deciding.logged],
            deciding.test: last.value,
        }
        self._save(self.folder / "last", child.state_dict(), last_metrics)

        child.load_state_dict(best.weights)
        test = task.evaluate(torch_predictor(child, device), evaluation_loader(data, data.test))
        progress.say(f"PyTorch:      test {deciding.title} {test}")
        write_evidence(self.folder, child, data, device)
        training = deciding.logged_in_training
        metrics = {
            "epoch": float(best.epoch),
            deciding.validation: best.value,
            **({"validation_loss": best.loss} if math.isfinite(best.loss) else {}),
            **test.metrics("test"),
            **({"test_top5_accuracy": test.top5.value} if test.top5 else {}),
            **({f"train_{deciding.name}": measured[training]} if training in measured else {}),
            **child_costs(child.cpu(), example, progress),
            "seconds": seconds,
        }

        def check(path: Path) -> dict[str, Any]:
            agreed = agreement(child, path, evaluation_loader(data, data.test), task=task)
            progress.say(f"ONNX Runtime: test {deciding.title} {agreed.onnx}, {agreed.different} other decisions")
            return {"test": agreed.onnx.as_document(), "different_decisions": agreed.different}

        summary = {
            **self._session.summary(data),
            "test": test.as_document(),
            "last": {"folder": "last", **last_metrics, "test": last.as_document()},
        }
        record = replace(self._record(metrics), input=example.as_document())
        write_graph_anew(self.folder, record, self._retrained.space, self._retrained.sample, example, progress)
        return write_results(self.folder, record, child, example, summary, check)

    def _save(self, folder: Path, weights: Mapping[str, Tensor], metrics: dict[str, float]) -> None:
        folder.mkdir(exist_ok=True)
        path = folder / "weights.safetensors"
        digest = save_tensors(in_types(weights, self._types), path)
        save(self._record(metrics).with_weights(path, digest), folder / "architecture.json")

    def _record(self, metrics: dict[str, float]) -> Architecture:
        return Architecture.create(
            space=self._retrained.space,
            sample=self._retrained.sample,
            child=self._retrained.child,
            probabilities=self._searched.probabilities,
            entropy=self._searched.entropy,
            seed=self._session.settings.seed,
            settings=recorded_settings(self._session.settings),
            metrics=metrics,
        )
