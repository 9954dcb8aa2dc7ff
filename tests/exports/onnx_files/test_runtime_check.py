import numpy as np
import pytest

from exports.errors import OnnxExportError
from exports.onnx_files.runtime_check import relative_difference

LOGITS = np.array([[1.0, 2.0, -4.0]], dtype=np.float32)


def test_difference_is_relative_to_the_largest_output():
    assert relative_difference(LOGITS, LOGITS, 1e-6) == 0.0
    assert relative_difference(LOGITS, LOGITS + 0.004, 0.01) == pytest.approx(0.001, rel=1e-3)
    assert relative_difference(LOGITS * 1e3, (LOGITS + 0.004) * 1e3, 0.01) == pytest.approx(0.001, rel=1e-3)


def test_zero_and_empty_outputs_agree():
    zeros = np.zeros((2, 3), dtype=np.float32)
    assert relative_difference(zeros, zeros, 1e-4) == 0.0
    assert relative_difference(zeros[:0], zeros[:0], 1e-4) == 0.0


def test_a_tie_may_fall_either_way():
    tied = np.array([[1.0, 1.0]], dtype=np.float32)
    assert relative_difference(tied, tied + np.array([[0.0, 1e-5]]), 1e-4) < 1e-4


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        (LOGITS * 1.01, "0.01 of the largest output"),
        (LOGITS[:, :2], "shape"),
        (np.full_like(LOGITS, np.nan), "not finite"),
    ],
)
def test_disagreement_comes_with_numbers(actual, words):
    with pytest.raises(OnnxExportError, match=words):
        relative_difference(LOGITS, actual, 1e-4)


def test_another_largest_class_is_refused_even_within_the_tolerance():
    expected = np.array([[1.0, 0.85, 0.0]])
    swapped = np.array([[0.92, 0.93, 0.0]])
    with pytest.raises(OnnxExportError, match="largest class differs in 1 rows"):
        relative_difference(expected, swapped, 0.1)
