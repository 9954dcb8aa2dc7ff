"""Each task: what targets it takes, and what its loss and its metric are by hand."""

import math

import numpy as np
import pytest
import torch

from snas_nni.errors import SettingError
from trials.data.own_data import task_data
from trials.settings.run import DataSettings
from trials.settings.search import RunSettings, TrainingSettings
from trials.tasks import TASKS, Classification, MultiLabel, Regression, Segmentation, SequenceLabeling, Task
from trials.tasks.task import IGNORED
from trials.training.modules import class_weights
from trials.training.optimizers import make_optimizer, optimizer_class

SETTINGS = DataSettings(source="my_data.load")


def evaluated(task: Task, outputs: torch.Tensor, targets: torch.Tensor):
    """In two batches of unequal size: the metric of all is not the mean of both."""
    return task.evaluate(lambda rows: outputs[rows], [(slice(0, 1), targets[:1]), (slice(1, None), targets[1:])])


def test_regression() -> None:
    names, (targets,) = Regression.read([np.array([1.0, 2.0, 4.0])], "x")
    assert (names, targets.shape) == (("0",), (3, 1))
    task = Regression(1)
    outputs = torch.tensor([2.0, 2.0, 0.0])  # of a network that gives one number
    found = evaluated(task, outputs, targets)
    assert found.value == pytest.approx((1 + 0 + 4) / 3)
    assert found.loss == pytest.approx((1 + 0 + 16) / 3)
    assert found.as_document() == {"loss": found.loss, "mean_absolute_error": found.value, "count": 3}
    assert task.decisions(outputs) is None
    with pytest.raises(SettingError, match="no classes"):
        task.class_weights(targets)


def test_numbers_that_count_no_classes_are_refused_before_they_are_counted() -> None:
    for highest in (2**20, 10**15):
        with pytest.raises(SettingError, match=f"labels go up to {highest:,}.*regression"):
            Classification.read([np.array([0, highest]), np.array([1])], "my_data.load")
    assert len(Classification.read([np.array([0, 2**20 - 1])], "x")[0]) == 2**20


def test_multi_label() -> None:
    names, (targets,) = MultiLabel.read([np.array([[1, 0], [1, 1], [0, 0]], dtype=bool)], "x")
    assert (len(names), targets.dtype) == (2, torch.float32)
    task = MultiLabel(2)
    outputs = torch.tensor([[0.4, 0.3], [2.0, -1.0], [-1.0, -2.0]])  # within [0, 1] these are logits too
    found = evaluated(task, outputs, targets)
    assert found.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))  # 2 right, 1 too many, 1 missed
    assert found.loss == pytest.approx(float(torch.nn.BCEWithLogitsLoss()(outputs, targets)))
    assert task.class_weights(targets).tolist() == [0.5, 2.0]


def test_segmentation() -> None:
    targets = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [-1, 1]], [[0, 0], [0, 0]]])
    _, (read,) = Segmentation.read([targets], "x")
    assert read[1, 1, 0] == IGNORED
    task = Segmentation(2)
    logits = torch.zeros(3, 2, 2, 2)
    logits[:, 1] = torch.tensor([[[-1, 1], [1, 1]], [[-1, 1], [1, -1]], [[-1, -1], [-1, -1]]])
    found = evaluated(task, logits, read)
    zero, one = 6 / 8, 3 / 5  # of 11 pixels that count
    assert found.value == pytest.approx((zero + one) / 2)
    assert task.shape(read) == (3, 2, 2, 2)


def test_sequence_labeling() -> None:
    _, (targets,) = SequenceLabeling.read([np.array([[0, -1, -1], [1, 1, 0]])], "x")
    task = SequenceLabeling(2)
    logits = torch.zeros(2, 3, 2)
    logits[..., 1] = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    found = evaluated(task, logits, targets)
    assert found.value == pytest.approx(2 / 4)  # by tokens: by sequences it would be 1/3
    value, count = task.batch_value(logits, targets)
    assert (float(value), count) == (0.5, 4)
    assert task.shape(targets) == (2, 3, 2)


def test_classification_weights_balance() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    assert Classification(3).class_weights(labels).tolist() == pytest.approx([4 / 9, 4 / 3, 0])


