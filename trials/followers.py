"""Training on several devices: Lightning starts this command again for each further one, which follows the first.

A follower must not make an output folder, ask NNI for parameters or print. It reads the first one's settings.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snas_nni.errors import SettingError

__all__ = ["Lead", "lead_to_follow", "leading"]

_VARIABLE = "SNAS_NNI_LEAD"


@dataclass(frozen=True)
class Lead:
    """What a follower is told.

    Attributes:
        output: the first process's output folder, which holds its settings.yml.
        resume: the folder that is resumed; None for a new run.
    """

    output: Path
    resume: str | None


def lead_to_follow() -> Lead | None:
    """Return whom this process follows; None for the first process, and for the only one.

    Raises:
        SettingError: another launcher than Lightning's started this process beside others.
    """
    if os.environ.get("LOCAL_RANK", "0") == "0":
        return None
    text = os.environ.get(_VARIABLE)
    if text is None:
        raise SettingError("start one process only; with several devices it starts the others itself")
    document = json.loads(text)
    return Lead(Path(document["output"]), document["resume"])


@contextlib.contextmanager
def leading(lead: Lead) -> Iterator[None]:
    """Let processes that are started inside follow."""
    os.environ[_VARIABLE] = json.dumps({"output": str(lead.output), "resume": lead.resume})
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
