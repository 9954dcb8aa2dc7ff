"""What a search and its machine can suffer: readable, and nothing is lost. `make test-faults` makes a table of it."""

import contextlib
import ctypes
import os
import pickle
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from trials.cli import main
from trials.state.checkpoint_files import checkpoints_in, epochs_done

pytestmark = pytest.mark.slow

WORDS = (
    "search --space.init_args.channels=2 --space.init_args.cells=1 --space.init_args.nodes=1 --search.batch_size=256 "
    "--search.logits_learning_rate=0.1 --accelerator=cpu --seed=5 --checkpoint.every_steps=2"
)
SMALL = WORDS.split()
EPOCHS = "--search.epochs=3"
LONG = "--search.epochs=1000"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search that nothing happens to."""
    output = tmp_path_factory.mktemp("whole") / "output"
    assert main([*SMALL, EPOCHS, f"--output={output}", "--quiet"]) == 0
    return output


@pytest.fixture
def cut(tmp_path: Path, whole: Path, verb) -> Path:
    """A search of the same settings, killed with at least two checkpoints."""
    output = tmp_path / "cut"
    process = verb(*SMALL, EPOCHS, f"--output={output}")
    process.wait_for(lambda: len(checkpoints_in(output)) == 2)
    process.signal(signal.SIGKILL)
    process.wait()
    assert not (output / "summary.json").exists()
    return output


def assert_same(whole: Path, other: Path) -> None:
    from benchmarks.faults.comparison import differences

    assert differences(whole, other) == []


def one_line(errors: str) -> str:
    lines = [line for line in errors.splitlines() if not line.startswith(("stopping", "warning"))]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    return lines[0]


# ---- cut off -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("killed (SIGKILL) between steps, within a step, while checkpoints are written")
def test_killed_three_times(whole: Path, tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    words = [*SMALL, EPOCHS, f"--output={output}"]
    for done in ("epoch-000000-batch-00000002", "epoch-000001", "epoch-000002-batch-00000002"):
        process = verb(*words)
        process.wait_for(lambda wanted=done: any(path.stem >= wanted for path in checkpoints_in(output)))
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        words = ["search", f"--resume={output}"]
    assert verb(*words).wait() == 0
    assert_same(whole, output)


@pytest.mark.proof
@pytest.mark.fault("killed before the first checkpoint")
def test_killed_before_the_first_checkpoint(whole: Path, tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    process = verb(*SMALL, EPOCHS, f"--output={output}")
    process.wait_for(lambda: (output / "settings.yml").exists())
    process.signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    assert verb("search", f"--resume={output}").wait() == 0
    assert_same(whole, output)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=[pytest.mark.fault("Ctrl-C"), pytest.mark.proof]),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.fault("SIGTERM, as schedulers send it")),
        pytest.param(
            signal.SIGHUP, 129, marks=[pytest.mark.fault("the terminal is closed (SIGHUP)"), pytest.mark.proof]
        ),
    ],
)
def test_a_signal_stops_with_a_checkpoint_and_says_how_to_go_on(whole, tmp_path, verb, number, code) -> None:
    output = tmp_path / "output"
    process = verb(*SMALL[:-1], EPOCHS, f"--output={output}")  # no checkpoints within an epoch but the signal's
    process.wait_for(lambda: checkpoints_in(output))
    process.signal(number)
    assert process.wait() == code
    assert "stopping after this step" in process.errors
    assert f"--resume {output}" in one_line(process.errors)
    assert verb("search", f"--resume={output}").wait() == 0
    assert_same(whole, output)


@pytest.mark.fault("Ctrl-C twice")
def test_the_second_ctrl_c_quits_at_once(whole, tmp_path, verb) -> None:
    output = tmp_path / "output"
    slow = "--search.batch_size=1151"  # one step an epoch, of some tenths of a second
    process = verb(*SMALL, slow, LONG, "--space.init_args.cells=3", f"--output={output}")
    process.wait_for(lambda: "data:" in process.output)
    process.wait_for(lambda: checkpoints_in(output))
    process.signal(signal.SIGINT)
    process.wait_for(lambda: "once more to quit at once" in process.errors)
    before = checkpoints_in(output)
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    assert "--resume" not in process.errors  # it did not even take the time to say so
    assert before


@pytest.mark.fault("SIGTERM to a retraining")
def test_a_signal_stops_a_retraining_which_goes_on_after_its_last_epoch(tmp_path, verb) -> None:
    words = ["mild", "--space.init_args.channels=2", "--space.init_args.cells=2", "--training.batch_size=256"]
    words += ["--training.epochs=6", "--accelerator=cpu"]
    output = tmp_path / "output"
    process = verb("retrain", *words, f"--output={output}")
    process.wait_for(lambda: checkpoints_in(output))
    process.signal(signal.SIGTERM)
    assert process.wait() == 143
    assert f"--resume {output}" in one_line(process.errors)
    assert 1 <= epochs_done(checkpoints_in(output)[-1]) < 6
    assert verb("retrain", f"--resume={output}").wait() == 0
    rows = (output / "metrics.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.fault("SIGTERM while the data is read")
def test_a_signal_before_training_stops_at_once(tmp_path, verb) -> None:
    output = tmp_path / "output"
    process = verb(*SMALL, LONG, f"--output={output}")
    process.wait_for(lambda: (output / "settings.yml").exists())
    process.signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "stopped. " in one_line(process.errors)


@pytest.mark.fault("a loader worker dies")
def test_a_dead_loader_worker(whole: Path, tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    process = verb(*SMALL, EPOCHS, "--data.workers=1", f"--output={output}")
    process.wait_for(lambda: checkpoints_in(output))
    workers = process.wait_for(lambda: psutil.Process(process.pid).children())
    with contextlib.suppress(psutil.Error):
        workers[0].kill()
    assert process.wait() == 2
    message = one_line(process.errors)
    assert "a process that prepares batches ended" in message
    assert "data.workers" in message
    assert str(checkpoints_in(output)[-1]) in message
    assert verb("search", f"--resume={output}", "--data.workers=0").wait() == 0
    assert_same(whole, output)


def assert_goes_on(verb, whole: Path, cut: Path, damaged: Path, used: Path) -> None:
    process = verb("search", f"--resume={cut}")
    assert process.wait() == 0
    assert f"{str(damaged)!r} is damaged" in process.output
    assert f"going on from {used.name}" in process.output
    assert_same(whole, cut)


# ---- checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.fault("a checkpoint is truncated")
def test_a_truncated_checkpoint_is_refused_by_name_and_the_one_before_is_used(whole, cut, verb) -> None:
    older, newest = checkpoints_in(cut)
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert_goes_on(verb, whole, cut, damaged=newest, used=older)


@pytest.mark.fault("a checkpoint is tampered with")
def test_a_tampered_checkpoint_is_refused_by_name_and_the_one_before_is_used(whole, cut, verb) -> None:
    older, newest = checkpoints_in(cut)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert_goes_on(verb, whole, cut, damaged=newest, used=older)


@pytest.mark.fault("a checkpoint holds code")
def test_code_in_a_checkpoint_is_never_run(whole, cut, tmp_path, verb) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    from trials.state.checkpoint_files import write_checkpoint

    _, newest = checkpoints_in(cut)
    write_checkpoint({"state_dict": {}, "evil": Evil()}, newest)  # its checksum is right
    process = verb("search", f"--resume={cut}")
    assert process.wait() == 0
    assert f"{str(newest)!r} cannot be loaded" in process.output
    assert not (tmp_path / "ran").exists()
    assert pickle.dumps(Evil())  # it could have run
    assert_same(whole, cut)


# ---- the disk ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def file_system(place: Path, *options: str) -> Iterator[Path]:
    """A real small file system; the test is skipped where mounting is not allowed."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(place)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.fault("the disk is full")
