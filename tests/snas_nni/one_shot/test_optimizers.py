"""The two optimisers of a search."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from snas_nni import SettingError
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.choices import OneOf
from snas_nni.one_shot.optimizers import logits_optimizer, weights_optimizer, without_parameters
from snas_nni.one_shot.settings import SearchSettings


def test_the_first_step_of_the_logits_is_adams():
    """From zero moments Adam moves each logit by the learning rate against the sign of its gradient."""
    distribution = ArchitectureDistribution({"a": OneOf("a", ("x", "y"))}, initial_std=0.0)
    settings = SearchSettings(logits_betas=(0.5, 0.9), logits_weight_decay=0.0)
    optimizer = logits_optimizer(distribution, settings, 0.25)
    logits = distribution.logits_of("a")
    logits.grad = torch.tensor([3.0, -0.5])
    optimizer.step()
    assert logits.tolist() == pytest.approx([-0.25, 0.25])
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)


def marked(optimizer, is_arch):
    optimizer.is_arch_optimizer = is_arch
    return optimizer


def test_the_evaluators_optimiser_is_the_one_that_nni_did_not_mark():
    layer = nn.Linear(2, 2)
    weights, logits = (marked(torch.optim.SGD(layer.parameters(), lr=0.1), is_arch) for is_arch in (False, True))
    automatic = SimpleNamespace(automatic_optimization=True)
    assert weights_optimizer([logits, weights], automatic) is weights
    for optimizers, module, count in (
        ([logits], automatic, 0),
        ([weights, weights], automatic, 2),
        ([weights], SimpleNamespace(automatic_optimization=False), 1),
    ):
        with pytest.raises(SettingError, match=f"exactly one optimiser, it has {count}"):
            weights_optimizer(optimizers, module)


@pytest.mark.parametrize(
    "returned",
    [
        lambda optimizer: optimizer,
        lambda optimizer: {"optimizer": optimizer, "lr_scheduler": {"interval": "step"}},
        lambda optimizer: ([optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer)]),
    ],
)
def test_parameters_are_taken_out_of_whatever_was_returned(returned):
    layer, other = nn.Linear(2, 2), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([{"params": [*layer.parameters(), other]}, {"params": [nn.Parameter(torch.ones(1))]}])
    given = returned(optimizer)
    assert without_parameters(given, [other]) is given
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 1]
    assert not any(other is parameter for group in optimizer.param_groups for parameter in group["params"])
