"""Checkpoint files: whole, checked, without code."""

import os
from pathlib import Path

import pytest
import torch

from trials.state.checkpoint_files import (
    CheckpointError,
    checkpoint_name,
    checkpoints_in,
    epochs_done,
    newest_usable,
    read_checkpoint,
    remove_old,
    write_checkpoint,
)

STATE = {"weights": torch.arange(5.0), "steps": 7, "rows": [{"epoch": 0, "val_acc": 0.5}], "random": (3, (1, 2), None)}


def write(output: Path, epochs: int, batches: int = 0) -> Path:
    path = output / "checkpoints" / checkpoint_name(epochs, batches)
    write_checkpoint({**STATE, "epochs": epochs}, path)
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    found = read_checkpoint(path)
    assert torch.equal(found.pop("weights"), STATE["weights"])
    assert found == {**{name: value for name, value in STATE.items() if name != "weights"}, "epochs": 3}
    assert epochs_done(path) == 3
    assert epochs_done(None) == 0
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_plain_torch_reads_it_too(tmp_path: Path) -> None:
    assert torch.load(write(tmp_path, 1), weights_only=True)["steps"] == 7


@pytest.mark.parametrize("kept", [0, 1, 100, -100, -1])
def test_truncated_file_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        path.write_bytes(content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :])
        with pytest.raises(CheckpointError, match="is damaged"):
            read_checkpoint(path)


def test_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "object.ckpt"
    write_checkpoint({"path": Path("x")}, path)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        read_checkpoint(path)
    write_checkpoint([1, 2], path)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="no state"):
        read_checkpoint(path)


def test_names_sort_by_age(tmp_path: Path) -> None:
    ages = [(0, 5), (0, 40), (1, 0), (1, 7), (2, 0), (10, 0), (10, 123456)]
    for epochs, batches in reversed(ages):
        write(tmp_path, epochs, batches)
    assert checkpoints_in(tmp_path) == [tmp_path / "checkpoints" / checkpoint_name(*age) for age in ages]


def test_the_newest_usable_one_is_found_and_the_others_are_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    assert newest_usable(tmp_path, told.append) is None
    good, damaged = write(tmp_path, 1), write(tmp_path, 2)
    damaged.write_bytes(b"")
    assert newest_usable(tmp_path, told.append) == good
    assert len(told) == 1
    assert str(damaged) in told[0]


def test_old_ones_and_leftovers_go(tmp_path: Path) -> None:
    paths = [write(tmp_path, epochs) for epochs in range(5)]
    (tmp_path / "checkpoints" / ".epoch.tmp").touch()
    remove_old(tmp_path, 2)
    assert sorted((tmp_path / "checkpoints").iterdir()) == paths[3:]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()  # a file where the folder should be
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        write(tmp_path, 1)
    assert os.listdir(tmp_path) == ["checkpoints"]
