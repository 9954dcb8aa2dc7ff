"""Colours by the family of an operation, for light and dark pages.

The hues are those of Okabe and Ito, which stay apart for color-blind readers; names are written on every edge
too, so that nothing is said by color alone.
"""

from __future__ import annotations

from snas_nni.distribution.operation_names import SKIP_NAMES, ZERO_NAMES

__all__ = ["FAMILIES", "PALETTE", "family_of"]

PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#14181f"),
    "ink": ("#1b1f24", "#e8ebef"),
    "muted": ("#59636e", "#a3adb8"),
    "faint": ("#c3cad1", "#434c57"),
    "separable": ("#0067a8", "#56b4e9"),
    "dilated": ("#a3407c", "#e58ec0"),
    "convolution": ("#3d4ec2", "#97a6ff"),
    "pooling": ("#b54b00", "#f39c4d"),
    "skip": ("#00734f", "#3ccf9f"),
    "other": ("#5b5f66", "#b4bac2"),
}
"""Name of a color: its value on a light and on a dark page."""

FAMILIES = {
    "separable": "separable convolution",
    "dilated": "dilated convolution",
    "convolution": "other convolution",
    "pooling": "pooling",
    "skip": "skip",
    "other": "other operation",
}


def family_of(operation: str) -> str:
    """Return the family of an operation by its name: ``zero``, or a key of ``FAMILIES``."""
    name = operation.lower()
    if name in ZERO_NAMES:
        return "zero"
    if name in SKIP_NAMES or "skip" in name or "identity" in name:
        return "skip"
    for part, family in (("pool", "pooling"), ("dil", "dilated"), ("sep", "separable"), ("conv", "convolution")):
        if part in name:
            return family
    return "other"
