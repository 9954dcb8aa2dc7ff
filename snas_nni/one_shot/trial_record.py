"""What NNI knows of the trial that a search runs in, kept as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import nni.trial

__all__ = ["trial_record_kept"]


@contextmanager
def trial_record_kept() -> Iterator[None]:
    """Put the trial's parameters, and the number of its next intermediate result, back after the ``with`` block.

    NNI runs a one-shot search as a trial of its own inside the process and leaves that one's record behind: what the
    outer trial reports afterwards would be filed under the parameters of none.
    """
    record, sequence = nni.trial._params, nni.trial._intermediate_seq
    try:
        yield
    finally:
        nni.trial._params = record
        nni.trial._intermediate_seq = sequence
