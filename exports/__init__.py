"""What a search leaves behind: architecture files, weights, ONNX, and the way back to a network.

What this package offers is imported when it is first asked for: reading an architecture file needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snas_nni.lazy_imports import lazy_names

if TYPE_CHECKING:
    from exports.building import build
    from exports.errors import ArchitectureFileError, OnnxExportError
    from exports.files import load, save
    from exports.onnx_export import OnnxReport, export_onnx, read_architecture
    from exports.published_cells import PUBLISHED, published
    from exports.record import Architecture
    from exports.schema import architecture_schema
    from exports.space_reference import SpaceReference
    from exports.weights import load_weights, save_weights

__all__ = [
    "PUBLISHED",
    "Architecture",
    "ArchitectureFileError",
    "OnnxExportError",
    "OnnxReport",
    "SpaceReference",
    "architecture_schema",
    "build",
    "export_onnx",
    "load",
    "load_weights",
    "published",
    "read_architecture",
    "save",
    "save_weights",
]

_HOMES = {
    "PUBLISHED": "published_cells",
    "Architecture": "record",
    "ArchitectureFileError": "errors",
    "OnnxExportError": "errors",
    "OnnxReport": "onnx_export",
    "SpaceReference": "space_reference",
    "architecture_schema": "schema",
    "build": "building",
    "export_onnx": "onnx_export",
    "load": "files",
    "load_weights": "weights",
    "published": "published_cells",
    "read_architecture": "onnx_export",
    "save": "files",
    "save_weights": "weights",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
