"""Errors of files that cannot be written, read, trusted or rebuilt."""

from __future__ import annotations

from pathlib import Path

from snas_nni.errors import SnasError
from snas_nni.files import readable

__all__ = ["ArchitectureFileError", "CodeExportError", "OnnxExportError"]


class ArchitectureFileError(SnasError, ValueError):
    """An architecture record, its file or its weights cannot be used.

    Attributes:
        key: where in the record, such as ``space.arguments``; ``(file)`` for the file as a whole.
        problem: what is wrong there.
        remedy: what to do about it.
        file: the file that was read or written, if there is one.
    """

    def __init__(self, key: str, problem: str, remedy: str, file: Path | None = None) -> None:
        self.key = key
        self.problem = problem
        self.remedy = remedy
        self.file = file
        # Keys come from the file: they may be long, or hold what would move a terminal's cursor.
        place = f"{readable(str(file), 300)}: " if file is not None else "architecture: "
        place += readable(key, 200)
        super().__init__(f"{place}: {problem}. {remedy}.")

    def __reduce__(self) -> tuple[type[ArchitectureFileError], tuple[str, str, str, Path | None]]:
        return type(self), (self.key, self.problem, self.remedy, self.file)

    def in_file(self, file: Path | None) -> ArchitectureFileError:
        """Return the same error with the name of the file it happened in, unless it has one already."""
        return type(self)(self.key, self.problem, self.remedy, self.file or file)


class OnnxExportError(SnasError):
    """The model could not be exported, or the exported file does not compute what the model computes."""


class CodeExportError(SnasError):
    """The network cannot be written as Python source, or the source does not compute what the network computes."""
