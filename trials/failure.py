"""How a long run that fails is told: the cause in one line on stderr, the traceback on stdout for who wants it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from snas_nni.errors import SnasError

__all__ = ["exit_code_of"]


def exit_code_of(run: Callable[[], object], what: str) -> int:
    """Run something long and return 0, or 1 if it failed with an error that nobody foresaw.

    Args:
        run: what to do.
        what: its name for the message, such as "the search".

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    try:
        run()
    except SnasError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        print(f"error: {what} failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0
