"""The benchmark of GPUs runs: here on the CPU, in tiny sizes; and its page says what was not run."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.cases import Case, cases
from benchmarks.gpu.page import page

PAGE = Path(__file__).parents[2] / "docs" / "results" / "gpu.md"


def test_page_is_that_of_the_numbers_or_says_that_there_are_none() -> None:
    numbers = PAGE.with_suffix(".json")
    report = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else None
    assert PAGE.read_text(encoding="utf-8") == page(report)
    assert ("**Not run:**" in page(report)) is (report is None)


def test_cases_are_told_apart_by_their_names() -> None:
    names = [case.name for case in cases(4, quick=False)]
    assert len(set(names)) == len(names) == 24
    assert Case("snas", "hub", "bf16-mixed", True, True, 2, 0.3).name == (
        "hub, snas, bf16-mixed, channels-last, compiled, 2 devices, temperature 0.3"
    )
    assert not any(case.devices > 1 for case in cases(1, quick=False))


def test_a_row_is_the_median_behind_the_warm_up() -> None:
    run = {"name": "n", "batch": 10, "devices": 2, "seconds": [9, 9, 9, 0.1, 0.3, 0.2], "mebibytes": 1234.0}
    failed = {"name": "m", "failure": "one\ntwo"}
    text = page({"command": "c", "machine": {"gpus": "1 X"}, "runs": [run, failed]})
    assert "| n | 200.0 | 100 | 1,234 | |" in text
    assert "| m | | | | failed: two |" in text


@pytest.mark.slow
@pytest.mark.parametrize("only", ["bf16-mixed, channels-last, temperature 0.1", "child, bf16-mixed, channels-last, t"])
def test_a_dry_run(tmp_path: Path, only: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu", "--only", only, "--output", str(tmp_path)]) == 0, capsys.readouterr().out
    (run,) = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["runs"]
    assert len(run["seconds"]) == run["batches"]
    assert "failed" not in (tmp_path / "gpu.md").read_text(encoding="utf-8")
