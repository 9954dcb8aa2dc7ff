"""Right and wrong by class, counted by hand."""

import numpy as np
import pytest
import torch

from trials.runs.evidence.classes import class_results, split_document
from trials.training.evaluation import Proportion


def test_a_confusion_matrix_and_its_document_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    taken = torch.tensor([0, 1, 1, 1, 2, 2])
    batches = [
        (torch.nn.functional.one_hot(part, 4).float(), right)
        for part, right in zip(taken.split(4), labels.split(4), strict=True)
    ]
    matrix = class_results(lambda inputs: inputs, batches, 4)
    assert matrix.tolist() == [[1, 2, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    document = split_document(matrix)
    assert (document["right"], document["count"], document["complete"]) == (3, 6, True)
    assert document["interval"] == list(Proportion(3, 6).interval())
    assert [(each["right"], each["count"], each["predicted"]) for each in document["classes"]] == [
        (1, 3, 1), (1, 2, 3), (1, 1, 2), (0, 0, 0),
    ]  # fmt: skip
    assert document["classes"][3]["interval"] is None
    assert document["confused"] == [[0, 1, 2], [1, 2, 1]]


@pytest.mark.parametrize(("classes", "complete"), [(45, True), (46, False)])
def test_what_is_written_of_many_classes_is_bounded(classes: int, complete: bool) -> None:
    document = split_document(np.ones((classes, classes), dtype=np.int64))
    assert document["complete"] == complete
    assert len(document["confused"]) == min(2000, classes * (classes - 1))