def test_a_full_disk(whole: Path, tmp_path: Path, verb) -> None:
    with file_system(tmp_path / "disk", "-o", "size=340k") as disk:
        output = disk / "output"
        process = verb(*SMALL, EPOCHS, "--checkpoint.keep=10", f"--output={output}")
        assert process.wait() == 2
        message = one_line(process.errors)
        assert "No space left on device" in message
        assert str(checkpoints_in(output)[-1]) in message
        assert len(checkpoints_in(output)) >= 2
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert verb("search", f"--resume={output}").wait() == 0
        assert_same(whole, output)


@pytest.mark.proof
@pytest.mark.fault("a limit on the size of files")
def test_a_limit_on_the_size_of_files(whole: Path, tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    limit = 60_000  # less than a checkpoint has

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = verb(*SMALL, EPOCHS, f"--output={output}", before=before)
    assert process.wait() == 2
    assert "File too large" in one_line(process.errors)
    assert list((output / "checkpoints").iterdir()) == []  # no half a file
    assert verb("search", f"--resume={output}").wait() == 0
    assert_same(whole, output)


def own_shared_memory(size: str) -> None:
    """Give the process that calls it a shared memory of its own: a small one, that nobody else meets."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(0x00020000) != 0:  # CLONE_NEWNS; `os.unshare` is newer than Python 3.10
        raise OSError(ctypes.get_errno(), "a mount namespace needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", "/dev/shm"], check=True)


@pytest.mark.fault("the shared memory is full")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_shared_memory(whole: Path, tmp_path: Path, verb) -> None:
    """PyTorch's loader would wait for ever for a batch that its process cannot hand over."""
    output = tmp_path / "output"
    process = verb(
        *SMALL, EPOCHS, "--data.workers=1", f"--output={output}", before=lambda: own_shared_memory("2m")
    )  # fmt: skip
    process.wait_for(lambda: checkpoints_in(output))
    with contextlib.suppress(OSError), Path(f"/proc/{process.pid}/root/dev/shm/full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert process.wait() == 2, process.errors
    message = one_line(process.errors)
    assert "the shared memory of this machine (/dev/shm) is full" in message
    assert "data.workers" in message
    assert str(checkpoints_in(output)[-1]) in message
    assert verb("search", f"--resume={output}", "--data.workers=0").wait() == 0
    assert_same(whole, output)


@pytest.mark.proof
@pytest.mark.fault("the shared memory is full from the start")
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_no_shared_memory_at_all(tmp_path: Path, verb) -> None:
    def before() -> None:
        own_shared_memory("4k")
        with contextlib.suppress(OSError):
            Path("/dev/shm/full").write_bytes(bytes(4096))

    process = verb(*SMALL, EPOCHS, "--data.workers=1", f"--output={tmp_path / 'output'}", before=before)
    assert process.wait() == 2, process.errors
    assert "the shared memory of this machine (/dev/shm) is full" in one_line(process.errors)


@pytest.mark.fault("the output folder cannot be made")
def test_an_output_folder_below_a_file(tmp_path: Path, verb) -> None:
    (tmp_path / "file").write_text("")
    process = verb(*SMALL, EPOCHS, f"--output={tmp_path / 'file' / 'output'}")
    assert process.wait() == 2
    assert "output: cannot make the folder" in one_line(process.errors)


@pytest.mark.fault("the output folder cannot be written")
def test_a_file_system_that_is_read_only(tmp_path: Path, verb) -> None:
    with file_system(tmp_path / "disk") as disk:
        (disk / "output").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = verb(*SMALL, EPOCHS, f"--output={disk / 'output'}")
        assert process.wait() == 2
        assert "output: cannot write into" in one_line(process.errors)


def experiment_file(folder: Path, *lines: str) -> Path:
    path = folder / "experiment.yml"
    path.write_text(
        "trialCommand: sleep 1\ntrialConcurrency: 1\nsearchSpace: {seed: {_type: choice, _value: [1]}}\n"
        "tuner: {name: TPE}\ntrainingService: {platform: local}\nmaxTrialNumber: 1\n" + "".join(lines)
    )
    return path


@pytest.mark.fault("an experiment is launched in a folder that cannot be written")
@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("output", "--output runs: {disk} cannot be written: Read-only file system; give another folder with --output"),
        ("working", "experimentWorkingDirectory {disk}/nni: {disk} cannot be written: Read-only file system; give "),
        ("home", "NNI lists all experiments: {disk} cannot be written: Read-only file system; set HOME to a folder"),
    ],
)
def test_launch_where_nothing_can_be_written(tmp_path: Path, verb, monkeypatch, which: str, wanted: str) -> None:
    with file_system(tmp_path / "disk") as disk:
        for name in ("nni-experiments", "own"):
            (tmp_path / name).mkdir()
        monkeypatch.setenv("HOME", str(disk if which == "home" else tmp_path))
        working = f"experimentWorkingDirectory: {(disk if which == 'working' else tmp_path) / 'nni'}\n"
        experiment_file(disk, working)
        monkeypatch.chdir(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = verb("launch", "experiment.yml", *(() if which == "output" else ("--output", tmp_path / "own")))
        assert process.wait() == 2
        assert wanted.format(disk=disk) in one_line(process.errors)
        assert "experiment " not in process.output  # nothing was started
        assert not list((tmp_path / "own").iterdir())
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("renamed", marks=pytest.mark.fault("the output folder is renamed meanwhile")),
        pytest.param("removed", marks=[pytest.mark.fault("the output folder is removed meanwhile"), pytest.mark.proof]),
    ],
)
def test_an_output_folder_that_is_taken_away(whole: Path, tmp_path: Path, verb, how: str) -> None:
    output, other = tmp_path / "output", tmp_path / "other"
    process = verb(*SMALL, EPOCHS, f"--output={output}")
    process.wait_for(lambda: checkpoints_in(output))
    output.rename(other)
    if how == "removed":
        shutil.rmtree(other)
    assert process.wait() == 2, process.output
    assert f"the folder {output} is gone: it was removed or renamed meanwhile" in one_line(process.errors)
    assert not output.exists()
    if how == "renamed":
        assert verb("search", f"--resume={other}").wait() == 0
        assert_same(whole, other)


