"""Going on without a terminal that is gone: every line written to it would be an error."""

from __future__ import annotations

import errno
import os
import sys

__all__ = ["leave_closed_terminal"]


def leave_closed_terminal() -> bool:
    """Let output go nowhere if it went to a terminal that was closed; other output is left as it is.

    Returns:
        Whether there was such a terminal.
    """
    if sys.platform == "win32":
        return False
    import termios

    closed = False
    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] != errno.EIO:  # a file, or a pipe
                continue
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
            closed = True
    return closed
