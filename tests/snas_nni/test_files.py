"""Bytes of files that may be anything, and texts from them that are safe to print."""

import errno
import os
import resource

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snas_nni.files import RepeatedKeyError, parse_json, read_bounded, readable, reason_of, replacing, write_atomically


@given(st.text(), st.integers(4, 200))
@example("\x1b[2J" * 100, 50)
@example("\ud800", 20)
def test_texts_become_one_printable_line_of_bounded_length(text, limit):
    shown = readable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    if text.isprintable() and len(text) <= limit:
        assert shown == text


@given(st.recursive(st.integers() | st.floats() | st.text() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_so_do_all_values(value):
    assert readable(value).isprintable()
    assert len(readable(value)) <= 120


def test_integers_that_python_does_not_write_are_described():
    assert readable(10**10_000) == "an integer of 33220 bits"
    assert readable([1, 2]) == "[1, 2]"


def test_regular_files_up_to_the_limit_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_bounded(path, 5) == read_bounded(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_bounded(path, 4)


def test_everything_else_is_refused_at_once_and_leaves_nothing_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero", "/dev/null"):
        with pytest.raises(OSError, match="not a regular file") as refused:
            read_bounded(path, 10)
        assert refused.value.strerror == "it is not a regular file"
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "absent", 10)
    # Files of /proc say that they have no bytes, and have many.
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_bounded("/proc/self/status", 10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_key_given_twice_is_named():
    assert parse_json(b'{"a": 1, "b": {"a": 2}}') == {"a": 1, "b": {"a": 2}}
    assert parse_json(b"{}") == {}
    with pytest.raises(RepeatedKeyError, match="the key a is given twice") as caught:
        parse_json(b'{"x": {"a": 1, "b": 2, "b": 2, "a": 3}}')
    assert caught.value.key == "a"


@pytest.mark.parametrize("content", [b"{", b"\xff", b"1" * 5000])
def test_other_bad_json_is_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011  the parser's own words
        parse_json(content)


def test_the_reason_is_the_systems_or_one_line():
    with pytest.raises(FileNotFoundError) as caught:
        read_bounded("/none/at/all", 1)
    assert reason_of(caught.value) == "No such file or directory"
    assert reason_of(ValueError("a\nb" * 100), 20) == readable("a\nb" * 100, 20)


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
        stream.seek(0)
        assert stream.read() == b"new"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "none" / "file", b"")
    assert caught.value.filename == str(tmp_path / "none" / "file")


def test_a_disk_without_room_is_named_by_the_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_atomically(path, b"x" * 101)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_long_name(tmp_path):
    path = tmp_path / ("x" * 255)
    with replacing(path) as stream:
        stream.write(b"content")
    assert path.read_bytes() == b"content"
