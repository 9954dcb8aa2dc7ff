"""What a user may have meant by a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for a word that is near to a known one, or nothing.

    A dotted key is also compared by its last part: ``epochs`` is near to ``search.epochs``. Of several with one last
    part, the first of ``known`` is told, so that the order of ``known`` says which matters most.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    if not near:
        last = {key.rpartition(".")[2]: key for key in reversed(known)}
        near = [last[key] for key in difflib.get_close_matches(word.rpartition(".")[2], list(last), n=1, cutoff=0.75)]
    return f"; did you mean {near[0]}?" if near else ""
