"""Settings from a file, looked at before jsonargparse sees them.

jsonargparse is made for a user's own command line: it takes text in place of a group for the path of one more file,
reads text in place of a list as YAML, and imports the module of a ``class_path`` that it meets in a value. A file that
came from elsewhere must not decide on any of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

from snas_nni.errors import SettingError
from snas_nni.files import readable
from trials.settings.suggestions import did_you_mean

__all__ = ["groups_of", "merged", "refuse_class_paths", "refuse_unfit", "without_free_values"]

LONGEST_NUMBER = 100  # as text; YAML reads 1e-3 as text


def groups_of(kind: type) -> dict[str, type]:
    """Return the fields of a settings dataclass that are dataclasses, by name."""
    return {each.name: cast(type, each.default_factory) for each in fields(kind) if is_dataclass(each.default_factory)}


def refuse_unfit(given: Mapping[str, Any], kind: type, where: str, prefix: str = "") -> None:
    """Refuse what cannot be settings of ``kind`` whatever it says, and what would make jsonargparse do more than read.

    Args:
        given: values by name, those of groups in dictionaries.
        kind: dataclass of the settings.
        where: the file, for messages.
        prefix: key of the group, with its dot.

    Raises:
        SettingError: names the file and the setting.
    """
    types, groups = get_type_hints(kind), groups_of(kind)
    for name, value in given.items():
        key = f"{where}: {prefix}{readable(name)}"
        if name not in types:
            near = did_you_mean(f"{prefix}{name}", [f"{prefix}{each}" for each in types])
            raise SettingError(f"{where}: there is no setting {prefix}{readable(name)}{near}")
        if name in groups:
            if not isinstance(value, dict):
                raise SettingError(f"{key} must be a group of settings, not {readable(value)}")
            refuse_unfit(value, groups[name], where, f"{prefix}{name}.")
        elif value is None:
            if type(None) not in get_args(types[name]):
                raise SettingError(f"{key} must not be null; leave it out for its default")
        elif is_free(types[name]):
            if not isinstance(value, dict):
                raise SettingError(f"{key} must be a group of values, not {readable(value)}")
        elif isinstance(value, str):
            if str not in (types[name], *get_args(types[name])) and len(value) > LONGEST_NUMBER:
                raise SettingError(f"{key} must not be a long text: {readable(value, 40)}")
        else:
            refuse_class_paths(value, key)


def is_free(hint: Any) -> bool:
    """Whether a setting of that type holds whatever somebody else's code wants to be told."""
    return get_origin(hint) is dict


def without_free_values(given: Mapping[str, Any], kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate the settings that have a type from those that hold any values, which nobody needs to interpret.

    Args:
        given: values that :func:`refuse_unfit` lets pass.
        kind: dataclass of the settings.

    Returns:
        Both parts, each shaped like ``given``.
    """
    types, groups = get_type_hints(kind), groups_of(kind)
    typed: dict[str, Any] = {}
    free: dict[str, Any] = {}
    for name, value in given.items():
        if name in groups:
            typed[name], inside = without_free_values(value, groups[name])
            if inside:
                free[name] = inside
        else:
            (free if is_free(types[name]) else typed)[name] = value
    return typed, free


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, groups inside groups too; where both have a value the second wins."""
    result = dict(first)
    for name, value in second.items():
        both_groups = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both_groups else value
    return result


def refuse_class_paths(value: Any, key: str) -> None:
    """Refuse a ``class_path`` anywhere in a value.

    Raises:
        SettingError: names the key.
    """
    if isinstance(value, dict):
        if "class_path" in value:
            raise SettingError(f"{key}: a value with the key class_path; values are plain, no class is made for them")
        for name, item in value.items():
            refuse_class_paths(item, f"{key}.{readable(name)}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            refuse_class_paths(item, f"{key}[{index}]")
