"""The networks of these tests stand in a module that architecture files can name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
