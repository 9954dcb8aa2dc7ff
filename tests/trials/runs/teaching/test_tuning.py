"""A short training leaves BatchNorm statistics that are those of the weights at its end."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from trials.runs.teaching.tuning import _measure_statistics, statistics_lag


@pytest.mark.parametrize(
    ("momentum", "steps", "lags"),
    [(0.01, 298, True), (0.01, 299, False), (0.001, 1000, True), (0.1, 1, False), (None, 1, False)],
)
def test_statistics_lag_while_a_twentieth_is_old(momentum, steps, lags):
    """0.99^298 is 0.05004, and 0.99^299 is 0.0495."""
    assert statistics_lag(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, momentum=momentum)), steps) == lags


def test_without_batch_norm_nothing_lags():
    assert not statistics_lag(nn.Linear(2, 2), 1)


def test_they_are_measured_on_training_batches_and_momenta_stay():
    network = nn.Sequential(nn.BatchNorm1d(2, momentum=0.01))
    network[0].running_mean.fill_(100.0)
    inputs = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 3
    _measure_statistics(network, DataLoader(TensorDataset(inputs, torch.zeros(64)), batch_size=16))
    torch.testing.assert_close(network[0].running_mean, inputs.mean(0))
    assert network[0].momentum == 0.01
    assert not network.training
