"""Settings from YAML files, the command line and a tuner: the later one wins, unknown keys are errors."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, TypeVar, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from snas_nni.errors import SettingError
from snas_nni.files import readable
from snas_nni.plain_yaml import read_yaml
from trials.settings.amounts import amounts_in_words, with_amounts
from trials.settings.guard import groups_of, merged, refuse_class_paths, refuse_unfit, without_free_values
from trials.settings.search import RunSettings
from trials.settings.suggestions import did_you_mean

__all__ = ["architecture_first", "checked_group", "given_in", "made_of", "read_given", "read_settings"]

Settings = TypeVar("Settings")

_FREE = ("space.init_args.", "data.options.", "evaluator.init_args.", "training.optimizer_args.")
"""Groups of a tuner's parameters whose names are not this project's."""


def read_settings(
    arguments: Sequence[str], tuned: Mapping[str, Any] | None = None, beneath: Mapping[str, Any] | None = None
) -> RunSettings:
    """Read the settings of a search; see :func:`read_given`.

    Args:
        arguments: of the command line.
        tuned: parameters of a tuner.
        beneath: values in place of defaults, those of a group in a dictionary of their own.
    """
    given = read_given(arguments, tuned, RunSettings)
    return made_of(merged(merged(_of_optimizer(given), beneath or {}), given), RunSettings)


def _of_optimizer(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return learning rates for an optimizer that does not bear SGD's; nobody gave one."""
    training = given.get("training", {})
    if training.get("optimizer", "SGD") == "SGD" or "learning_rate" in training:
        return {}
    return {"training": {"learning_rate": 1e-3, "learning_rate_floor": 0.0}}


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
        if key not in _known_keys(kind) and not key.startswith(_FREE):
            near = did_you_mean(key, _known_keys(kind))
            raise SettingError(f"the tuner's search space has {readable(key)}, which is not a setting{near}")
        refuse_class_paths((tuned or {})[key], f"the tuner's {readable(key)}")
    files, words = _files_and_words(arguments)
    given: dict[str, Any] = {}
    for file in files:
        given = merged(given, _read_file(file, kind))
    try:
        # Defaults are left to the dataclasses: this way the space's arguments are those the user gave.
        last = _plain(_parser(kind).parse_args(amounts_in_words([*words, *tuned_arguments]), defaults=False))
    except ArgumentError as error:
        raise SettingError(_readable(str(error), kind)) from error
    return merged(given, last)


def made_of(given: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Make settings of ``kind``; what is not in ``given``, as from :func:`read_given`, has its default.

    Raises:
        SettingError: a value is out of its range; the message names the key.
    """
    groups = {name: group(**given.get(name, {})) for name, group in groups_of(kind).items()}
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
    refuse_unfit(recorded, kind, where)
    typed, free = without_free_values(recorded, kind)
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_class_arguments(kind)
    try:
        given = parser.parse_object(typed, defaults=False).as_dict()
        return {**{name: given[name] for name in typed}, **free}
    except ArgumentError as error:
        raise SettingError(f"{where}: {_readable(str(error))}") from error


def _files_and_words(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the settings files, ``--config FILE`` or ``--config=FILE``, from the other words."""
    files: list[str] = []
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--config":
            following = next(rest, None)
            if following is None:
                raise SettingError("--config: the name of a settings file must follow")
            files.append(following)
        elif word.startswith("--config="):
            files.append(word.removeprefix("--config="))
        else:
            words.append(word)
    return files, words


def _read_file(path: str, kind: type) -> dict[str, Any]:
    content = read_yaml(path)
    shown = readable(path, 300)
    if not isinstance(content, dict):
        raise SettingError(f"{shown}: not a file of settings, which has keys like seed and search")
    return given_in(content, kind, shown)


def given_in(content: Mapping[str, Any], kind: type, shown: str) -> dict[str, Any]:
    """Return the settings of a document that is read already, as :func:`read_given` returns those of a file.

    Args:
        content: values by name, those of a group in a dictionary of their own.
        kind: dataclass of the settings.
        shown: where they are from, for messages.

    Raises:
        SettingError: a key is unknown, or a value has the wrong type.
    """
    content = with_amounts(content)
    refuse_unfit(content, kind, shown)
    typed, free = without_free_values(content, kind)
    try:
        return merged(_plain(_parser(kind).parse_object(typed, defaults=False)), free)
    except ArgumentError as error:
        raise SettingError(f"{shown}: {_readable(str(error))}") from error


@functools.cache
def _parser(kind: type) -> ArgumentParser:
    parser = ArgumentParser(prog="snas-nni", exit_on_error=False, add_help=False, allow_abbrev=False)
    for name, group in groups_of(kind).items():
        if "class_path" in {each.name for each in fields(group)}:
            # jsonargparse reads a dataclass with a field class_path as something else
            # and imports the class as soon as its arguments are added together.
            for key, hint in get_type_hints(group).items():
                if get_origin(hint) is not ClassVar:
                    parser.add_argument(f"--{name}.{key}", type=hint)
        else:
            parser.add_class_arguments(group, name)
    flags = {each.name for each in fields(kind) if each.name == "quiet"}
    parser.add_class_arguments(kind, skip={*groups_of(kind), *flags})
    for name in flags:
        parser.add_argument(f"--{name}", action="store_true")
    return parser


def _known_keys(kind: type) -> list[str]:
    # In the order of their declaration: a set's order changes from run to run, and with it what is suggested.
    groups = groups_of(kind)
    keys = [field.name for field in fields(kind) if field.name not in groups]
    for name, group in groups.items():
        keys += [f"{name}.{field.name}" for field in fields(group)]
    return keys


def _plain(given: Namespace) -> dict[str, Any]:
    # At the top, None is what was not given.
    return {name: value for name, value in given.as_dict().items() if value is not None}


def _as_argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _readable(message: str, kind: type | None = None) -> str:
    """Reword jsonargparse's messages: on one line, without Python's type notation; with what may have been meant."""
    unknown = re.match(r"unrecognized arguments: --([^\s=]+)", message)
    near = did_you_mean(unknown.group(1), _known_keys(kind)) if unknown is not None and kind is not None else ""
    message = re.sub(r"unrecognized arguments: --([^\s=]+).*", r"there is no setting \1", message)
    message = re.sub(r"unrecognized arguments: (.*)", r"not understood: \1", message)
    message = re.sub(r"Option '([^']+)' is not accepted", r"there is no setting \1", message)
    message = re.sub(r"Group '([^']+)' does not accept option '([^']+)'", r"there is no setting \1.\2", message)
    message = re.sub(r'Parser key "([^"]+)":', r"\1:", message)
    message = re.sub(r"<class '([^']+)'>", r"\1", message)
    return readable(" ".join(message.split()), 400) + near
