"""The tests of managers share an experiment that does nothing."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