@pytest.mark.parametrize("name", TASKS)
def test_loss_has_a_gradient_and_falls(name: str) -> None:
    targets = {
        "classification": torch.tensor([0, 1]),
        "regression": torch.tensor([[0.0, 1.0], [2.0, 3.0]]),
        "multi_label": torch.tensor([[0.0, 1.0], [1.0, 1.0]]),
        "segmentation": torch.tensor([[[0, 1]], [[IGNORED, 1]]]),
        "sequence_labeling": torch.tensor([[0, 1], [IGNORED, 1]]),
    }[name]
    task = TASKS[name](2)
    outputs = torch.zeros(task.shape(targets), requires_grad=True)
    before = task.loss(outputs, targets)
    before.backward()
    with torch.no_grad():
        after = task.loss(outputs - 0.1 * outputs.grad, targets)
    assert math.isfinite(float(after))
    assert after < before
    assert task.metric.logged.startswith("val_")


@pytest.mark.parametrize(
    ("name", "targets", "words"),
    [
        ("classification", np.zeros((20, 3)), "training.task"),
        ("regression", np.full(20, np.inf), "not a finite number"),
        ("regression", np.zeros((20, 2, 2)), "one row of numbers"),
        ("multi_label", np.full((20, 2), 2), "neither 0 nor 1"),
        ("segmentation", np.zeros(20, dtype=int), r"\(N, H, W\)"),
        ("sequence_labeling", np.full((20, 3), -1), "none counts"),
    ],
)
def test_other_targets_are_refused(name: str, targets: np.ndarray, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        task_data((np.zeros((20, 4), dtype="float32"), targets), SETTINGS, TASKS[name])


def test_data_of_another_task_is_split_at_random_and_always_alike() -> None:
    rows = np.arange(100, dtype="float32")[:, None]
    first, second = (task_data((rows, rows[:, 0]), SETTINGS, Regression) for _ in range(2))
    assert (len(first.train), len(first.validation), len(first.test)) == (64, 16, 20)
    assert torch.equal(first.test.inputs, second.test.inputs)
    parts = [first.train, first.validation, first.test]
    assert sorted(torch.cat([part.inputs for part in parts]).flatten().tolist()) == rows[:, 0].tolist()
    assert torch.equal(first.train.inputs, first.train.labels)
    assert first.in_words.startswith("64 training, 16 validation and 20 test examples of shape (1,), 1 number to")


def test_class_weights_are_as_many_as_classes() -> None:
    data = task_data((np.zeros((40, 2), dtype="float32"), np.arange(40) % 2), SETTINGS)
    assert class_weights(data, None) is None
    assert class_weights(data, "balanced").tolist() == [1, 1]
    assert class_weights(data, [1.0, 3.0]).tolist() == [1, 3]
    with pytest.raises(SettingError, match=r"3 numbers, but the data has 2 classes"):
        class_weights(data, [1.0, 2.0, 3.0])
    for wrong in ("equal", [], [-1.0], ["a"]):
        with pytest.raises(SettingError, match=r"training.class_weights"):
            TrainingSettings(class_weights=wrong)


def test_optimizers_by_name_and_by_path() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    made = make_optimizer("AdamW", [weight], 0.5, 0.9, 0.25, {"betas": (0.5, 0.6)})
    group = made.param_groups[0]
    assert type(made) is torch.optim.AdamW
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.5, 0.25, (0.5, 0.6))
    assert make_optimizer("SGD", [weight], 0.5, 0.9, 0.0, {}).param_groups[0]["momentum"] == 0.9
    assert optimizer_class("torch.optim.RMSprop") is torch.optim.RMSprop
    assert optimizer_class("adamw") is torch.optim.AdamW
    with pytest.raises(SettingError, match=r"did you mean AdamW\?"):
        optimizer_class("AdamWW")
    for name in ("LBFGS", "sparseadam"):
        with pytest.raises(SettingError, match="no optimizer"):
            optimizer_class(name)
    with pytest.raises(SettingError, match="not a class of"):
        optimizer_class("torch.nn.Linear")
    with pytest.raises(SettingError, match="optimizer_args"):
        make_optimizer("SGD", [weight], 0.5, 0.9, 0.0, {"beta": 1})


def test_other_optimizers_have_another_learning_rate() -> None:
    from trials.settings.reader import read_settings

    assert read_settings([]).training == RunSettings().training
    assert read_settings(["--training.optimizer=AdamW"]).training.learning_rate == 1e-3
    given = read_settings(["--training.optimizer=AdamW", "--training.learning_rate=0.5"]).training
    assert (given.learning_rate, given.learning_rate_floor) == (0.5, 1e-3)