# ---- two at once -------------------------------------------------------------------------------------------------


@pytest.mark.fault("a second search on the same output folder")
def test_a_second_search_at_once_is_refused_and_changes_nothing(tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    first = verb(*SMALL, LONG, f"--output={output}")
    first.wait_for(lambda: checkpoints_in(output))
    settings = (output / "settings.yml").read_bytes()
    for words in ([*SMALL, "--search.epochs=7", f"--output={output}"], ["search", f"--resume={output}"]):
        second = verb(*words)
        assert second.wait() == 2
        message = one_line(second.errors)
        assert f"process {first.pid} is writing into" in message
    assert (output / "settings.yml").read_bytes() == settings
    assert first.process.is_alive()
    first.signal(signal.SIGINT)
    assert first.wait() == 130


@pytest.mark.fault("a search again on the output folder of another")
def test_results_are_not_overwritten(whole: Path, cut: Path, verb) -> None:
    files = [path for path in (*whole.rglob("*"), *cut.rglob("*")) if path.is_file()]
    # What a kill left half-written is nobody's result, and is removed.
    before = {path: path.read_bytes() for path in files if path.suffix != ".tmp"}
    for folder, wanted in ((whole, "is not empty"), (cut, f"go on with --resume {cut}")):
        process = verb(*SMALL, EPOCHS, f"--output={folder}")
        assert process.wait() == 2
        assert wanted in one_line(process.errors)
    for words in ((), ("--search.epochs=4",)):
        finished = verb("search", f"--resume={whole}", *words)
        assert finished.wait() == 2
        assert "is finished" in one_line(finished.errors)
    other = verb("search", f"--resume={cut}", "--search.epochs=4")
    assert other.wait() == 2
    assert "began with search.epochs 3, not 4" in one_line(other.errors)
    after = {path: path.read_bytes() for path in before}
    assert {path.name for path in before if before[path] != after[path]} <= {".lock"}


@pytest.mark.fault("a port in use")
def test_a_port_in_use(tmp_path: Path, verb) -> None:
    experiment_file(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = verb("launch", tmp_path / "experiment.yml", "--port", port, "--output", tmp_path / "runs")
        assert process.wait() == 2
    assert f"--port {port}: cannot listen on it: Address already in use" in one_line(process.errors)
    assert not (tmp_path / "runs").exists()


# ---- numbers and data --------------------------------------------------------------------------------------------


@pytest.mark.fault("a loss that is not finite")
def test_a_loss_that_is_not_finite(tmp_path: Path, verb) -> None:
    output = tmp_path / "output"
    process = verb(
        *SMALL, EPOCHS, "--training.learning_rate=1e18", "--search.weights_gradient_clip=null",
        "--checkpoint.every_steps=1", f"--output={output}",
    )  # fmt: skip
    assert process.wait() == 2
    message = one_line(process.errors)
    assert "finite" in message or "the loss is" in message
    assert "learning" in message
    checkpoints = checkpoints_in(output)
    assert (str(checkpoints[-1]) if checkpoints else "There is no checkpoint yet") in message
    for path in checkpoints:
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point())


def write_photos(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 8) -> Path:
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            for index in range(count):
                path = folder / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8, 3), 90 * label + index, np.uint8)).save(path)
    return folder


