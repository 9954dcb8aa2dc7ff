"""Failures from outside the program, told with where the run stands."""

import contextlib
import errno
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from exports import Architecture, InputExample, save_weights
from search_spaces import SnasCellSpace
from snas_nni.errors import NotFiniteError, SnasError
from trials.progress import Progress
from trials.runs.results import write_results
from trials.settings.search import RunSettings, SpaceSettings
from trials.state import user_errors
from trials.state.checkpoint_files import checkpoint_name, write_checkpoint
from trials.state.failures import exit_code_of, failures_explained, write_result
from trials.state.metrics_table import MetricsTable
from trials.state.output_folder import open_output
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


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that is full, as far as this process can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_metrics(folder: Path) -> None:
    table = MetricsTable()
    for epoch in range(300):
        table.add(epoch, epoch, {"val_acc": 0.123456789})
    table.write(folder / "metrics.csv")


def write_settings(folder: Path) -> None:
    long = {"init_args": {f"name{number}": "x" * 100 for number in range(30)}}
    with open_output(RunSettings(output=str(folder), space=SpaceSettings(**long)), None, Progress(quiet=True)):
        pytest.fail("the run began without settings")


def write_weights(folder: Path) -> None:
    save_weights(nn.Linear(100, 100), folder / "weights.safetensors")


def write_summary(folder: Path) -> None:
    space = SnasCellSpace(channels=1, cells=1, nodes=1, classes=2, in_channels=1)
    sample = {label: choice.default() for label, choice in space.simplify().items()}
    child = space.freeze(sample)
    record = Architecture.create(space=space, sample=sample, child=child, metrics={"accuracy": 0.5})
    write_results(folder, record, child, InputExample((1, 8, 8)), {"padding": "x" * 200_000})


@pytest.mark.parametrize(
    ("write", "name", "size"),
    [
        (write_metrics, "metrics.csv", 2000),
        (write_settings, "settings.yml", 2000),
        (write_weights, "weights.safetensors", 2000),
        (write_summary, "summary.json", 150_000),
    ],
)
def test_a_full_disk_is_told_whichever_file_it_meets(
    tmp_path: Path, write: Callable[[Path], None], name: str, size: int
) -> None:
    write_checkpoint({}, tmp_path / "run" / "checkpoints" / checkpoint_name(1, 0))
    folder = tmp_path / "run" if write is not write_settings else tmp_path / "new"
    with pytest.raises(SnasError) as caught, no_file_larger_than(size), failures_explained(folder):
        write(folder)
    state = f"go on from it with --resume {folder}" if write is not write_settings else "There is no checkpoint yet."
    assert str(caught.value).startswith(
        f"output: cannot write {folder / name}: File too large. Make room, then resume."
    )
    assert str(caught.value).endswith(state)
    assert not (folder / name).exists()
    assert not list(folder.glob(".*.tmp"))


def test_a_file_that_a_user_asked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnasError, match=f"^output: cannot write {tmp_path}/none/x: No such file or directory$"):
        write_result(tmp_path / "none" / "x", b"")
    write_result(tmp_path / "x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "gone"), RuntimeError("other"), KeyError("x")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_errors, "_OWN", (*user_errors._OWN, str(Path(__file__).parent)))
    with pytest.raises(type(error)) as caught, failures_explained(tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "gone"), RuntimeError("other"), KeyError("x")])
def test_errors_in_a_users_own_file_are_told_with_their_line(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(SnasError, match=r"(?s)test_failures\.py, line \d+, in .*raise error") as caught:  # noqa: SIM117
        with failures_explained(tmp_path):
            raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ValueError("x"), 1), (StoppedError(15), 143)])
def test_exit_codes(error: BaseException | None, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        if error is not None:
            raise error

    assert exit_code_of(run, "the search") == code
    if code == 1:
        assert capsys.readouterr().err == "error: the search failed: ValueError: x\n"


class _Broken(torch.utils.data.Dataset):
    """Stands for a batch that is cut off while a worker hands it over."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_worker_that_dies_while_it_hands_over_a_batch(tmp_path, error):
    with (
        pytest.raises(SnasError, match=r"a process that prepares batches ended: .*data\.workers"),
        failures_explained(tmp_path),
    ):
        next(iter(torch.utils.data.DataLoader(_Broken(error))))
    # The same from elsewhere is told as an error of the line that it came from.
    with pytest.raises(SnasError, match="line ") as caught, failures_explained(tmp_path):
        raise type(error)(*error.args)
    assert "batches" not in str(caught.value)
