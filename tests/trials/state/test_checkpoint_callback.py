"""What several processes that train together make of a signal to one of them."""

import signal
from types import SimpleNamespace

import pytest
import torch

from trials.state import checkpoint_callback as checkpoints
from trials.state.checkpoint_callback import Checkpoints
from trials.state.signals import Stopping

TOGETHER = SimpleNamespace(world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu")))


@pytest.fixture
def stopping():
    found = Stopping()
    found.training(True)
    return found


def test_a_signal_that_comes_while_the_processes_agree_counts_at_the_next_step(monkeypatch, tmp_path, stopping):
    callback = Checkpoints(tmp_path, stopping=stopping)

    def interrupted(number, device):
        stopping._on_signal(signal.SIGTERM, None)
        return number  # the other process has none, and this one's was read before it came

    monkeypatch.setattr(checkpoints, "largest", interrupted)
    assert not callback._asked(TOGETHER), "the other process goes on, so this one must not stop alone"
    monkeypatch.setattr(checkpoints, "largest", lambda number, device: number)
    assert callback._asked(TOGETHER)
    assert stopping.requested == signal.SIGTERM


def test_a_signal_to_the_other_process_stops_this_one(monkeypatch, tmp_path, stopping):
    monkeypatch.setattr(checkpoints, "largest", lambda number, device: int(signal.SIGINT))
    assert Checkpoints(tmp_path, stopping=stopping)._asked(TOGETHER)
    assert stopping.requested == signal.SIGINT


def test_no_signal_stops_nobody(monkeypatch, tmp_path, stopping):
    monkeypatch.setattr(checkpoints, "largest", lambda number, device: number)
    assert not Checkpoints(tmp_path, stopping=stopping)._asked(TOGETHER)
    assert stopping.requested is None
