"""The published schema of architecture files, and the check of a document against it."""

from __future__ import annotations

import functools
import json
from importlib import resources
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from exports.architecture.plain import as_plain, inside
from exports.errors import ArchitectureFileError
from exports.example_input import InputExample
from snas_nni.errors import SettingError
from snas_nni.files import readable

__all__ = ["FORMAT", "VERSION", "architecture_schema", "checked_document"]

FORMAT = "snas-nni/architecture"
VERSION = 1
SCHEMA_REMEDY = "See exports/architecture.schema.json for what belongs there"


def architecture_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of architecture files."""
    text = resources.files("exports").joinpath("architecture.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@functools.cache
def document_validator() -> Validator:
    """Return the compiled validator; unlike plain JSON Schema it does not take ``3.0`` for an integer."""
    integers = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict = extend(Draft202012Validator, type_checker=integers)  # type: ignore[no-untyped-call]
    validator: Validator = strict(architecture_schema())
    return validator


def checked_document(document: object) -> dict[str, Any]:
    """Return a plain copy of ``document`` if it is a valid architecture document.

    Raises:
        ArchitectureFileError: naming the first key path that is wrong.
    """
    if not isinstance(document, dict):
        raise ArchitectureFileError("(file)", f"holds a {type(document).__name__}, not a JSON object", SCHEMA_REMEDY)
    check_format(document)
    plain: dict[str, Any] = as_plain(document, "")
    for error in document_validator().iter_errors(plain):
        raise in_words(error)
    check_class_path(plain["space"]["class_path"])
    check_weights(plain.get("weights"), plain.get("sha256"))
    check_input(plain.get("input"))
    return plain


def check_input(document: Any) -> None:
    """Refuse inputs that nobody could make; the schema cannot say what belongs together."""
    if document is not None:
        try:
            InputExample.from_document(document)
        except SettingError as error:
            raise ArchitectureFileError("input", str(error).removeprefix("input: "), SCHEMA_REMEDY) from None


def check_format(document: dict[str, Any]) -> None:
    """Refuse other formats and versions first: nothing else in them means what it seems to mean."""
    if document.get("format") != FORMAT:
        raise ArchitectureFileError(
            "format",
            f"is {readable(repr(document.get('format')))}, not {FORMAT!r}",
            "Give a file that was written by snas_nni.save",
        )
    version = document.get("version")
    if version != VERSION or not isinstance(version, int) or isinstance(version, bool):
        raise ArchitectureFileError(
            "version",
            f"is {readable(repr(version))}, and this snas-nni reads version {VERSION} only",
            "Install the snas-nni that wrote the file, or save the architecture again with this one",
        )


def in_words(error: ValidationError) -> ArchitectureFileError:
    """Turn the schema's error into one that names the key path and needs no knowledge of JSON Schema."""
    key = ""
    for part in error.absolute_path:
        key = inside(key, part)
    instance: Any = error.instance
    demanded: Any = error.validator_value
    if error.validator == "additionalProperties":
        properties = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        unknown = next(name for name in instance if name not in properties)
        return ArchitectureFileError(
            inside(key, readable(unknown)),
            "is an unknown key",
            f"Known keys there are {', '.join(properties)}",
        )
    if error.validator == "required":
        missing = next(name for name in demanded if name not in instance)
        return ArchitectureFileError(inside(key, missing), "is missing", SCHEMA_REMEDY)
    if error.validator == "type":
        wanted = demanded if isinstance(demanded, str) else " or ".join(demanded)
        return ArchitectureFileError(readable(key), f"must be {wanted}, not {readable(repr(instance))}", SCHEMA_REMEDY)
    return ArchitectureFileError(readable(key), readable(error.message, 200), SCHEMA_REMEDY)


def check_class_path(class_path: str) -> None:
    """Refuse what is not dotted Python names; the schema's pattern cannot say that."""
    if not all(part.isidentifier() for part in class_path.split(".")):
        raise ArchitectureFileError(
            "space.class_path",
            f"{readable(class_path)!r} is not a dotted Python name",
            "Write it as package.module.Class",
        )


def check_weights(weights: str | None, sha256: str | None) -> None:
    """Refuse weights outside the folder of the architecture file, and weights without a digest."""
    if (weights is None) != (sha256 is None):
        raise ArchitectureFileError(
            "sha256" if sha256 is None else "weights",
            "is missing, while the other of weights and sha256 is given",
            "Give both (snas_nni.save_weights returns the digest) or neither",
        )
    if weights is None:
        return
    plain_name = PurePosixPath(weights).name == weights == PureWindowsPath(weights).name
    if not plain_name or weights in (".", "..") or not weights.isprintable() or weights != weights.strip():
        raise ArchitectureFileError(
            "weights",
            f"{readable(weights)!r} is not a plain file name",
            "Put the weights in the folder of the architecture file and give their name only",
        )
    if sha256 is not None and len(sha256) != 64:  # "$" in a Python pattern lets a final newline pass
        raise ArchitectureFileError("sha256", "is not 64 hexadecimal digits", SCHEMA_REMEDY)
