"""From an architecture record back to a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from exports.architecture.record import Architecture, count_parameters
from exports.errors import ArchitectureFileError
from exports.rebuilding.check_sample import checked_sample, make_space
from exports.rebuilding.find_space import Spaces, find_space
from exports.rebuilding.weights import load_weights
from snas_nni.derivation.child import build_child
from snas_nni.files import readable
from snas_nni.supernet.frozen import completed

__all__ = ["build"]


def build(architecture: Architecture, spaces: Spaces = None, weights: bool | str | Path = True) -> nn.Module:
    """Build the child network that ``architecture`` records, on the CPU.

    Nothing is unpickled. The only code that runs is that of the space's class, and a module is imported for
    it only when it is inside ``search_spaces``, ``snas_nni`` or ``nni.nas.hub`` or when ``spaces`` names it. The
    function that makes the network of a ``FromModel`` space has to be named there too.
    The arguments are read from the file, so the file sets the size of the network.

    Args:
        architecture: the record, usually from ``load``.
        spaces: for a space of your own, or a network of your own: the space's class, the name of a package or
            module, a dotted path, or a list of these.
        weights: ``True`` for the recorded weights, from the folder of the architecture file and with the
            recorded SHA-256; ``False`` for new ones; a path for those of that safetensors file, whose digest
            is not compared.

    Raises:
        ArchitectureFileError: the space may not be imported or is not found, does not take the arguments or
            the sample, or builds a child of another size than recorded; the weights are missing or do not
            fit.

    Examples:
        >>> from snas_nni import published
        >>> architecture = published("mild")  # or load("architecture.json")
        >>> child = build(architecture, weights=False)  # new ones; a file of a search finds its own
        >>> sum(p.numel() for p in child.parameters()) == architecture.parameters
        True
    """
    try:
        child, frozen = child_of(architecture, spaces)
        if isinstance(weights, (str, Path)):
            child = with_weights(child, frozen, Path(weights))
        elif weights:
            child = with_weights(child, frozen, recorded_weights(architecture), architecture.sha256)
    except ArchitectureFileError as error:
        raise error.in_file(architecture.file) from error
    return child


def with_weights(child: nn.Module, frozen: Callable[[], nn.Module], path: Path, sha256: str | None = None) -> nn.Module:
    """Load the weights into the child, or into the frozen space where the constructor names layers otherwise.

    A constructor that leaves skips out of a Sequential (NNI's MobileNetV3Space) numbers the layers of a child that it
    builds otherwise than a search does, which replaces choices in the whole space.
    """
    try:
        load_weights(child, path, sha256)
    except ArchitectureFileError:
        other = frozen()
        if other.state_dict().keys() == child.state_dict().keys():
            raise
        load_weights(other, path, sha256)
        return other
    return child


def child_of(architecture: Architecture, spaces: Spaces) -> tuple[nn.Module, Callable[[], nn.Module]]:
    """Return the child with new weights, checked for its recorded size, and how a search makes it."""
    arguments = architecture.space.arguments
    space_class = find_space(architecture.space.class_path, arguments, spaces)
    space = make_space(space_class, arguments)
    sample = checked_sample(space, architecture.sample)
    try:
        child = build_child(space_class, arguments, sample)
    except Exception as error:
        raise ArchitectureFileError(
            "sample",
            f"{space_class.__name__} cannot be built: {type(error).__name__}: {readable(str(error))}",
            "Use the version of the space's code that the sample comes from",
        ) from error
    if count_parameters(child) != architecture.parameters:
        raise ArchitectureFileError(
            "parameters",
            f"the child has {count_parameters(child)}, and {architecture.parameters} were recorded",
            "Use the version of the space's code that the record comes from; see its versions",
        )
    return child, lambda: completed(space.freeze(sample))


def recorded_weights(architecture: Architecture) -> Path:
    """Return the path of the weights file beside the architecture file."""
    if architecture.weights is None:
        raise ArchitectureFileError(
            "weights", "the record has none", "Build with weights=False for new weights, or give a path"
        )
    if architecture.file is None:
        raise ArchitectureFileError(
            "weights",
            "the record was not loaded from a file, so the folder of its weights is unknown",
            "Give their path: build(..., weights=path)",
        )
    return architecture.file.parent / architecture.weights
