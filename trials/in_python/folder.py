"""The folder of a search that a program ran, made one that every command takes: with its data, and with its space."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace

from exports import Architecture, ArchitectureFileError, build, load, save
from exports.onnx_files.export import put_architecture
from exports.rebuilding.source_file import source_of
from snas_nni.errors import SettingError, SnasError
from snas_nni.files import write_atomically
from trials.in_python.given_data import DATA_FILE, GivenData
from trials.settings.search import RunSettings
from trials.state.output_folder import recorded_settings, write_settings

__all__ = ["make_whole", "refuse_unkept"]

MAIN = "__main__"


def refuse_unkept(space_class: type[ModelSpace], data: GivenData | None) -> None:
    """Refuse what :func:`make_whole` could not write, before anything is searched.

    Raises:
        SettingError: the data is too large for a copy, or the space's source cannot be found; says what to do.
    """
    if data is not None:
        data.tensors()
    if space_class.__module__ == MAIN:
        _text_of(space_class)


def make_whole(
    folder: Path,
    settings: RunSettings,
    space_class: type[ModelSpace],
    data: GivenData | None,
    source: str | None = None,
) -> RunSettings:
    """Write what a command needs beside what the search left, and record it.

    Args:
        folder: of the search.
        settings: that it ran with.
        space_class: that was searched. One of the running program is written to a file.
        data: that the program gave; None where the settings name a source.
        source: of the data from now on, in place of a copy in the folder.

    Returns:
        The settings, with where space and data are from now on.

    Raises:
        SettingError: the data is too large for a copy, or the space's source cannot be found; says what to do.
        SnasError: the child cannot be rebuilt from the written file.
    """
    recorded = settings.data
    if source is not None:
        recorded = replace(recorded, source=source, path=None)
    elif data is not None:
        path = folder.resolve() / DATA_FILE
        data.write(path)
        recorded = replace(recorded, path=str(path))
    space = settings.space
    if space_class.__module__ == MAIN:
        name = _file_name_of(space_class)
        write_atomically(folder / f"{name}.py", _text_of(space_class).encode())
        space = replace(space, class_path=f"{name}.{space_class.__name__}")
    settings = replace(settings, data=recorded, space=space)
    write_settings(folder, settings)
    _record(folder, settings, space_class)
    return settings


def _record(folder: Path, settings: RunSettings, space_class: type[ModelSpace]) -> None:
    """Let the architecture file and the summary say the same as the settings."""
    document = recorded_settings(settings)
    architecture = load(folder / "architecture.json")
    if space_class.__module__ == MAIN:
        class_path = settings.space.class_path
        architecture = replace(architecture, space=replace(architecture.space, class_path=class_path))
        _try(architecture, folder, class_path, space_class)
    architecture = save(replace(architecture, settings=document), folder / "architecture.json")
    if (folder / "model.onnx").is_file():
        put_architecture(architecture, folder / "model.onnx")
    summary = folder / "summary.json"
    content = json.loads(summary.read_text(encoding="utf-8"))
    write_atomically(summary, (json.dumps({**content, "settings": document}, indent=2) + "\n").encode())


def _try(architecture: Architecture, folder: Path, class_path: str, space_class: type[ModelSpace]) -> None:
    """Rebuild the child from the written file, as a command will."""
    names: dict[str, Any] = {"__name__": class_path.rpartition(".")[0]}
    file = folder / f"{names['__name__']}.py"
    try:
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)  # the program's own text
        build(architecture, spaces=[names[space_class.__name__]])
    except Exception as error:
        file.unlink(missing_ok=True)
        raise SnasError(
            f"{space_class.__name__} is defined in the program itself, and what was written of it does not rebuild the "
            f"child: {type(error).__name__}: {error}. Put the class into a file of its own, such as "
            f"{_file_name_of(space_class)}.py, and import it from there"
        ) from error


def _file_name_of(space_class: type) -> str:
    """Return the name of a module for a class: ``TinySpace`` gives ``tiny_space``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", space_class.__name__).lower()


def _text_of(space_class: type) -> str:
    try:
        return source_of(space_class)
    except ArchitectureFileError as error:
        raise SettingError(
            f"{space_class.__name__} is defined in the program itself, and cannot be written to a file: "
            f"{error.problem}. Put the class into a file of its own, such as {_file_name_of(space_class)}.py, and "
            "import it from there"
        ) from error
