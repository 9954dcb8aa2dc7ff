"""A running experiment: a live table in a terminal, plain lines in a log file, the time that is left in both."""

import io
import time
from types import SimpleNamespace

from rich.console import Console

from trials.experiments.display import LaunchDisplay, front_of, seconds_left, status_line
from trials.experiments.trial_records import TrialRecord

FILE = SimpleNamespace(max_trials=4, concurrency=1)
NOW = 1_000_000.0
DONE = TrialRecord("a", 0, "SUCCEEDED", {"seed": 1}, {}, {"default": 0.91, "parameters": 1200}, NOW - 100, NOW - 40)
FAILED = TrialRecord("b", 1, "FAILED", {"seed": 2}, start=NOW - 40, finish=NOW - 30)
RUNS = TrialRecord("c", 2, "RUNNING", {"seed": 3}, {"default": 0.5, "epoch": 2, "epochs": 10}, start=NOW - 20)


def shown(trials, *, terminal, quiet=False):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, height=40, highlight=False, quiet=quiet)
    with LaunchDisplay(FILE, console, quiet) as display:
        display._last_time = time.monotonic() - 3600  # the last line was long ago
        display.show(trials)
        display.show(trials)
    return stream.getvalue()


def test_time_left_from_trials_that_ended():
    # One trial took 60 s: 40 s of the running one and 60 s of the fourth are to come.
    assert seconds_left(FILE, [DONE, FAILED, RUNS], NOW) == 100
    two = SimpleNamespace(max_trials=4, concurrency=2)
    assert seconds_left(two, [DONE, FAILED, RUNS], NOW) == 50


def test_time_left_from_the_epochs_of_the_first_trial():
    # 2 of 10 epochs in 20 s: 80 s of it and 3 more trials of 100 s are to come.
    assert seconds_left(FILE, [RUNS], NOW) == 380


def test_the_mark_of_the_front_is_explained_where_there_is_one():
    legend = "* no other trial reaches as much with as little (Parameters)"
    assert legend in shown([DONE, RUNS], terminal=True)
    assert "no other trial" not in shown([RUNS], terminal=True)


def test_nothing_to_go_by():
    assert seconds_left(FILE, [], NOW) is None
    assert seconds_left(SimpleNamespace(max_trials=None, concurrency=1), [DONE], NOW) is None
    assert "left" not in status_line(FILE, [], 0, NOW)


def test_the_line():
    line = status_line(FILE, [DONE, FAILED, RUNS], 100, NOW)
    assert line == "1/4 done, 1 running, 1 failed, trial 2: epoch 2 50.0%, 1m40s elapsed, about 1m40s left"


def test_a_log_file_gets_plain_lines_each_once():
    lines = shown([DONE, FAILED, RUNS], terminal=False).splitlines()
    assert lines[:2] == ["trial 0: succeeded 91.0%", "trial 1: failed"]
    assert len(lines) == 3
    assert lines[2].startswith("1/4 done, 1 running, 1 failed")
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_live_table_with_the_time_left():
    text = shown([DONE, FAILED, RUNS], terminal=True)
    assert "\x1b[" in text  # the table is drawn over itself
    assert "91.0%" in text
    assert "RUNNING" in text.upper()
    assert "left" in text


def test_quiet_shows_nothing():
    for terminal in (True, False):
        assert shown([DONE, FAILED, RUNS], terminal=terminal, quiet=True) == ""


def test_the_entropy_that_is_left_and_the_warnings_of_a_trial():
    final = {"default": 0.91, "entropy_share": 0.973, "warnings": ["The search had not decided."]}
    done = TrialRecord("a", 0, "SUCCEEDED", {}, {}, final, NOW - 100, NOW - 40)
    assert done.warnings == ["The search had not decided."]
    assert DONE.warnings == []
    assert "97%" in shown([done], terminal=True)
    assert "entropy" in shown([done], terminal=True)


def ended(number, accuracy, settings=None, **final):
    return TrialRecord(str(number), number, "SUCCEEDED", settings or {}, {}, {"default": accuracy, **final})


def test_the_front_is_what_no_other_trial_beats():
    trials = [ended(0, 0.9, params=100), ended(1, 0.8, params=50), ended(2, 0.85, params=120), ended(3, 0.8, params=60)]
    assert front_of([*trials, FAILED, RUNS]) == ("params", {0, 1})
    assert front_of([]) == ("params", set())


def test_the_front_is_over_the_cost_that_has_bounds():
    bound = {"resources.max_macs": 9, "seed": 0}
    trials = [ended(0, 0.9, bound, params=100, macs=9), ended(1, 0.8, bound, params=50, macs=20)]
    assert front_of(trials) == ("macs", {0})


def test_a_result_without_the_cost_is_on_no_front():
    assert front_of([DONE]) == ("params", {0})  # which has its parameters by another name
    assert front_of([ended(0, 0.9)]) == ("params", set())
