"""metrics.csv as a part of the checkpoint."""

import csv
from pathlib import Path

import torch

from trials.state.metrics_table import MetricsTable


def test_one_row_an_epoch_with_all_digits(tmp_path: Path) -> None:
    table = MetricsTable()
    assert table.last == {}
    table.add(0, 18, {"val_acc": torch.tensor(0.1), "loss": 1 / 3})
    table.add(1, 36, {"val_acc": 0.25, "late": 2.0})
    assert table.has(1)
    assert not table.has(2)
    table.write(tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [row["step"] for row in rows] == ["18", "36"]
    assert float(rows[0]["loss"]) == 1 / 3
    assert float(rows[0]["val_acc"]) == float(torch.tensor(0.1))
    assert rows[0]["late"] == ""
    assert rows[1]["loss"] == ""


def test_going_back_to_a_checkpoint_forgets_later_rows() -> None:
    table = MetricsTable()
    table.add(0, 1, {"a": 1.0})
    state = table.state_dict()
    table.add(1, 2, {"a": 2.0})
    table.load_state_dict(state)
    assert table.rows == [{"epoch": 0, "step": 1, "a": 1.0}]
    table.add(1, 2, {"a": 3.0})
    assert len(state["rows"]) == 1  # the state is a copy
