"""Stochastic Neural Architecture Search (ICLR 2019) as a one-shot strategy for Microsoft NNI 3.0.

Everything that a program needs is offered here, also what other packages of this project do: their names are ordinary
words, which a user's own folder may have. It is imported when it is first asked for: torch, Lightning and NNI take
seconds, which the commands that only read files do without. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

from snas_nni.importing.lazy_imports import lazy_names

__version__ = "0.1.0"  # the only place: pyproject.toml reads it from here

_HOMES = {
    "SNAS": "strategy",
    "Budget": "resources",
    "BudgetReport": "resources",
    "Convention": "resources",
    "CostModel": "resources",
    "LatencyTable": "resources",
    "Regularizer": "regularizer",
    "RegularizerTerm": "regularizer",
    "ResourcePenalty": "resources",
    "ResumableLoader": "resumable_loader",
    "SearchLoop": "one_shot.loop.plain",
    "SettingError": "errors",
    "SnasError": "errors",
    "Sweep": "resources",
    "TemperatureSchedule": "one_shot.temperature",
    "UnsupportedSpaceError": "errors",
    "build_child": "derivation.child",
    "cost_range": "resources",
    "count_child": "resources",
    "count_supernet": "resources",
    "derive_child": "derivation.child",
    "measure_latency": "resources",
    "penalty_level": "resources",
    "register_operation": "resources",
}

# What lies above this package. By name: imports run one way, and these packages import this one.
_HANDED_ON = {
    "PUBLISHED": "exports",
    "Architecture": "exports",
    "ArchitectureFileError": "exports",
    "ClassificationData": "trials.data",
    "InputExample": "exports",
    "LabelledTensors": "trials.data",
    "FromModel": "search_spaces",
    "NasBench201Space": "search_spaces",
    "space_from": "search_spaces",
    "CodeExportError": "exports",
    "CodeReport": "exports",
    "OnnxExportError": "exports",
    "OnnxReport": "exports",
    "Picture": "exports.pictures",
    "SnasCellSpace": "search_spaces",
    "SearchRun": "trials.in_python",
    "SpaceReference": "exports",
    "SpaceReport": "exports.conformance",
    "architecture_schema": "exports",
    "build": "exports",
    "cell_picture": "exports.pictures",
    "check_space": "exports.conformance",
    "choices_picture": "exports.pictures",
    "export_code": "exports",
    "export_onnx": "exports",
    "from_arch_string": "search_spaces",
    "load": "exports",
    "load_weights": "exports",
    "open_predictor": "exports",
    "pictures_of": "exports.pictures",
    "published": "exports",
    "read_architecture": "exports",
    "save": "exports",
    "save_pictures": "exports.pictures",
    "save_source": "exports",
    "show_report": "exports.report",
    "save_weights": "exports",
    "search": "trials.in_python",
    "to_arch_string": "search_spaces",
    "write_report": "exports.report",
}

__all__ = [*_HOMES, *_HANDED_ON]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, _HANDED_ON)
