"""YAML that means more than it says, or is not YAML at all."""

import os
import resource
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_dump

from snas_nni.errors import SettingError
from snas_nni.plain_yaml import MAX_BYTES, read_yaml

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(plain)
def test_plain_values_come_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.yml"
    path.write_text(safe_dump(value, allow_unicode=True), encoding="utf-8")
    if "18446744073709551616" in str(value):
        with pytest.raises(SettingError, match="more than 64 bits"):
            read_yaml(path)
    else:
        assert read_yaml(path) == value


LAUGHS = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
LAUGHS += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n".join(LAUGHS), "line 5, column 5: stands for more than 50000 values"),
        ("a: &a [*a]", "line 1"),
        ("a: &a {b: *a}", "line 1"),
        ("[" * 50_000, "line 1, column 34: nested deeper than 32"),
        ("[" * 34 + "]" * 34, "nested deeper than 32"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key a is given twice"),
        ("? [a]\n: 1", "line 1, column 3: a key must be text"),
        ("on: 1", "the key True must be text"),
        ("a: {b: [1, .nan]}", r"a\.b\[1\]: is nan, which is not a finite number"),
        ("a: 0x" + "f" * 900, "a: is an integer of 3600 bits"),
        ("a: " + "9" * 5000, "line 1, column 4: a number or date of 5000 characters"),
        ("a: " + ":".join(["59"] * 300_000), "line 1, column 4: a number or date of 899999 characters"),
        ("a: !!binary aGk=", "a: is a bytes"),
        ("a: !!set {x}", "a: is a set"),
        ("a: !!int", "does not fit its tag"),
        ("a: !!python/name:os.system", "line 1, column 4: .*python/name"),
        ("a: \x1b[2J", "not YAML"),
        ("--- a\n--- b", "line 2"),
    ],
)
def test_what_is_refused_names_the_place_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SettingError, match=words) as refused:
        read_yaml(path)
    assert str(refused.value).startswith(str(path))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 800
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_devices_pipes_and_large_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "zero.yml").symlink_to("/dev/zero")
    (tmp_path / "large.yml").write_bytes(b" " * (MAX_BYTES + 1))
    refusals: list[str] = []

    def read_all() -> None:
        for name in ("pipe.yml", "zero.yml", "large.yml", "none.yml", "a\0b"):
            with pytest.raises(SettingError, match="cannot be read") as refused:
                read_yaml(tmp_path / name)
            refusals.append(str(refused.value))

    thread = threading.Thread(target=read_all, daemon=True)  # a pipe that is opened waits for ever
    thread.start()
    thread.join(20)
    assert len(refusals) == 5
    assert "not a regular file" in refusals[0]
    assert "not a regular file" in refusals[1]
    assert "more than 1048576 bytes" in refusals[2]
