"""Some of the searches that `make test-faults` draws, cut and resumed; and that a difference would be seen."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.faults import cuts
from benchmarks.faults.drawing import SPACES, Cut, Drawn, draw

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    )


@pytest.mark.parametrize("number", [4, 7, 8])  # sliced layers and a sweep; a table and latencies; one cell and a budget
def test_a_search_at_random_ends_as_if_it_had_not_been_cut(number: int, tmp_path: Path) -> None:
    assert cuts.cut_and_compared(draw(number), tmp_path) == []


def test_what_differs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same harness on a search whose rest has another seed: the words differ after the cut."""
    original = cuts._searched

    def other(words, *arguments, **more):
        if words[1].startswith("--resume="):
            settings = Path(words[1].removeprefix("--resume=")) / "settings.yml"
            settings.write_text(settings.read_text().replace("learning_rate: 0.025", "learning_rate: 0.05"))
        return original(words, *arguments, **more)

    monkeypatch.setattr(cuts, "_searched", other)
    words = (*SPACES["table"], "--data.source=tabular_space.breast_cancer", "--search.epochs=2")
    drawn = Drawn((*words, "--search.batch_size=64"), draw(7).folder, (Cut(0.5, int(signal.SIGKILL), True),))
    found = cuts.cut_and_compared(drawn, tmp_path)
    assert any(each.startswith("weights ") for each in found)


def test_draws_repeat_themselves_and_cover_the_settings() -> None:
    drawn = [draw(number) for number in range(40)]
    assert drawn == [draw(number) for number in range(40)]
    words = {word.partition("=")[0] for each in drawn for word in each.words}
    for wanted in (
        *("--search.bilevel", "--search.accumulate_batches", "--search.samples_per_step", "--search.sampling"),
        *("--search.warmup_epochs", "--search.settle_epochs", "--search.candidates", "--data.workers"),
        *("--resources.sweep", "--resources.max_params", "--resources.max_latency_ms", "--resources.penalty"),
        *("--precision", "--distillation.teacher", "--tuning.epochs", "--data.augmentation", "--data.path"),
    ):
        assert wanted in words, wanted
    assert {cut.number for each in drawn for cut in each.cuts} == {1, 2, 9, 15}
    assert sum("--search.logits_learning_rate" in " ".join(each.words) for each in drawn) < 20  # most follow from it
