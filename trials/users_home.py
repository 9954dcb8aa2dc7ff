"""What libraries would leave behind in a user's home folder, or send away, without being asked."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

__all__ = ["leave_home_alone"]


def leave_home_alone() -> None:
    """Let this process's libraries write nothing into the home folder; to be called before they are imported.

    matplotlib, which comes along with torchmetrics, would put a list of fonts and an empty folder there. It gets a
    temporary folder, unless it has one in the home folder already. ONNX Runtime sends what is run to its makers and
    keeps a database and an identifier for that (see :mod:`exports`).
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "MPLCONFIGDIR" in os.environ or "matplotlib" in sys.modules or any(map(Path.exists, _matplotlibs_own())):
        return
    with contextlib.suppress(OSError):
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="snas-nni-")
        atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)


def _matplotlibs_own() -> list[Path]:
    """Where matplotlib keeps its settings and its list of fonts by itself."""
    home = Path(os.path.expanduser("~"))
    config, cache = (os.environ.get(f"XDG_{name.upper()}_HOME") or home / f".{name}" for name in ("config", "cache"))
    return [Path(config) / "matplotlib", Path(cache) / "matplotlib", home / ".matplotlib"]
