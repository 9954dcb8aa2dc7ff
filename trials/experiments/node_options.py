"""What Node.js loads into NNI's manager before NNI's own code, so that it is not open to everyone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["node_options"]

_FOLDER = Path(__file__).parent
_GUARD = _FOLDER / "refuse_foreign_requests.cjs"
_LOOPBACK = _FOLDER / "listen_on_loopback.cjs"


def node_options(before: str, everywhere: bool = False) -> str:
    """Return the value of ``NODE_OPTIONS`` with which NNI's manager is protected.

    Other Node.js programs are not touched: the files look at which program they are loaded into.

    Args:
        before: the value of ``NODE_OPTIONS`` so far, which is kept.
        everywhere: let the manager listen on all addresses of the machine; requests of foreign pages are refused also
            then.
    """
    words = [before.strip()] if before.strip() else []
    for file in (_GUARD,) if everywhere else (_GUARD, _LOOPBACK):
        escaped = str(file).replace("\\", "\\\\").replace('"', '\\"')
        option = f'--require "{escaped}"'
        if option not in before:
            words.append(option)
    return " ".join(words)
