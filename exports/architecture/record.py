"""The record of one derived architecture: what rebuilds it, and how it was found."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.architecture.cells import cells_of
from exports.architecture.plain import as_plain, inside
from exports.architecture.schema import FORMAT, VERSION, checked_document
from exports.architecture.space_reference import SpaceReference
from exports.errors import ArchitectureFileError
from exports.example_input import InputExample
from snas_nni.importing.own_packages import own_name

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace
    from torch import nn

__all__ = ["Architecture", "count_parameters"]

RECORDED_PACKAGES = ("snas-nni", "nni", "torch")
ROUNDING = 1e-6  # softmax and entropy in float32 may pass their bounds by this much


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One architecture of a model space. Every instance is valid: construction checks it like a file.

    Attributes:
        format: always ``snas-nni/architecture``.
        version: version of the format, 1.
        space: the model space's class and constructor arguments.
        sample: the NNI sample, ``{label: value}``; tuples are kept as lists.
        cells: the derived cells, ``{cell: [{"from", "to", "op", "probability"?, "label"?}, ...]}``.
        probabilities: ``{label: {value as text: probability in [0, 1]}}``.
        entropy: ``{label: entropy in nats, at least 0}``.
        seed: seed of the search.
        settings: settings of the search, any plain values.
        versions: ``{package: version}`` of the software that made the record.
        metrics: ``{name: number}``.
        parameters: number of parameters of the child.
        input: what one input of the child looks like, as :class:`exports.example_input.InputExample` writes it; None
            if nobody said.
        weights: name of the safetensors file beside the architecture file.
        sha256: digest of that file, in hexadecimal; given exactly when ``weights`` is.
        file: where the record was loaded from or saved to; not part of the record, nor of equality.

    Raises:
        ArchitectureFileError: naming the key path that is wrong.
    """

    format: str = FORMAT
    version: int = VERSION
    space: SpaceReference
    sample: dict[str, Any]
    cells: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    probabilities: dict[str, dict[str, float]] = field(default_factory=dict)
    entropy: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    parameters: int
    input: dict[str, Any] | None = None
    weights: str | None = None
    sha256: str | None = None
    file: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # The plain copies are the record's own: changing the caller's dictionaries does not change it.
        for name, value in checked_document(self.as_document()).items():
            object.__setattr__(self, name, SpaceReference(**value) if name == "space" else value)

    def as_document(self) -> dict[str, Any]:
        """Return the record as one JSON-able dictionary, in the order of the file."""
        document = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "file"}
        if self.input is None:
            del document["input"]  # a file without it is one that earlier versions read
        document["space"] = {"class_path": self.space.class_path, "arguments": self.space.arguments}
        return document

    def _repr_html_(self) -> str:
        """Return what a notebook shows: size, numbers, pictures."""
        # By name: pictures are drawn of architectures, and imports run one way.
        shown: str = own_name("exports.pictures.picture.architecture_html")(self)
        return shown

    @property
    def input_example(self) -> InputExample | None:
        """What one input of the child looks like; None if nobody said."""
        return None if self.input is None else InputExample.from_document(self.input)

    @classmethod
    def from_document(cls, document: object, file: Path | None = None) -> Architecture:
        """Make the record from a parsed JSON document.

        Raises:
            ArchitectureFileError: naming ``file`` and the key path that is wrong.
        """
        try:
            checked = checked_document(document)
            return cls(**{**checked, "space": SpaceReference(**checked["space"])}, file=file)
        except ArchitectureFileError as error:
            raise error.in_file(file) from None

    @classmethod
    def create(
        cls,
        *,
        space: ModelSpace,
        sample: Mapping[str, Any],
        child: nn.Module,
        probabilities: Mapping[str, Mapping[Any, float]] | None = None,
        entropy: Mapping[str, float] | None = None,
        seed: int | None = None,
        settings: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        example: InputExample | None = None,
    ) -> Architecture:
        """Record what a search found.

        Args:
            space: the model space that was searched, before or after the search.
            sample: the derived NNI sample, ``{label: value}``.
            child: the frozen child; its parameters are counted.
            probabilities: ``{label: {value: probability}}``, as numbers or scalar tensors.
            entropy: ``{label: entropy in nats}``.
            seed: seed of the search.
            settings: settings of the search.
            metrics: measured numbers by free name.
            example: what one input of the child looks like.

        Raises:
            ArchitectureFileError: an argument of the space or a given value is one that JSON cannot carry.
        """
        chosen = as_plain(dict(sample), "sample")
        likelihoods = text_keyed(probabilities or {})
        return cls(
            space=SpaceReference.of(space),
            sample=chosen,
            cells=cells_of(type(space), chosen, likelihoods),
            probabilities=likelihoods,
            entropy={
                label: without_rounding(as_plain(value, inside("entropy", label)))
                for label, value in (entropy or {}).items()
            },
            seed=seed,
            settings=dict(settings or {}),
            versions=installed_versions(),
            metrics=dict(metrics or {}),
            parameters=count_parameters(child),
            input=None if example is None else example.as_document(),
        )

    def with_weights(self, weights: str | Path, sha256: str) -> Architecture:
        """Return the record with a weights file: its name (a path's last part) and its digest."""
        return replace(self, weights=Path(weights).name, sha256=sha256)


def text_keyed(probabilities: Mapping[str, Mapping[Any, float]]) -> dict[str, dict[str, float]]:
    """Return the probabilities with every candidate as text, which is what a JSON key can be."""
    result: dict[str, dict[str, float]] = {}
    for label, by_value in probabilities.items():
        key = inside("probabilities", label)
        named = result[label] = {}
        for value, probability in by_value.items():
            name = str(value)
            if name in named:
                raise ArchitectureFileError(
                    key, f"has two candidates that read {name!r}", "Give the candidates different texts"
                )
            number = as_plain(probability, inside(key, name))
            named[name] = without_rounding(number, upper=1.0)
    return result


def without_rounding(value: Any, upper: float | None = None) -> Any:
    """Move a number that passes 0 or ``upper`` by no more than rounding onto the bound."""
    if isinstance(value, float) and -ROUNDING <= value < 0:
        return 0.0
    if upper is not None and isinstance(value, float) and upper < value <= upper + ROUNDING:
        return upper
    return value


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters of ``module``, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a rebuilt child's outputs depend on."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions
