"""Failures from outside the program, told with where the run stands."""

import errno
from pathlib import Path

import pytest

from snas_nni.errors import NotFiniteError, SnasError
from trials.state.checkpoint_files import checkpoint_name, write_checkpoint
from trials.state.failures import exit_code_of, failures_explained
from trials.state.signals import StoppedError

FULL = OSError(errno.ENOSPC, "No space left on device", "metrics.csv")
DEAD = RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. ")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FULL, SnasError, ["metrics.csv", "No space left on device"]),
        (DEAD, SnasError, ["pid 12", "data.workers"]),
        (NotFiniteError("the loss is nan at step 3."), NotFiniteError, ["step 3"]),
    ],
)
def test_the_last_good_checkpoint_is_named(tmp_path: Path, error: Exception, kind: type, words: list[str]) -> None:
    for expected in ("There is no checkpoint yet", f"--resume {tmp_path}"):
        with pytest.raises(kind) as caught, failures_explained(tmp_path):
            raise error
        assert all(word in str(caught.value) for word in [*words, expected])
        assert len(str(caught.value).splitlines()) == 1
        write_checkpoint({}, tmp_path / "checkpoints" / checkpoint_name(1, 0))


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "gone"), RuntimeError("other"), KeyError("x")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failures_explained(tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ValueError("x"), 1), (StoppedError(15), 143)])
def test_exit_codes(error: BaseException | None, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        if error is not None:
            raise error

    assert exit_code_of(run, "the search") == code
    if code == 1:
        assert capsys.readouterr().err == "error: the search failed: ValueError: x\n"
