"""``python -m snas_nni``: the same as the command ``snas-nni``."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    # By name: this package lies below the command line and knows nothing of it, so no import leads there.
    sys.exit(importlib.import_module("trials.cli").main())
