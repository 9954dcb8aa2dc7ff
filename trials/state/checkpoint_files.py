"""Checkpoint files: written whole or not at all, checked before they are used, and read without running code."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from snas_nni.errors import SnasError
from snas_nni.files import replacing

__all__ = [
    "FOLDER",
    "CheckpointError",
    "SafeCheckpointIO",
    "batches_done",
    "checkpoint_name",
    "checkpoints_in",
    "epochs_done",
    "newest_usable",
    "read_checkpoint",
    "remove_old",
    "write_checkpoint",
]

FOLDER = "checkpoints"
"""Where in an output folder the checkpoints are."""

_MARK = b"\nsha256:"
_TRAILER = len(_MARK) + 64
_CHUNK = 2**20


class CheckpointError(SnasError):
    """A checkpoint cannot be written or used; the message names the file."""


def checkpoint_name(epochs: int, batches: int) -> str:
    """Return the file name of a state; names sort by age.

    Args:
        epochs: whole epochs done.
        batches: batches done of the epoch after them.
    """
    return f"epoch-{epochs:06d}-batch-{batches:08d}.ckpt"


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write ``state``, plain values and tensors, followed by the SHA-256 of what is written.

    A reader, or a crash, sees the whole file or none.

    Raises:
        CheckpointError: the file cannot be written (nothing is left behind), or the state holds an object whose
            loading would run code.
    """
    import torch  # here, because commands that only look for files do without

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            torch.save(state, stream)
            digest = _digest(stream, stream.seek(0, os.SEEK_END))
            stream.seek(0, os.SEEK_END)
            stream.write(_MARK + digest.encode())
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
        raise CheckpointError(
            f"cannot write the checkpoint {str(path)!r}: {_reason(error)}. Make room or give another output folder, "
            "then resume: earlier checkpoints are whole"
        ) from error


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Check and load a checkpoint. Nothing in the file is executed.

    Raises:
        CheckpointError: the file is truncated or changed, or holds anything but tensors and plain values.
    """
    import torch

    check(path)
    try:
        state = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch and pickle raise many kinds
        raise CheckpointError(f"the checkpoint {str(path)!r} cannot be loaded: {_reason(error)}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"the checkpoint {str(path)!r} holds no state of a run")
    return state


def check(path: Path) -> None:
    """Compare the file with the checksum at its end.

    Raises:
        CheckpointError: they differ, or there is none.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TRAILER))
            trailer = stream.read(_TRAILER)
            whole = trailer.startswith(_MARK) and trailer[len(_MARK) :].decode("ascii", "replace") == _digest(
                stream, size - _TRAILER
            )
    except OSError as error:
        raise CheckpointError(f"the checkpoint {str(path)!r} cannot be read: {_reason(error)}") from error
    if not whole:
        raise CheckpointError(f"the checkpoint {str(path)!r} is damaged: its content and its checksum differ")


def checkpoints_in(output: Path) -> list[Path]:
    """Return an output folder's checkpoints, the oldest first."""
    return sorted((output / FOLDER).glob("epoch-*-batch-*.ckpt"))


def newest_usable(output: Path, tell: Callable[[str], None]) -> Path | None:
    """Return the newest checkpoint that is whole and loads; None if there is none.

    Args:
        output: folder of the run.
        tell: told about each one that is refused.
    """
    for path in reversed(checkpoints_in(output)):
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            tell(f"{error}; the one before it is used")
            continue
        return path
    return None


def batches_done(path: Path | None) -> int:
    """Return how many batches a checkpoint's run had done, for logs that count them; 0 without a checkpoint."""
    if path is None:
        return 0
    progress = read_checkpoint(path)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return int(progress["total"]["ready"])


def epochs_done(path: Path | None) -> int:
    """Return how many whole epochs a checkpoint's run had done; 0 without a checkpoint."""
    return 0 if path is None else int(path.name.split("-")[1])


def remove_old(output: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints, and what a write that was cut off left."""
    for path in checkpoints_in(output)[:-keep]:
        path.unlink(missing_ok=True)
    for path in (output / FOLDER).glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _digest(stream: Any, size: int) -> str:
    digest, left = hashlib.sha256(), size
    stream.seek(0)
    while left > 0:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            break
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # neither is None here
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class SafeCheckpointIO(CheckpointIO):
    """A Trainer's plugin: whole files only, no code in them."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a state; see :func:`~trials.state.checkpoint_files.write_checkpoint`."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        """Read a state; see :func:`~trials.state.checkpoint_files.read_checkpoint`. Code is never loaded."""
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file."""
        Path(path).unlink(missing_ok=True)
