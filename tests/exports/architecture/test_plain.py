"""What JSON can carry goes through unchanged, what comes close is converted, all else is named by its place."""

import json
import math
from enum import IntEnum

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exports import ArchitectureFileError
from exports.architecture.plain import MAX_DEPTH, as_plain, inside

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


class Size(IntEnum):
    LARGE = 7


@given(PLAIN)
def test_plain_values_stay_and_survive_json(value):
    assert as_plain(value, "key") == value
    assert json.loads(json.dumps(as_plain(value, "key"))) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, "x")), [1, [2, "x"]]),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (torch.tensor(True), True),
        (torch.tensor(2.0), 2.0),
        (Size.LARGE, 7),
        ({"a": (np.bool_(False),)}, {"a": [False]}),
    ],
)
def test_what_comes_close_is_converted(value, expected):
    found = as_plain(value, "key")
    assert found == expected
    assert json.loads(json.dumps(found)) == expected
    assert type(found) in (int, float, bool, list, dict)


def test_copies_do_not_share_containers():
    value = {"list": [1]}
    found = as_plain(value, "key")
    value["list"].append(2)
    assert found == {"list": [1]}


@pytest.mark.parametrize(
    ("value", "key", "problem"),
    [
        (math.nan, "key", "is nan, which is not a finite number"),
        ({"a": [0, math.inf]}, "key.a[1]", "is inf"),
        (torch.tensor(math.nan), "key", "is nan"),
        (2**64, "key", "more than 64 bits"),
        (-(2**63) - 1, "key", "more than 64 bits"),
        ("\ud800", "key", "half of a surrogate pair"),
        ({"\udfff": 1}, "key", "half of a surrogate pair"),
        ({1: 2}, "key", "has the key 1, which is not text"),
        ({"x": object()}, "key.x", "is of type object, which JSON cannot carry"),
        (b"bytes", "key", "is of type bytes"),
        (torch.zeros(2), "key", "is of type Tensor"),
        ({1, 2}, "key", "is of type set"),
    ],
)
def test_what_json_cannot_carry_is_named(value, key, problem):
    with pytest.raises(ArchitectureFileError) as caught:
        as_plain(value, "key", "Do something else")
    assert caught.value.key == key
    assert problem in caught.value.problem
    assert caught.value.remedy == "Do something else"


def test_the_depth_is_bounded():
    def nested(depth):
        return [nested(depth - 1)] if depth else 0

    assert as_plain(nested(MAX_DEPTH), "key") == nested(MAX_DEPTH)
    with pytest.raises(ArchitectureFileError, match=f"nested deeper than {MAX_DEPTH} levels"):
        as_plain(nested(MAX_DEPTH + 1), "key")
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ArchitectureFileError, match="nested deeper"):
        as_plain(endless, "key")


def test_places_are_written_as_paths():
    assert inside("", "cells") == "cells"
    assert inside(inside("cells", "normal"), 0) == "cells.normal[0]"
