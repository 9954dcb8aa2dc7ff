"""The second signal ends a process that waits for another one, whose main thread handles no signal at all."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

# Locks a lock of the C library twice: like a collective operation, it waits without Python and goes on after signals.
DEAF = """
import ctypes, multiprocessing, os, subprocess, sys, time
from trials.state.signals import Stopping
stopped = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
os.kill(stopped.pid, 19)
with Stopping() as stopping:
    stopping.training(True)
    print(stopped.pid, flush=True)
    library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)
"""


@pytest.mark.parametrize(("numbers", "code"), [((signal.SIGTERM, signal.SIGTERM), 143), ((1, signal.SIGINT), 130)])
def test_a_process_that_waits_for_another(numbers: tuple[int, int], code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True) as process:
        other = psutil.Process(int(process.stdout.readline()))
        time.sleep(0.5)  # until it is deaf
        process.send_signal(numbers[0])
        time.sleep(0.5)
        assert process.poll() is None, "one signal lets the step end"
        process.send_signal(numbers[1])
        assert process.wait(timeout=20) == code
    deadline = time.monotonic() + 20
    while other.is_running() and other.status() != psutil.STATUS_ZOMBIE:  # a kill takes a moment
        assert time.monotonic() < deadline
        time.sleep(0.05)


FORKED = """
import os, signal
from trials.state.signals import Stopping
with Stopping() as stopping:
    stopping.training(True)
    process = os.fork()
    if process == 0:  # a loader's, which gets the Ctrl-C of the terminal too
        os.kill(os.getpid(), signal.SIGINT)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGINT)
    os.waitpid(process, 0)
    import time
    time.sleep(0.5)
    print("still there", stopping.requested)
"""


def test_signals_to_processes_that_it_forked_do_not_count() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "still there 2\n"), done.stderr


def test_afterwards_signals_are_as_before() -> None:
    from trials.state.signals import Stopping

    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    for _ in range(2):
        with Stopping():
            pass
    assert signal.set_wakeup_fd(before) == before
    with Stopping() as stopping:
        stopping.training(True)
        os.kill(os.getpid(), signal.SIGTERM)  # one in each block
    assert stopping.requested == signal.SIGTERM
