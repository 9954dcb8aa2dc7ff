import torch
from torch import nn

from trials.bench.recalibration import recalibrated


def test_statistics_are_means_over_the_batches_and_nothing_else_changes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[0].running_mean.fill_(7.0)
    batches = [(torch.randn(5, 3), None), (torch.randn(5, 3) + 1, None)]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = recalibrated(model, batches)

    means = torch.stack([inputs.mean(0) for inputs, _ in batches]).mean(0)
    variances = torch.stack([inputs.var(0) for inputs, _ in batches]).mean(0)
    torch.testing.assert_close(result[0].running_mean, means)
    torch.testing.assert_close(result[0].running_var, variances)
    assert result[0].momentum == 0.1
    assert not result.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    torch.testing.assert_close(result[1].weight, model[1].weight, rtol=0, atol=0)


def test_a_model_without_batch_norm_stays():
    model = nn.Linear(2, 2)
    result = recalibrated(model, [(torch.ones(1, 2), None)])
    torch.testing.assert_close(result(torch.ones(1, 2)), model(torch.ones(1, 2)))
