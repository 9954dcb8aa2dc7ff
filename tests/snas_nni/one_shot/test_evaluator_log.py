"""What the evaluator logs goes to the search's module, under a prefix where the same step runs a second time."""

import torch
from torchmetrics.classification import MulticlassAccuracy

from snas_nni.one_shot.evaluator_log import EvaluatorLog


class Recorder:
    """Stands where the search's Lightning module does, and keeps what is logged on it."""

    def __init__(self):
        self.logged = []

    def log(self, name, value, *args, **kwargs):
        self.logged.append((name, value, args, kwargs))


def attached():
    recorder, evaluator = Recorder(), Recorder()
    log = EvaluatorLog(recorder)
    log.attach(evaluator)
    return recorder, evaluator, log


def test_calls_go_on_with_their_options():
    recorder, evaluator, _ = attached()
    evaluator.log("loss", 1.5, True, on_epoch=True)
    evaluator.log_dict({"a": 1, "b": 2}, prog_bar=False)
    assert recorder.logged == [
        ("loss", 1.5, (True,), {"on_epoch": True}),
        ("a", 1, (), {"prog_bar": False}),
        ("b", 2, (), {"prog_bar": False}),
    ]
    assert evaluator.logged == []


def test_a_prefix_holds_inside_its_block_also_when_that_fails():
    recorder, evaluator, log = attached()
    try:
        with log.under("sampled/"):
            evaluator.log("loss", 1.0)
            raise KeyError
    except KeyError:
        pass
    evaluator.log("loss", 2.0)
    assert [name for name, *_ in recorder.logged] == ["sampled/loss", "loss"]


def test_under_a_prefix_a_metric_object_is_logged_by_its_value():
    """The object itself is Lightning's to compute and reset, for the child's pass."""
    recorder, evaluator, log = attached()
    metric = MulticlassAccuracy(num_classes=2, average="micro")
    metric.update(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
    with log.under("sampled/"):
        evaluator.log("accuracy", metric)
    evaluator.log("accuracy", metric)
    assert float(recorder.logged[0][1]) == 0.75
    assert recorder.logged[1][1] is metric


def test_lightning_does_not_take_the_search_for_a_part_of_the_evaluator():
    """A module that an attribute holds becomes a submodule of the one that holds it."""
    owner, evaluator = torch.nn.Linear(1, 1), torch.nn.Identity()
    evaluator.log_of_the_search = EvaluatorLog(owner)
    assert list(evaluator.children()) == []
