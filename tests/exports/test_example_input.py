"""The description of an input: what it makes, what files may say, and that old files still load."""

import json
from pathlib import Path

import pytest
import torch

from exports import ArchitectureFileError, InputExample, load, save
from snas_nni.errors import SettingError


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "float64"])
def test_inputs_like_those_that_occurred(dtype: str) -> None:
    seen = torch.tensor([[3, 7], [5, 4]]).to(getattr(torch, dtype))
    example = InputExample.of(seen)
    assert example == InputExample((2,), dtype, 3, 7)
    batch = example.batch(200)
    assert batch.shape == (200, 2)
    assert batch.dtype == seen.dtype
    assert 3 <= batch.min() < batch.max() <= 7
    assert torch.equal(batch, example.batch(200))
    assert not torch.equal(batch, example.batch(200, seed=1))
    if example.is_whole:
        assert set(batch.flatten().tolist()) == {3, 4, 5, 6, 7}


def test_without_a_range() -> None:
    assert not InputExample((4,), "int64").batch(2).any()
    images = InputExample((3, 32, 32)).batch(4)
    error = 1 / images.numel() ** 0.5
    assert abs(float(images.mean())) < 5 * error
    assert abs(float(images.std()) - 1) < 5 * error


def test_values_that_are_not_finite_give_no_range() -> None:
    assert InputExample.of(torch.tensor([[1.0, float("nan")]])).low is None


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (None, "shape"),
        ({"dtype": "int64"}, "shape"),
        ({"shape": [0]}, "at least 1"),
        ({"shape": [2.0]}, "at least 1"),
        ({"shape": [True]}, "at least 1"),
        ({"shape": [10**6, 10**6]}, "elements"),
        ({"shape": [1] * 17}, "at least 1"),
        ({"shape": [2], "dtype": "complex64"}, "complex64"),
        ({"shape": [2], "dtype": 3}, "3"),
        ({"shape": [2], "low": 1}, "largest"),
        ({"shape": [2], "low": 2, "high": 1}, "largest"),
        ({"shape": [2], "low": "0", "high": "1"}, "finite"),
        ({"shape": [2], "low": float("inf"), "high": float("inf")}, "finite"),
        ({"shape": [2], "dtype": "int64", "low": 0.5, "high": 1}, "whole"),
        ({"shape": [2], "words": 1}, "words"),
    ],
)
def test_what_a_file_may_not_say(document: object, word: str) -> None:
    with pytest.raises(SettingError, match=word) as caught:
        InputExample.from_document(document, "a.json: input")
    assert str(caught.value).startswith("a.json: input")


def test_documents_come_back(edge_architecture, tmp_path: Path) -> None:
    from dataclasses import replace

    for example in (InputExample((3, 8, 8)), InputExample((5,), "int64", 0, 9)):
        document = json.loads(json.dumps(example.as_document()))
        assert InputExample.from_document(document) == example
        save(replace(edge_architecture, input=document), tmp_path / "a.json")
        assert load(tmp_path / "a.json").input_example == example


def test_a_file_without_it_loads_and_is_written_as_before(edge_architecture, tmp_path: Path) -> None:
    save(edge_architecture, tmp_path / "a.json")
    assert "input" not in json.loads((tmp_path / "a.json").read_text())
    assert load(tmp_path / "a.json").input_example is None


def test_a_wrong_one_in_an_architecture_file_is_named(edge_architecture, tmp_path: Path) -> None:
    document = {**edge_architecture.as_document(), "input": {"shape": [3], "dtype": "int65"}}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(ArchitectureFileError, match="input: input dtype"):
        load(tmp_path / "a.json")
