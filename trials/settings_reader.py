"""Settings from YAML files, the command line and a tuner: the later one wins, unknown keys are errors."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import sys
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from snas_nni.errors import SettingError
from snas_nni.reading import readable
from trials.plain_yaml import read_yaml
from trials.settings import RunSettings

__all__ = [
    "add_current_folder_to_path",
    "architecture_first",
    "checked_group",
    "made_of",
    "read_given",
    "read_settings",
    "settings_help",
]

Settings = TypeVar("Settings")

_OWN_PACKAGES = ("snas_nni", "search_spaces", "exports", "trials")


def read_settings(arguments: Sequence[str], tuned: Mapping[str, Any] | None = None) -> RunSettings:
    """Read the settings of a search; see :func:`read_given`."""
    return made_of(read_given(arguments, tuned, RunSettings), RunSettings)


def architecture_first(arguments: Sequence[str]) -> list[str]:
    """Let the first word of a command line be the architecture, without its option's name."""
    words = list(arguments)
    if words and not words[0].startswith("-"):
        words[0] = f"--architecture={words[0]}"
    return words


def read_given(
    arguments: Sequence[str], tuned: Mapping[str, Any] | None = None, kind: type = RunSettings
) -> dict[str, Any]:
    """Read the settings that are given, and those only: what is not given stays out.

    Args:
        arguments: of the command line: ``--config FILE`` (repeatable) and ``--key value`` with dotted keys.
        tuned: parameters of a tuner by the same dotted keys; they override everything else.
        kind: dataclass of the settings; its fields that are dataclasses themselves are groups of settings.

    Returns:
        Values by name, those of a group in a dictionary of their own.

    Raises:
        SettingError: a key is unknown, or a value has the wrong type; the message names the key.
    """
    tuned_arguments = [f"--{key}={_as_argument(value)}" for key, value in (tuned or {}).items()]
    for key in tuned or {}:
        if key not in _known_keys(kind) and not key.startswith(("space.init_args.", "data.options.")):
            raise SettingError(f"the tuner's search space has {readable(key)}, which is not a setting")
    for file in _config_files(arguments):
        _check_file(file, kind)
    given = _parsed([*arguments, *tuned_arguments], kind)
    return {name: _plain(value) for name, value in given.items() if name != "config" and value is not None}


