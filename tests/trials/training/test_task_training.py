"""The Lightning module trains, logs and schedules as it says."""

import pytest
import pytorch_lightning as lightning
import torch
from torch import nn

from trials.data.loaders import evaluation_loader, training_loader
from trials.data.types import ClassificationData, LabelledTensors
from trials.tasks import Classification
from trials.training.evaluation import evaluate, torch_predictor
from trials.training.task_training import TaskTraining


class TwoHeads(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(2, classes)
        self.auxiliary = nn.Linear(2, classes)

    def forward(self, inputs: torch.Tensor):
        return (self.head(inputs), self.auxiliary(inputs)) if self.training else self.head(inputs)


def blobs() -> ClassificationData:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 2
    inputs = torch.randn(300, 2, generator=generator) + 4.0 * labels[:, None]
    split = LabelledTensors(inputs, labels)
    return ClassificationData(split, split, split, ("left", "right"))


def fit(module: TaskTraining, model: nn.Module, epochs: int = 4):
    data = blobs()
    module.set_model(model)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, training_loader(data, 30, 0), evaluation_loader(data, data.validation))
    return trainer, data


def test_learns_and_logs_what_the_child_does() -> None:
    model = nn.Linear(2, 2)
    trainer, data = fit(TaskTraining(Classification(2), learning_rate=0.1), model)
    metrics = trainer.callback_metrics
    assert {"train_acc", "train_loss", "val_acc", "val_loss"} <= set(metrics)
    found = evaluate(torch_predictor(model), evaluation_loader(data, data.validation))
    accuracy, loss = found.top1.value, found.loss
    assert accuracy > 0.95
    assert float(metrics["val_acc"]) == pytest.approx(accuracy, abs=1e-6)  # batches of 256 and 44: weighted
    assert float(metrics["val_loss"]) == pytest.approx(loss, rel=1e-4)


def test_learning_rate_falls_along_a_cosine_to_its_floor() -> None:
    trainer, _ = fit(TaskTraining(Classification(2), learning_rate=0.1, learning_rate_floor=0.01), nn.Linear(2, 2))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.01)


def test_auxiliary_head_is_trained_with_its_weight() -> None:
    torch.manual_seed(0)
    model = TwoHeads(2).train()
    inputs, labels = torch.randn(6, 2), torch.arange(6) % 2
    logits, auxiliary = model(inputs)
    module = TaskTraining(Classification(2), auxiliary_weight=0.4, label_smoothing=0.1)
    module.set_model(model)
    module.log = lambda *args, **kwargs: None
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    expected = expected + 0.4 * nn.functional.cross_entropy(auxiliary, labels, label_smoothing=0.1)
    torch.testing.assert_close(module.training_step((inputs, labels), 0), expected)


def test_is_traceable_by_nni() -> None:
    from nni.common.serializer import is_traceable

    assert is_traceable(TaskTraining(Classification(3)))