@pytest.mark.fault("an image that cannot be read")
def test_a_corrupt_image_is_named_or_skipped(tmp_path: Path, verb) -> None:
    photos = write_photos(tmp_path / "photos")
    corrupt = photos / "train" / "dog" / "3.png"
    corrupt.write_bytes(corrupt.read_bytes()[:40])
    words = [*SMALL, "--search.epochs=1", "--search.batch_size=4", "--data.source=folder", f"--data.path={photos}",
             f"--data.cache={tmp_path / 'cache'}"]  # fmt: skip
    refused = verb(*words, f"--output={tmp_path / 'refused'}")
    assert refused.wait() == 2
    assert str(corrupt) in one_line(refused.errors)
    assert "data.corrupt: skip" in refused.errors
    skipped = verb(*words, "--data.corrupt=skip", f"--output={tmp_path / 'skipped'}")
    assert skipped.wait() == 0
    assert f"skipped: data: cannot read the image {str(corrupt)!r}" in skipped.output
    assert (tmp_path / "skipped" / "summary.json").is_file()


@pytest.mark.fault("a class without images")
def test_a_class_without_images_is_named(tmp_path: Path, verb) -> None:
    photos = write_photos(tmp_path / "photos")
    for path in (photos / "train" / "dog").iterdir():
        path.unlink()
    process = verb(*SMALL, EPOCHS, "--data.source=folder", f"--data.path={photos}", f"--output={tmp_path / 'output'}")
    assert process.wait() == 2
    assert str(photos / "train" / "dog") in one_line(process.errors)
    assert "holds no image" in process.errors
