"""Progress: one plain line at a time, with the time that is left."""

import sys
import time

import pytest

from trials.progress import NotebookProgress, Progress, progress_here, readable_duration


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

    code = "from trials.progress import Progress; p = Progress(); p.say('one'); import os; os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"one\n"  # nothing was held back in a buffer, and no terminal codes


def test_quiet(capsys):
    progress = Progress(quiet=True)
    progress.say("nothing")
    progress.counter("images", 2, every_seconds=0).advance()
    assert capsys.readouterr().out == ""


def test_epochs_are_lines_in_a_terminal_and_one_line_in_a_notebook(capsys, monkeypatch):
    lines = [f"epoch {number}/3  child {number}0.0%" for number in (1, 2, 3)]
    assert type(progress_here()) is Progress
    for number, line in enumerate(lines, 1):
        progress_here().epoch(line, number, 3)
    assert capsys.readouterr().out == "\n".join([*lines, ""])

    class Kernel:
        kernel = None

    ipython = type(time)("IPython")
    ipython.get_ipython = Kernel
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    progress = progress_here()
    assert type(progress) is NotebookProgress
    progress.say("data: digits")
    for number, line in enumerate(lines, 1):
        progress.epoch(line, number, 3)
    first, shown = capsys.readouterr().out.split("\n", 1)
    assert first == "data: digits"
    assert shown.count("\n") == 1  # carriage returns move one line, which stays in the end
    last = shown.rstrip("\n").split("\r")[-1]
    assert last.startswith("100%|")
    assert lines[-1] in last
    quiet = progress_here(quiet=True)
    quiet.epoch(lines[0], 1, 3)
    assert capsys.readouterr().out == ""


def test_a_search_that_goes_on_begins_its_line_where_it_was_cut(capsys):
    progress = NotebookProgress()
    progress.epoch("epoch 3/4", 3, 4)
    assert " 75%|" in capsys.readouterr().out
    progress.epoch("epoch 4/4", 4, 4)
    assert "100%|" in capsys.readouterr().out
