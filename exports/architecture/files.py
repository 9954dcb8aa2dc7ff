"""Architecture files: written whole or not at all, and read without trusting them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from exports.architecture.record import Architecture
from exports.errors import ArchitectureFileError
from snas_nni.files import (
    RepeatedKeyError,
    parse_json,
    read_bounded,
    readable,
    reason_of,
    write_atomically,
)

__all__ = ["MAX_BYTES", "as_text", "from_text", "load", "save", "write_file"]

MAX_BYTES = 4 * 2**20  # a hundred times what a large search records
SORTED_SECTIONS = ("sample", "probabilities", "entropy", "settings", "versions", "metrics")
JSON_REMEDY = "Give a file that was written by snas_nni.save"


def save(architecture: Architecture, path: str | Path) -> Architecture:
    """Write ``architecture`` as JSON; equal architectures give equal bytes.

    The file appears under its name only when it is complete. Weights are not written: see ``save_weights``.

    Returns:
        The architecture with ``file`` set to ``path``, so that ``build`` finds weights beside it.

    Raises:
        ArchitectureFileError: the record was changed into something invalid or is over 4 MiB, or the file
            cannot be written.
    """
    path = Path(path)
    try:
        content = as_text(architecture).encode("utf-8")
        if len(content) > MAX_BYTES:
            raise ArchitectureFileError(
                "(file)", f"would have {len(content)} bytes, more than {MAX_BYTES}", "Record fewer settings"
            )
    except ArchitectureFileError as error:
        raise error.in_file(path) from None
    write_file(path, content)
    return replace(architecture, file=path)


def load(path: str | Path) -> Architecture:
    """Read an architecture file. Nothing is imported, built or executed by this.

    Raises:
        ArchitectureFileError: naming the file, the key path that is wrong, and what to do; also for files
            that cannot be read, are larger than 4 MiB, are not JSON, or are of another version.

    Examples:
        >>> import pathlib, tempfile
        >>> from snas_nni import published, save
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "architecture.json"
        >>> saved = save(published("mild"), file)
        >>> load(file).sample["normal/edge_0_2"]
        'sep_conv_3x3'
    """
    path = Path(path)
    try:
        content = read_bounded(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise ArchitectureFileError(
            "(file)", f"cannot be read: {reason_of(error)}", "Give the path of an architecture file", path
        ) from error
    return from_text(content, path)


def as_text(architecture: Architecture) -> str:
    """Return the JSON text of an architecture: keys in the schema's order, names inside sorted."""
    # Constructing anew checks again: the dictionaries of a frozen record can still be changed.
    document = replace(architecture).as_document()
    document["space"]["arguments"] = with_sorted_keys(document["space"]["arguments"])
    for section in SORTED_SECTIONS:
        document[section] = with_sorted_keys(document[section])
    document["cells"] = dict(sorted(document["cells"].items()))
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_text(content: bytes, file: Path | None = None) -> Architecture:
    """Parse the UTF-8 JSON of an architecture; ``file`` is where it came from.

    Raises:
        ArchitectureFileError: see :func:`load`.
    """
    if len(content) > MAX_BYTES:
        raise ArchitectureFileError("(file)", f"has more than {MAX_BYTES} bytes", JSON_REMEDY, file)
    try:
        # NaN and Infinity are parsed, because the check that follows can name where they are.
        document = parse_json(content)
    except RepeatedKeyError as error:
        raise ArchitectureFileError(
            readable(error.key), "is given twice in one object", "Keep one of the two", file
        ) from None
    except RecursionError:
        raise ArchitectureFileError("(file)", "is nested too deeply to be read", JSON_REMEDY, file) from None
    except ValueError as error:  # bad JSON, bad UTF-8, integers of thousands of digits
        raise ArchitectureFileError(
            "(file)", f"is not readable JSON: {readable(str(error))}", JSON_REMEDY, file
        ) from error
    return Architecture.from_document(document, file)


def with_sorted_keys(value: Any) -> Any:
    """Return ``value`` with the keys of every dictionary in it in alphabetical order."""
    if isinstance(value, dict):
        return {name: with_sorted_keys(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [with_sorted_keys(item) for item in value]
    return value


def write_file(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that a reader, or a crash, sees the old file or the new one.

    Raises:
        ArchitectureFileError: the file cannot be written, for the reason that is its ``__cause__``, an ``OSError``;
            nothing is left behind.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise ArchitectureFileError(
            "(file)",
            f"cannot be written: {reason_of(error)}",
            "Give a path in an existing folder you may write to",
            path,
        ) from error
