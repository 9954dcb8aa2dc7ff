"""``python -m snas_nni``: the same as the command ``snas-nni``."""

import sys

from snas_nni.command import main

if __name__ == "__main__":
    sys.exit(main())
