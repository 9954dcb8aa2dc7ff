"""Signals: at once where nothing trains, at the step's end where something does, and what the second one does."""

import os
import signal
import subprocess
import sys

import pytest

from trials.state.signals import StoppedError, Stopping, ignore_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_outside_training_a_signal_stops_at_once(number: int, code: int) -> None:
    with pytest.raises(StoppedError) as caught, Stopping():
        os.kill(os.getpid(), number)
        pytest.fail("went on")
    assert caught.value.exit_code == code


def test_in_training_it_waits_to_be_asked() -> None:
    with Stopping() as stopping:
        stopping.training(True)
        stopping.raise_if_requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.requested == signal.SIGTERM
        with pytest.raises(StoppedError):
            stopping.raise_if_requested()


def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Stopping():
        ignore_signals()
        os.kill(os.getpid(), signal.SIGTERM)  # does nothing
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_second_signal_lets_a_clean_up_end_where_it_is_asked_to() -> None:
    cleaned = False
    with pytest.raises(StoppedError) as caught, Stopping(second_quits=False):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned = True
    assert cleaned
    assert caught.value.number == signal.SIGINT


def test_else_it_quits_at_once() -> None:
    program = (
        "import os, signal\nfrom trials.state.signals import Stopping\n"
        "with Stopping() as stopping:\n"
        "    stopping.training(True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still there', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('too long')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "still there\n")
    assert done.stderr == "stopping after this step, with a checkpoint; once more to quit at once\n"
