"""A conformance check that the author of a model space runs in their own tests.

For example::

    from snas_nni.testing import check_space

    def test_my_space():
        check_space(MySpace, lambda: torch.randn(2, 3, 32, 32))

The check rebuilds and exports children too, so its code is :mod:`exports.conformance`; it is handed on from here by
name, since this package knows nothing of that one.
"""

from __future__ import annotations

from typing import Any

from snas_nni.importing.own_packages import own_name

__all__ = ["SpaceReport", "check_space"]  # noqa: F822  type checkers read testing.pyi


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return own_name(f"exports.conformance.{name}")
