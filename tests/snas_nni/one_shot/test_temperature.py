"""Schedules of the temperature."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snas_nni.errors import SettingError
from snas_nni.one_shot.temperature import TemperatureSchedule


@pytest.mark.parametrize(("epoch", "published"), [(0, 0.99353), (74, 0.515), (149, 0.03)])
def test_the_published_values_of_150_epochs(epoch, published):
    schedule = TemperatureSchedule()
    assert schedule((epoch + 1) / 150) == pytest.approx(published, abs=5e-6)
    closed_form = 0.03 + (1 - (epoch + 1) / 150) * (1 - 0.03)
    assert schedule((epoch + 1) / 150) == pytest.approx(closed_form, abs=1e-12)


@given(st.sampled_from(["linear", "exponential", "cosine"]), st.floats(1e-3, 1), st.floats(1, 10))
def test_the_last_epoch_is_exactly_the_final_temperature(shape, final, initial):
    assert TemperatureSchedule(initial, final, shape)(1.0) == final


@given(
    st.sampled_from(["linear", "exponential", "cosine"]),
    st.floats(1e-3, 0.5),
    st.floats(0.5, 5),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_it_falls_from_initial_to_final(shape, final, initial, progress):
    schedule = TemperatureSchedule(initial, final, shape)
    values = [schedule(p) for p in sorted(progress)]
    assert all(earlier >= later - 1e-12 for earlier, later in itertools.pairwise(values))
    assert all(final - 1e-12 <= value <= initial + 1e-12 for value in values)
    assert schedule(0.0) == pytest.approx(initial)


@pytest.mark.parametrize(
    ("shape", "half_way"), [("linear", 0.515), ("exponential", math.sqrt(0.03)), ("cosine", 0.515)]
)
def test_half_way(shape, half_way):
    assert TemperatureSchedule(shape=shape)(0.5) == pytest.approx(half_way)


def test_a_quarter_of_a_cosine():
    assert TemperatureSchedule(shape="cosine")(0.25) == pytest.approx(0.03 + 0.97 * (1 + math.cos(math.pi / 4)) / 2)


@pytest.mark.parametrize("shape", ["linear", "exponential", "cosine"])
@pytest.mark.parametrize("progress", [0.0, 0.01, 0.25, 0.5, 0.9, 1.0])
def test_the_time_left_is_the_inverse(shape, progress):
    schedule = TemperatureSchedule(initial=2.0, final=0.05, shape=shape)
    assert schedule.time_left(schedule(progress)) == pytest.approx(1 - progress, abs=1e-7)


def test_outside_the_fall_all_or_no_time_is_left():
    schedule = TemperatureSchedule(initial=1.0, final=0.1, shape="exponential")
    assert (schedule.time_left(3.0), schedule.time_left(0.01)) == (1.0, 0.0)
    assert TemperatureSchedule(initial=0.5, final=0.5).time_left(0.5) == 0.0


def test_a_constant_temperature():
    assert {TemperatureSchedule(0.7, 0.7, shape)(0.3) for shape in ("linear", "cosine")} == {0.7}


def test_an_own_function_is_used_as_it_is():
    schedule = TemperatureSchedule(shape=lambda progress: 3.0 - progress)
    assert [schedule(p) for p in (0.0, 0.5, 1.0)] == [3.0, 2.5, 2.0]


@pytest.mark.parametrize(("progress", "clamped"), [(-0.5, 1.0), (1.5, 0.03)])
def test_progress_is_clamped(progress, clamped):
    assert TemperatureSchedule()(progress) == clamped


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_an_own_function_that_leaves_its_range(value):
    with pytest.raises(SettingError, match=f"temperature_schedule returned {value} at progress 0.5"):
        TemperatureSchedule(shape=lambda progress: value)(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"final": 0.0}, "final_temperature is 0.0, but must be above 0 and at most 1"),
        ({"final": 2.0}, "final_temperature is 2.0, but must be above 0 and at most 1"),
        ({"initial": math.inf}, "initial_temperature is inf"),
        ({"final": math.nan}, "final_temperature is nan"),
        ({"shape": "step"}, "temperature_schedule is 'step', but must be one of linear, exponential, cosine"),
        ({"per": "batch"}, "temperature_interval is 'batch', but must be one of epoch, step"),
    ],
)
def test_errors_name_the_setting_and_its_range(arguments, message):
    with pytest.raises(SettingError, match=message):
        TemperatureSchedule(**arguments)
