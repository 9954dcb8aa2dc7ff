"""Names that spaces give to the two operations without weights that a search is watched for.

A file of its own because pictures and reports read it, which start without torch.
"""

from __future__ import annotations

__all__ = ["SKIP_NAMES", "ZERO_NAMES"]

ZERO_NAMES = frozenset({"none", "zero"})
SKIP_NAMES = frozenset({"skip_connect", "skip", "identity"})
