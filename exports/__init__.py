"""What a search leaves behind: architecture files, weights, ONNX, and the way back to a network.

What this package offers is imported when it is first asked for: reading an architecture file needs no torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from snas_nni.importing.lazy_imports import lazy_names

# From 1.32 on ONNX Runtime tells its makers of every session, and leaves an identifier and a database in the home
# folder for that. Whoever wants it sets this to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from exports.architecture.files import load, save
    from exports.architecture.published_cells import PUBLISHED, published
    from exports.architecture.record import Architecture
    from exports.architecture.schema import architecture_schema
    from exports.architecture.space_reference import SpaceReference
    from exports.code.export import CodeReport, export_code
    from exports.errors import ArchitectureFileError, CodeExportError, OnnxExportError
    from exports.example_input import InputExample
    from exports.onnx_files.export import OnnxReport, export_onnx, read_architecture
    from exports.onnx_files.prediction import open_predictor
    from exports.rebuilding.build import build
    from exports.rebuilding.source_file import save_source
    from exports.rebuilding.weights import load_weights, save_weights

__all__ = [
    "PUBLISHED",
    "Architecture",
    "ArchitectureFileError",
    "CodeExportError",
    "CodeReport",
    "InputExample",
    "OnnxExportError",
    "OnnxReport",
    "SpaceReference",
    "architecture_schema",
    "build",
    "export_code",
    "export_onnx",
    "load",
    "load_weights",
    "open_predictor",
    "published",
    "read_architecture",
    "save",
    "save_source",
    "save_weights",
]

_HOMES = {
    "PUBLISHED": "architecture.published_cells",
    "Architecture": "architecture.record",
    "ArchitectureFileError": "errors",
    "CodeExportError": "errors",
    "CodeReport": "code.export",
    "InputExample": "example_input",
    "OnnxExportError": "errors",
    "OnnxReport": "onnx_files.export",
    "SpaceReference": "architecture.space_reference",
    "architecture_schema": "architecture.schema",
    "build": "rebuilding.build",
    "export_code": "code.export",
    "export_onnx": "onnx_files.export",
    "load": "architecture.files",
    "load_weights": "rebuilding.weights",
    "open_predictor": "onnx_files.prediction",
    "published": "architecture.published_cells",
    "read_architecture": "onnx_files.export",
    "save": "architecture.files",
    "save_source": "rebuilding.source_file",
    "save_weights": "rebuilding.weights",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
