from exports import (
    PUBLISHED,
    Architecture,
    ArchitectureFileError,
    InputExample,
    OnnxExportError,
    OnnxReport,
    SpaceReference,
    architecture_schema,
    build,
    export_onnx,
    load,
    load_weights,
    open_predictor,
    published,
    read_architecture,
    save,
    save_source,
    save_weights,
)
from exports.conformance import SpaceReport, check_space
from exports.pictures import Picture, cell_picture, choices_picture, pictures_of, save_pictures
from exports.report import show_report, write_report
from search_spaces import FromModel, NasBench201Space, SnasCellSpace, from_arch_string, space_from, to_arch_string
from snas_nni.derivation.child import build_child, derive_child
from snas_nni.errors import SettingError, SnasError, UnsupportedSpaceError
from snas_nni.one_shot.loop.plain import SearchLoop
from snas_nni.one_shot.temperature import TemperatureSchedule
from snas_nni.regularizer import Regularizer, RegularizerTerm
from snas_nni.resources import (
    Budget,
    BudgetReport,
    Convention,
    CostModel,
    LatencyTable,
    ResourcePenalty,
    cost_range,
    count_child,
    count_supernet,
    measure_latency,
    penalty_level,
    register_operation,
)
from snas_nni.resumable_loader import ResumableLoader
from snas_nni.strategy import SNAS
from trials.data import ClassificationData, LabelledTensors
from trials.in_python import SearchRun, search

__all__ = [
    "PUBLISHED",
    "SNAS",
    "Architecture",
    "ArchitectureFileError",
    "Budget",
    "BudgetReport",
    "ClassificationData",
    "Convention",
    "CostModel",
    "FromModel",
    "InputExample",
    "LabelledTensors",
    "LatencyTable",
    "NasBench201Space",
    "OnnxExportError",
    "OnnxReport",
    "Picture",
    "Regularizer",
    "RegularizerTerm",
    "ResourcePenalty",
    "ResumableLoader",
    "SearchLoop",
    "SearchRun",
    "SettingError",
    "SnasCellSpace",
    "SnasError",
    "SpaceReference",
    "SpaceReport",
    "TemperatureSchedule",
    "UnsupportedSpaceError",
    "architecture_schema",
    "build",
    "build_child",
    "cell_picture",
    "check_space",
    "choices_picture",
    "cost_range",
    "count_child",
    "count_supernet",
    "derive_child",
    "export_onnx",
    "from_arch_string",
    "load",
    "load_weights",
    "measure_latency",
    "open_predictor",
    "penalty_level",
    "pictures_of",
    "published",
    "read_architecture",
    "register_operation",
    "save",
    "save_pictures",
    "save_source",
    "save_weights",
    "search",
    "show_report",
    "space_from",
    "to_arch_string",
    "write_report",
]

__version__: str
