"""The verb's tests report on runs that the report's own tests write."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "exports" / "report"))
