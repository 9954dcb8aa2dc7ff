"""Lightning's checkpoints through this project's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from trials.checkpoint_files import read_checkpoint, write_checkpoint

__all__ = ["SafeCheckpointIO"]


class SafeCheckpointIO(CheckpointIO):
    """A Trainer's plugin: whole files only, no code in them."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a state; see :func:`~trials.checkpoint_files.write_checkpoint`."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        """Read a state; see :func:`~trials.checkpoint_files.read_checkpoint`. Code is never loaded."""
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file."""
        Path(path).unlink(missing_ok=True)
