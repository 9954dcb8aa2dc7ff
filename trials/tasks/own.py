"""A task that only a Lightning module of the user's own knows: its loss, its metric, its optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import nni
import pytorch_lightning as lightning
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Metric

from exports.metric import DecidingMetric, metric_of_evaluator
from snas_nni.errors import SettingError, SnasError
from snas_nni.one_shot.evidence.step_log import StepLog
from trials.settings.evaluator import EvaluatorSettings
from trials.settings.user_code import import_dotted
from trials.state.user_errors import user_code_error
from trials.tasks.evaluation import Batches, Evaluation, Predictor
from trials.tasks.task import Task, as_tensor

__all__ = ["OwnTask"]

_KEY = "evaluator.class_path"


@dataclass(frozen=True)
class OwnTask(Task):
    """What a user's Lightning module trains for. It reads ``self.model`` and gets batches of inputs and targets.

    Attributes:
        evaluator: names the module and the metric.
        channels: of an input: its first side.
    """

    name: ClassVar[str] = "own"
    counted: ClassVar[tuple[str, str]] = ("output", "outputs")

    evaluator: EvaluatorSettings = field(default_factory=EvaluatorSettings)
    channels: int = 1

    @property
    def title(self) -> str:
        """The user's module."""
        return f"that of {self.evaluator.class_path}"

    @property
    def metric(self) -> DecidingMetric:
        """The one that the settings name."""
        return metric_of_evaluator(self.evaluator.metric or "val_loss", self.evaluator.mode)

    @staticmethod
    def read(tables: Sequence[Any], where: str) -> tuple[tuple[str, ...], list[Tensor]]:
        """Return the targets as they are, and a name for each class or number that they seem to hold."""
        given = [as_tensor(each, f"{where}: targets") for each in tables]
        whole = all(not each.is_floating_point() and each.numel() for each in given)
        if whole and given[0].dtype != torch.bool:
            count = max(int(each.max()) for each in given) + 1
            given = [each.long() for each in given]
        else:
            count = given[0].shape[1] if given[0].dim() == 2 else 1
        return tuple(map(str, range(max(1, count)))), given

    def shape(self, targets: Tensor) -> tuple[int, ...]:
        """Not asked for: the user's module knows.

        Raises:
            SnasError: always.
        """
        raise SnasError("only the user's module knows the shape of its outputs")

    def loss(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Not asked for: the user's module knows.

        Raises:
            SnasError: always.
        """
        raise SnasError("only the user's module knows its loss")

    def new_metric(self) -> Metric:
        """Not asked for: the user's module knows.

        Raises:
            SnasError: always.
        """
        raise SnasError("only the user's module knows its metric")

    def module(self) -> Any:
        """Make the user's module, without a network in it.

        Raises:
            SettingError: the class is no LightningModule, or does not take its arguments.
            UserCodeError: its constructor raises an error.
        """
        path, given = self.evaluator.class_path or "", self.evaluator.init_args
        found: Any = import_dotted(path, _KEY)
        if not (inspect.isclass(found) and issubclass(found, lightning.LightningModule)):
            raise SettingError(f"{_KEY}: {path!r} is not a class of pytorch_lightning.LightningModule")
        if not issubclass(found, LightningModule):  # NNI's, which a network can be put into
            found = type(found.__name__, (found, LightningModule), {"__module__": found.__module__})
        known = inspect.signature(found.__init__).parameters
        offered = dict.fromkeys(("classes", "num_classes", "outputs"), self.outputs) | {"in_channels": self.channels}
        arguments = {**{name: value for name, value in offered.items() if name in known}, **given}
        try:
            return nni.trace(found)(**arguments)
        except (TypeError, ValueError, AttributeError) as error:
            raise user_code_error(error) or SettingError(
                f"evaluator.init_args: {path} refuses them: {error}"
            ) from error

    def evaluate(self, predict: Predictor, batches: Batches) -> Evaluation:
        """Let the user's ``validation_step`` judge the predictions.

        Raises:
            SettingError: it does not log the metric.
        """
        module, count = self.module(), 0
        module.set_model(_Predicting(predict))
        module.eval()
        log = StepLog(module)
        with log.listening(), torch.no_grad():
            for index, batch in enumerate(batches):
                log.examples = len(batch[1])
                count += len(batch[1])
                module.validation_step(batch, index)
            means = log.means()
        if self.metric.logged not in means:
            raise SettingError(
                f"evaluator.metric: the validation_step of {self.evaluator.class_path} logs "
                f"{', '.join(means) or 'nothing'}, but not {self.metric.logged}"
            )
        loss = means.get("val_loss")
        return Evaluation(means[self.metric.logged], loss, self.metric, count)


class _Predicting(nn.Module):
    """Stands in for the network in a user's module."""

    def __init__(self, predict: Predictor) -> None:
        super().__init__()
        self._predict = predict

    def forward(self, inputs: Any) -> Tensor:
        """Predict."""
        return self._predict(inputs)