def made_of(given: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Make settings of ``kind``; what is not in ``given``, as from :func:`read_given`, has its default.

    Raises:
        SettingError: a value is out of its range; the message names the key.
    """
    groups = {name: group(**given.get(name, {})) for name, group in _groups(kind).items()}
    return kind(**{**given, **groups})


def checked_group(recorded: Mapping[str, Any], kind: type, where: str) -> dict[str, Any]:
    """Return one group of settings as a file of a former run records it, if every value has its type.

    Args:
        recorded: values by name.
        kind: the group's dataclass.
        where: the file and the key in it, for messages.

    Raises:
        SettingError: names the setting that this version does not have, or whose value has another type.
    """
    _refuse_unknown(recorded, kind, f"{where}: this version has no setting ")
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_class_arguments(kind)
    try:
        return {
            name: _plain(value) for name, value in vars(parser.parse_object(dict(recorded), defaults=False)).items()
        }
    except ArgumentError as error:
        raise SettingError(f"{where}: {_readable(str(error))}") from error


def settings_help(kind: type = RunSettings) -> str:
    """Describe every setting of ``kind`` in one line: key, default, meaning."""
    lines: list[str] = []
    for name, group in _groups(kind).items():
        lines += [f"\n{(group.__doc__ or '').splitlines()[0]}", *_help_lines(group, f"{name}.")]
    lines += ["\nThe run.", *_help_lines(kind, "", skip=tuple(_groups(kind)))]
    return "\n".join(lines)


def add_current_folder_to_path() -> None:
    """Let a user's own modules in the current folder be imported.

    At the end of the path, so that a folder called like one of this project's packages does not hide it.
    """
    # An empty entry, which `python -m` puts in front, means the current folder too.
    sys.path[:] = [entry for entry in sys.path if entry != ""]
    for name in _OWN_PACKAGES:  # an editable install is found after the whole path, so find it now
        importlib.import_module(name)
    if "." not in sys.path:
        sys.path.append(".")


def _groups(kind: type) -> dict[str, type]:
    """Return the fields of a settings dataclass that are dataclasses, by name."""
    return {each.name: cast(type, each.default_factory) for each in fields(kind) if is_dataclass(each.default_factory)}


def _parsed(arguments: Sequence[str], kind: type) -> dict[str, Any]:
    try:
        # Defaults are left to the dataclasses: this way the space's arguments are those the user gave.
        return vars(_parser(kind).parse_args(list(arguments), defaults=False))
    except ArgumentError as error:
        raise SettingError(_readable(str(error))) from error


def _config_files(arguments: Sequence[str]) -> list[str]:
    after = [following for word, following in itertools.pairwise(arguments) if word == "--config"]
    return after + [word.removeprefix("--config=") for word in arguments if word.startswith("--config=")]


def _check_file(path: str, kind: type) -> None:
    """Refuse a settings file that is not one, naming it: what follows sees all sources of settings at once."""
    content = read_yaml(path)
    shown = readable(path, 300)
    if not isinstance(content, dict):
        raise SettingError(f"{shown}: not a file of settings, which has keys like seed and search")
    groups = _groups(kind)
    _refuse_unknown(content, kind, f"{shown}: there is no setting ")
    for name in groups.keys() & content.keys():
        # jsonargparse takes text in place of a group for the path of one more file, and imports a class_path in it.
        if not isinstance(content[name], dict):
            raise SettingError(f"{shown}: {name} must be a group of settings, not {readable(content[name])}")
        _refuse_unknown(content[name], groups[name], f"{shown}: there is no setting {name}.")
    try:
        _parsed([f"--config={path}"], kind)
    except SettingError as error:
        raise SettingError(f"{shown}: {error}") from error


def _refuse_unknown(given: Mapping[str, Any], kind: type, words: str) -> None:
    names = {each.name for each in fields(kind)}
    for name in given:
        if name not in names:
            raise SettingError(f"{words}{readable(name)}")


def _parser(kind: type) -> ArgumentParser:
    parser = ArgumentParser(prog="snas-nni", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help=SUPPRESS)
    for name, group in _groups(kind).items():
        if "class_path" in {each.name for each in fields(group)}:
            # jsonargparse reads a dataclass with a field class_path as something else
            parser.add_argument(f"--{name}.class_path", type=str)
            parser.add_argument(f"--{name}.init_args", type=dict[str, Any])
        else:
            parser.add_class_arguments(group, name)
    flags = {each.name for each in fields(kind) if each.name == "quiet"}
    parser.add_class_arguments(kind, skip={*_groups(kind), *flags})
    for name in flags:
        parser.add_argument(f"--{name}", action="store_true")
    return parser


def _known_keys(kind: type) -> set[str]:
    keys = {field.name for field in fields(kind)} - set(_groups(kind))
    for name, group in _groups(kind).items():
        keys |= {f"{name}.{field.name}" for field in fields(group)}
    return keys


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Namespace) else value


def _as_argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _readable(message: str) -> str:
    """Reword jsonargparse's messages: on one line, without Python's type notation."""
    message = re.sub(r"unrecognized arguments: --([^\s=]+).*", r"there is no setting \1", message)
    message = re.sub(r"unrecognized arguments: (.*)", r"not understood: \1", message)
    message = re.sub(r"Option '([^']+)' is not accepted", r"there is no setting \1", message)
    message = re.sub(r"Group '([^']+)' does not accept option '([^']+)'", r"there is no setting \1.\2", message)
    message = re.sub(r'Parser key "([^"]+)":', r"\1:", message)
    message = re.sub(r"<class '([^']+)'>", r"\1", message)
    return readable(" ".join(message.split()), 400)


def _help_lines(kind: type, prefix: str, skip: tuple[str, ...] = ()) -> list[str]:
    # A settings class that changes defaults of another one takes the meanings from there.
    documented = "\n".join(each.__doc__ or "" for each in reversed(kind.__mro__))
    meanings = dict(re.findall(r"^ {8}(\w+): (.+)$", documented, flags=re.MULTILINE))
    defaults = kind()
    lines = []
    for field in fields(kind):
        if field.name in skip:
            continue
        value = getattr(defaults, field.name)
        shown = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"  --{prefix + field.name:<29} {meanings[field.name]} [{shown}]")
    return lines
