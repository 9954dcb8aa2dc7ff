"""Ready-made search spaces out of NNI's mutables: the SNAS cell space, NAS-Bench-201, and a space from any network."""

from .arch_string import from_arch_string, to_arch_string
from .from_model import FromModel, space_from
from .nasbench201 import NasBench201Space
from .operations import OPERATIONS
from .snas import SnasCellSpace

__all__ = [
    "OPERATIONS",
    "FromModel",
    "NasBench201Space",
    "SnasCellSpace",
    "from_arch_string",
    "space_from",
    "to_arch_string",
]
