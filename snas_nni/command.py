"""The command ``snas-nni``. It starts here, because ``snas_nni`` is the one name that nothing of a user's has."""

from __future__ import annotations

import sys

from snas_nni.errors import HiddenPackageError
from snas_nni.importing.own_packages import OWN_PACKAGES, claim, own_name

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code; see :func:`trials.cli.main`."""
    try:
        claim(*OWN_PACKAGES)
    except HiddenPackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(own_name("trials.cli.main")())
