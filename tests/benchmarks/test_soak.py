import random
from pathlib import Path

import pytest

from benchmarks.soak import judged, page, plot, tens


def curves(growth: float, slowing: float) -> tuple[list[float], list[float]]:
    chance = random.Random(3)
    steps = range(1000)
    seconds = [0.05 * (1 + slowing * n / 1000 + chance.gauss(0, 0.01)) + (2.0 if n % 97 == 0 else 0) for n in steps]
    return seconds, [500 + min(n, 100) + growth * n / 1000 + chance.gauss(0, 0.05) for n in steps]


@pytest.mark.parametrize(("growth", "slowing", "flat"), [(0.0, 0.0, True), (8.0, 0.0, False), (0.0, 0.08, False)])
def test_what_grows_is_found_and_pauses_are_not_taken_for_it(growth: float, slowing: float, flat: bool) -> None:
    found = judged(*curves(growth, slowing), warm_up=200)
    assert found["flat"] is flat
    assert found["memory_slope"]["mib_per_1000_steps"] == pytest.approx(growth, abs=0.1)
    assert found["time_slope"]["percent_per_1000_steps"] == pytest.approx(100 * slowing / (1 + 0.6 * slowing), abs=0.6)
    assert found["step_ms"] == pytest.approx(50 * (1 + 0.6 * slowing), rel=0.01)


def test_page_and_figure(tmp_path: Path) -> None:
    more = {"command": "c", "epochs": 1, "csv_rows": 1, "machine": "m"}
    document = {**judged(*curves(0, 0), warm_up=200), **more}
    assert "within the limits: **yes**" in page(document)
    plot(document, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 5000
    assert tens([1, 1, 1, 1, 1, 1, 3, 3, 3, 9, 7]) == [1.0]
