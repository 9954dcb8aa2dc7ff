"""Errors that tell a user what is wrong, where, and what to do about it."""

from __future__ import annotations

__all__ = ["HiddenPackageError", "NotFiniteError", "SettingError", "SnasError", "UnsupportedSpaceError"]


class SnasError(Exception):
    """Base of every error this project raises on purpose."""


class SettingError(SnasError, ValueError):
    """A setting has a value outside its documented range."""


class UnsupportedSpaceError(SnasError, TypeError):
    """The model space holds something that this strategy cannot search.

    The message names the label or module, the reason, and the way out.
    """


class HiddenPackageError(SnasError, ImportError):
    """A package of the user's has the name of one that this project needs, and was imported first."""


class NotFiniteError(SnasError):
    """A loss, or a weight, became NaN or infinite; going on would waste the time."""
