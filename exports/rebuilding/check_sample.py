"""Is a recorded sample one of the space's? And back from JSON values to the space's own candidates."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from nni.mutable import Categorical, CategoricalMultiple, Mutable, SampleValidationError
from nni.mutable.annotation import MutableAnnotation
from nni.nas.nn.pytorch import ModelSpace

from exports.architecture.plain import as_plain, inside
from exports.architecture.space_reference import constructor_of
from exports.errors import ArchitectureFileError
from exports.rebuilding.size_limits import bounded_size
from snas_nni.files import readable

__all__ = ["checked_sample", "make_space"]

SAMPLE_REMEDY = "Use the space, arguments and version of the code that the sample comes from"


def make_space(space_class: type[ModelSpace], arguments: Mapping[str, Any]) -> ModelSpace:
    """Make the space to ask it for its choices: without memory for weights where its constructor allows that.

    The global random state is left as it was, so a child built next has the weights it would have had.

    Raises:
        ArchitectureFileError: the constructor does not take the arguments, or they ask for too large a network.
    """
    try:
        inspect.signature(constructor_of(space_class)).bind(None, **arguments)
    except TypeError as error:
        raise ArchitectureFileError(
            "space.arguments", f"{space_class.__name__}: {error}", "Give the constructor's own arguments"
        ) from error
    with torch.random.fork_rng(devices=[]), bounded_size("space.arguments"):
        try:
            with torch.device("meta"):
                return space_class(**arguments)
        except ArchitectureFileError:  # too large
            raise
        except Exception:  # such as a constructor that reads values of the tensors it makes
            try:
                return space_class(**arguments)
            except ArchitectureFileError:
                raise
            except Exception as error:
                raise ArchitectureFileError(
                    "space.arguments",
                    f"{space_class.__name__} refused them: {type(error).__name__}: {readable(str(error))}",
                    "Give arguments that the constructor takes",
                ) from error


def checked_sample(space: ModelSpace, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``sample`` with the space's own candidates in place of their JSON forms (tuples, say).

    Raises:
        ArchitectureFileError: a label is unknown or missing, or a value is not among its label's candidates.
    """
    choices = space.simplify()
    # A choice of several may also be written as one yes or no for each candidate.
    split_choices = space.simplify(lambda mutable: not isinstance(mutable, CategoricalMultiple))
    for label in sample:
        if label not in choices and label not in split_choices:
            raise ArchitectureFileError(
                inside("sample", readable(label)),
                "is not a label of the space",
                f"Its labels are {readable(', '.join(choices), 300)}",
            )
    translated = dict(sample)
    for label, mutable in choices.items():
        if label in sample:
            translated[label] = candidate_of(mutable, label, sample[label])
    for label, mutable in choices.items():
        problem = violation(mutable, translated)
        if problem is None:
            continue
        missing = label not in sample and not isinstance(mutable, MutableAnnotation)
        raise ArchitectureFileError(
            inside("sample", label), "is missing" if missing else readable(problem), SAMPLE_REMEDY
        )
    return translated


def violation(mutable: Mutable, sample: Mapping[str, Any]) -> str | None:
    """Return NNI's words on why ``mutable`` refuses ``sample``, or ``None``."""
    try:
        error = mutable.check_contains(sample)
    except (SampleValidationError, TypeError) as raised:  # some mutables raise what they should return
        error = raised
    return None if error is None else str(error)


def candidate_of(mutable: Mutable, label: str, value: Any) -> Any:
    """Return the candidate, or list of candidates, of ``mutable`` that has the JSON form ``value``."""
    if isinstance(mutable, Categorical):
        return matching(mutable.values, label, value)
    if isinstance(mutable, CategoricalMultiple):
        if not isinstance(value, list):
            raise ArchitectureFileError(
                inside("sample", label),
                f"is {readable(repr(value))}, not a list of candidates",
                f"Give a list of some of {readable(mutable.values)}",
            )
        return [matching(mutable.values, label, each) for each in value]
    return value


def matching(candidates: list[Any], label: str, value: Any) -> Any:
    """Return the candidate with the JSON text of ``value``: ``true`` is not 1, nor is a text a number."""
    wanted = json_text(value)
    for candidate in candidates:
        if json_text(candidate) == wanted:
            return candidate
    raise ArchitectureFileError(
        inside("sample", label),
        f"is {readable(repr(value))}, which is not among the candidates {readable(candidates, 300)}",
        SAMPLE_REMEDY,
    )


def json_text(value: Any) -> str | None:
    """Return the JSON text of ``value``, or ``None`` for a value that has none."""
    try:
        return json.dumps(as_plain(value, "value"), sort_keys=True)
    except ArchitectureFileError:
        return None
