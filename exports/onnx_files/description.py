"""What a network's file says about its use: input, preparation of images, class names, metric, version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import snas_nni
from exports.example_input import InputExample
from exports.onnx_files.preparation import Layout, Preparation
from snas_nni.errors import SettingError
from snas_nni.files import parse_json, readable

__all__ = ["Description", "described_by_summary", "read_description"]

PREFIX = "snas_nni."
MOST_CLASSES = 2**20
MOST_CHARACTERS = 2**24


@dataclass(frozen=True)
class Description:
    """What somebody who has the file alone needs to know.

    Attributes:
        example: one input of the file as it is: shape without the batch, number type, range.
        class_names: in the order of the outputs; empty where the outputs are no classes or the names are not known.
        preparation: of images; None where inputs are no images.
        layout: of images, as the file takes them; None where inputs are no images.
        in_graph: whether the file prepares images itself and takes them as uint8.
        metrics: what was measured of the network, such as ``{"test_accuracy": 0.93}``.
        version: of snas_nni that wrote the file.
    """

    example: InputExample
    class_names: tuple[str, ...] = ()
    preparation: Preparation | None = None
    layout: Layout | None = None
    in_graph: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    version: str = snas_nni.__version__

    def of_images(self, preparation: Preparation, layout: Layout) -> Description:
        """Return the description of a file that prepares images of 8 bits itself."""
        channels, (height, width) = self.example.shape[0], preparation.size
        shape = (channels, height, width) if layout == "NCHW" else (height, width, channels)
        return replace(self, example=InputExample(shape, "uint8", 0, 255), layout=layout, in_graph=True)

    def as_properties(self) -> dict[str, str]:
        """Return the entries of an ONNX file's ``metadata_props``: texts, JSON but for the version."""
        texts: dict[str, Any] = {
            "input": {**self.example.as_document(), "layout": self.layout},
            "class_names": list(self.class_names),
            "metrics": {name: value for name, value in self.metrics.items() if math.isfinite(value)},
        }
        if self.preparation is not None:
            texts["preparation"] = {**self.preparation.as_document(), "in_graph": self.in_graph}
        entries = {f"{PREFIX}{name}": json.dumps(value, ensure_ascii=False) for name, value in texts.items()}
        return {f"{PREFIX}version": self.version, **entries}


def described_by_summary(summary: Mapping[str, Any], example: InputExample, where: str = "summary") -> Description:
    """Return what a run's summary says of its network.

    Args:
        summary: the content of summary.json, or what will be; of an earlier version too.
        example: one input of the network.
        where: the file, for messages.

    Raises:
        SettingError: names the key that is wrong.
    """
    preparation = None
    if len(example.shape) == 3:  # images: channels, height, width
        if summary.get("preparation") is not None:
            preparation = Preparation.from_document(summary["preparation"], f"{where}: preparation")
        elif isinstance(summary.get("normalisation"), Mapping):
            # Earlier versions wrote these two only, and had no other data than images of 8 bits or from 0 to 1.
            known = {name: summary["normalisation"].get(name) for name in ("mean", "deviation")}
            document = {**known, "size": list(example.shape[1:])}
            preparation = Preparation.from_document(document, f"{where}: normalisation")
    metrics = summary.get("metrics")
    return Description(
        example,
        class_names=_names(summary.get("class_names") or [], f"{where}: class_names"),
        preparation=preparation,
        layout="NCHW" if preparation is not None else None,
        metrics=_accuracies(metrics if isinstance(metrics, Mapping) else {}),
    )


def read_description(properties: Mapping[str, str], where: str) -> Description | None:
    """Read what an ONNX file says; None if it says nothing, as files of others and of earlier versions.

    Args:
        properties: its ``metadata_props``.
        where: the file, for messages.

    Raises:
        SettingError: names the entry that is wrong.
    """
    if f"{PREFIX}input" not in properties:
        return None
    found = {name: _parsed(properties, name, where) for name in ("input", "class_names", "metrics", "preparation")}
    inputs, preparation = found["input"], found["preparation"]
    layout = inputs.pop("layout", None) if isinstance(inputs, dict) else None
    in_graph = preparation.pop("in_graph", False) if isinstance(preparation, dict) else False
    if layout not in (None, "NCHW", "NHWC") or type(in_graph) is not bool:
        raise SettingError(f"{where}: {PREFIX}input: layout must be NCHW or NHWC")
    return Description(
        InputExample.from_document(inputs, f"{where}: {PREFIX}input"),
        class_names=_names(found["class_names"] or [], f"{where}: {PREFIX}class_names"),
        preparation=None
        if preparation is None
        else Preparation.from_document(preparation, f"{where}: {PREFIX}preparation"),
        layout=layout,
        in_graph=in_graph,
        metrics=_accuracies(found["metrics"] if isinstance(found["metrics"], dict) else {}),
        version=properties.get(f"{PREFIX}version", ""),
    )


def _parsed(properties: Mapping[str, str], name: str, where: str) -> Any:
    text = properties.get(PREFIX + name)
    if text is None:
        return None
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"has more than {MOST_CHARACTERS} characters")
        return parse_json(text.encode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{where}: {PREFIX}{name} cannot be read: {readable(str(error))}") from error


def _names(given: object, where: str) -> tuple[str, ...]:
    if isinstance(given, list) and len(given) <= MOST_CLASSES and all(isinstance(name, str) for name in given):
        return tuple(given)
    raise SettingError(f"{where} must be a list of texts, not {readable(given)}")


def _accuracies(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what was measured of the network on held-out data: numbers by ``SPLIT_NAME``."""
    return {
        str(name): float(value)
        for name, value in metrics.items()
        if str(name).split("_")[0] in ("validation", "test") and type(value) in (int, float) and abs(value) < 1e30
    }
