"""What several processes that train together make of a signal to one of them."""

import signal
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

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

    monkeypatch.setattr(checkpoints, "all_reduce_max", interrupted)
    assert not callback._asked(TOGETHER), "the other process goes on, so this one must not stop alone"
    monkeypatch.setattr(checkpoints, "all_reduce_max", lambda number, device: number)
    assert callback._asked(TOGETHER)
    assert stopping.requested == signal.SIGTERM


def test_a_signal_to_the_other_process_stops_this_one(monkeypatch, tmp_path, stopping):
    monkeypatch.setattr(checkpoints, "all_reduce_max", lambda number, device: int(signal.SIGINT))
    assert Checkpoints(tmp_path, stopping=stopping)._asked(TOGETHER)
    assert stopping.requested == signal.SIGINT


def test_no_signal_stops_nobody(monkeypatch, tmp_path, stopping):
    monkeypatch.setattr(checkpoints, "all_reduce_max", lambda number, device: number)
    assert not Checkpoints(tmp_path, stopping=stopping)._asked(TOGETHER)
    assert stopping.requested is None


class LogsNowAndThen(LightningModule):
    """Logs some numbers in the first and third epoch only, from everywhere a search logs from."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

    def _now_and_then(self, name, **options):
        self.log(f"{name}/always", float(self.current_epoch), **options)
        if self.current_epoch != 1:
            self.log(f"{name}/sometimes", float(self.current_epoch), **options)

    def training_step(self, batch, batch_idx):
        self._now_and_then("step", on_step=False, on_epoch=True)
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        self._now_and_then("validation")

    def on_validation_epoch_end(self):
        self._now_and_then("after_validation")

    def on_train_epoch_end(self):
        self._now_and_then("end")


def test_an_epoch_has_what_was_logged_in_it_and_nothing_of_earlier_ones(tmp_path):
    callback = Checkpoints(tmp_path)
    trainer = Trainer(
        max_epochs=3,
        callbacks=[callback],
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(torch.ones(4, 1), batch_size=2)
    trainer.fit(LogsNowAndThen(), loader, loader)
    places = ("step", "validation", "after_validation", "end")
    for epoch, row in enumerate(callback.table.rows):
        names = {f"{place}/always" for place in places}
        names |= {f"{place}/sometimes" for place in places} if epoch != 1 else set()
        assert set(row) == {"epoch", "step", *names}
        assert all(row[name] == epoch for name in names)
