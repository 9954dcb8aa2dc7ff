"""A short training leaves BatchNorm statistics that are those of the weights at its end."""

import pytest
import torch
from torch import nn

from trials.runs.teaching.tuning import statistics_follow


def network():
    return nn.Sequential(
        nn.BatchNorm1d(2, momentum=0.01), nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=None), nn.Linear(2, 2)
    )


@pytest.mark.parametrize(("steps", "expected"), [(30, 1 - 0.05 ** (1 / 30)), (5, 0.1), (1, 0.1), (1000, 0.01)])
def test_slow_layers_get_the_least_momentum_that_forgets(steps, expected):
    made = network()
    with statistics_follow(made, steps):
        assert made[0].momentum == pytest.approx(expected)
        assert (made[1].momentum, made[2].momentum) == (0.1, None)
    assert made[0].momentum == 0.01


def test_what_was_before_has_at_most_a_twentieth_of_the_statistics():
    made = network().train()
    made[0].running_mean.fill_(100.0)
    inputs = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    inputs -= inputs.mean(0)
    with statistics_follow(made, 40):
        for _ in range(40):
            made(inputs)
    torch.testing.assert_close(made[0].running_mean, torch.full((2,), 5.0), rtol=1e-3, atol=1e-3)


def test_momenta_come_back_after_an_error():
    made = network()
    with pytest.raises(KeyError), statistics_follow(made, 10):
        raise KeyError
    assert made[0].momentum == 0.01
