"""Ready-made search spaces out of NNI's mutables: the SNAS cell space and NAS-Bench-201."""

from .arch_string import from_arch_string, to_arch_string
from .nasbench201 import NasBench201Space
from .operations import OPERATIONS
from .snas import SnasCellSpace

__all__ = ["OPERATIONS", "NasBench201Space", "SnasCellSpace", "from_arch_string", "to_arch_string"]
