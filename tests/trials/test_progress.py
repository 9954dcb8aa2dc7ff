"""Progress: one plain line at a time, with the time that is left."""

import time

import pytest

from trials.progress import Progress, readable_duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (-3, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_durations(seconds, text):
    assert readable_duration(seconds) == text


def test_a_count_says_how_far_it_is_and_how_long_it_takes(capsys, monkeypatch):
    clock = iter([100.0, 101.0, 102.5, 104.0, 104.1])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    counter = Progress().counter("images", 40)
    for _ in range(4):
        counter.advance()
    # After 2.5 seconds 2 of 40 are done; the next line comes 2 seconds after that one at the earliest.
    assert capsys.readouterr().out == "images: 2/40, 48s left\n"


def test_lines_are_plain_and_come_at_once(tmp_path):
    import subprocess
    import sys

    code = "from trials.progress import Progress; p = Progress(); p.say('one'); import os; os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"one\n"  # nothing was held back in a buffer, and no terminal codes


def test_quiet(capsys):
    progress = Progress(quiet=True)
    progress.say("nothing")
    progress.counter("images", 2, every_seconds=0).advance()
    assert capsys.readouterr().out == ""
