"""What a search leaves behind: architecture files, weights, ONNX, and the way back to a network."""

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
