"""One checker of ranges: what it lets pass, what it says, and that subclasses keep the range."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from snas_nni.errors import SettingError
from snas_nni.ranges import check_ranges, ranged, require, require_one_of


@dataclass(frozen=True, kw_only=True)
class Settings:
    share: float | None = ranged(0.5, above=0, at_most=1)
    pair: tuple[float, float] = ranged((0.0, 0.0), at_least=0)
    kind: Literal["a", "b"] = "a"
    free: float = -7.0

    def __post_init__(self):
        check_ranges(self, "group.")


@dataclass(frozen=True, kw_only=True)
class Others(Settings):
    share: float | None = 0.25
    more: int = ranged(2, at_least=2, whole=True)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (None, {"above": 0}),
        (0, {"at_least": 0}),
        (1, {"at_most": 1}),
        (1e-9, {"above": 0}),
        (3, {"at_least": 1, "whole": True}),
        (-5.0, {}),
    ],
)
def test_values_inside(value, bounds):
    require("key", value, **bounds)


@pytest.mark.parametrize(
    ("value", "bounds", "allowed"),
    [
        (0, {"above": 0}, "above 0"),
        (1, {"below": 1, "at_least": 0}, "at least 0 and below 1"),
        (1.1, {"at_most": 1}, "at most 1"),
        (1.0, {"at_least": 1, "whole": True}, "a whole number and at least 1"),
        (math.nan, {}, "a finite number"),
        (math.inf, {}, "a finite number"),
        (math.nan, {"at_least": 0}, "at least 0"),
    ],
)
def test_values_outside(value, bounds, allowed):
    with pytest.raises(SettingError, match=f"^key is {value}, but must be {allowed}$"):
        require("key", value, **bounds)


def test_words():
    require_one_of("key", "a", ("a", "b"))
    with pytest.raises(SettingError, match="^key is 'c', but must be one of a, b$"):
        require_one_of("key", "c", ("a", "b"))


@pytest.mark.parametrize("kind", [Settings, Others])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 0}, "group.share is 0, but must be above 0 and at most 1"),
        ({"pair": (0.0, -1.0)}, "group.pair is -1.0, but must be at least 0"),
        ({"kind": "c"}, "group.kind is 'c', but must be one of a, b"),
    ],
)
def test_a_subclass_with_other_defaults_keeps_the_ranges(kind, given, message):
    with pytest.raises(SettingError) as caught:
        kind(**given)
    assert str(caught.value) == message
    assert kind(share=None).share is None


def test_a_subclass_adds_ranges():
    assert Others().share == 0.25
    with pytest.raises(SettingError, match=r"group\.more is 1"):
        Others(more=1)
