"""Where a search stands: the temperature follows the Trainer's counters."""

import math
from types import SimpleNamespace

import pytest

from snas_nni import SettingError
from snas_nni.one_shot.progress import (
    Position,
    is_settling,
    is_warming_up,
    position_of,
    settling_epochs,
    temperature_now,
)
from snas_nni.one_shot.settings import SearchSettings


def trainer(epoch=0, epochs=10, batch=0, batches=5):
    """Where a Trainer with these numbers stands."""
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=batch))
    return position_of(
        SimpleNamespace(current_epoch=epoch, max_epochs=epochs, num_training_batches=batches, fit_loop=loop)
    )


def test_it_is_read_off_a_trainer():
    assert trainer(3, 7, 2, 5) == Position(3, 7, 2, 5)


def settings(per="epoch", warmup=0, settle=0):
    return SearchSettings(final_temperature=0.1, temperature_interval=per, warmup_epochs=warmup, settle_epochs=settle)


def test_by_epoch_it_falls_after_each_and_ends_at_the_final_one():
    found = [temperature_now(trainer(epoch), settings()) for epoch in range(10)]
    assert found == pytest.approx([1 - 0.09 * (epoch + 1) for epoch in range(10)])
    assert found[-1] == 0.1


def test_by_step_each_batch_counts():
    found = [temperature_now(trainer(e, 2, b), settings("step")) for e in range(2) for b in range(5)]
    assert found == pytest.approx([1 - 0.09 * step for step in range(1, 11)])


def test_between_epochs_it_stays_where_the_last_batch_was():
    """Lightning counts one on at the end of an epoch, before it is asked for the epoch's metrics."""
    assert temperature_now(trainer(0, 2, 5), settings("step")) == temperature_now(trainer(0, 2, 4), settings("step"))


def test_warming_up_keeps_the_initial_temperature_and_shortens_the_fall():
    known = settings(warmup=4)
    assert [is_warming_up(trainer(epoch), known) for epoch in (0, 3, 4, 9)] == [True, True, False, False]
    assert temperature_now(trainer(3), known) == 1.0
    assert temperature_now(trainer(4), known) == pytest.approx(1 - 0.9 / 6)
    assert temperature_now(trainer(9), known) == 0.1


def test_settling_shortens_the_fall_and_stays_at_its_end():
    known = settings(warmup=2, settle=3)
    assert [is_settling(trainer(epoch), known) for epoch in (0, 6, 7, 9)] == [False, False, True, True]
    assert temperature_now(trainer(2), known) == pytest.approx(1 - 0.9 / 5)
    assert [temperature_now(trainer(epoch), known) for epoch in (6, 7, 9)] == [0.1, 0.1, 0.1]


def test_by_default_a_third_of_the_epochs_after_warming_up_settles():
    lengths = {(10, 0): 3, (4, 0): 0, (12, 2): 3, (50, 0): 16}
    for (epochs, warmup), expected in lengths.items():
        assert settling_epochs(settings(warmup=warmup, settle=None), epochs) == expected


@pytest.mark.parametrize(
    ("where", "how", "words"),
    [
        (trainer(epochs=None), settings(), "the Trainer needs max_epochs"),
        (trainer(epochs=-1), settings(), "the Trainer needs max_epochs"),
        (trainer(epochs=4), settings(warmup=4), "warmup_epochs is 4, but the Trainer has max_epochs=4"),
        (trainer(epochs=6), settings(warmup=3, settle=3), "settle_epochs is 3 and warmup_epochs 3"),
        (trainer(batches=math.inf), settings("step"), "the training loader does not say"),
    ],
)
def test_a_search_whose_length_is_not_known_is_refused(where, how, words):
    with pytest.raises(SettingError, match=words):
        temperature_now(where, how)
