"""Types of numbers that a precision changes are put back, each to what it was."""

import torch
from torch import nn

from snas_nni.supernet.evaluating import suited
from trials.training.number_types import in_types, number_types, put_types


class Mixed(nn.Module):
    """Numbers of several types on purpose, one of them in no state_dict."""

    def __init__(self):
        super().__init__()
        self.layer, self.tied = nn.Linear(3, 3), nn.Linear(3, 3)
        self.tied.weight = self.layer.weight
        self.norm = nn.BatchNorm1d(3)
        self.turn = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        self.register_buffer("table", torch.arange(3, dtype=torch.float64), persistent=False)


def test_everything_gets_its_own_type_back() -> None:
    network = Mixed()
    types, before = number_types(network), network.state_dict()
    assert {types[name] for name in ("turn", "table", "norm.num_batches_tracked")} == {
        torch.complex64,
        torch.float64,
        torch.int64,
    }
    half = Mixed().bfloat16()
    assert half.table.dtype == torch.bfloat16
    assert number_types(put_types(half, types)) == types
    assert half.tied.weight is half.layer.weight
    kept = in_types({name: tensor.clone().to(torch.bfloat16) for name, tensor in before.items()}, types)
    assert {name: tensor.dtype for name, tensor in kept.items()} == {name: types[name] for name in kept}
    assert number_types(put_types(half, {})) == types


def test_inputs_follow_weights_of_one_type_only() -> None:
    rows, tokens = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64)
    assert suited(rows, nn.Linear(3, 3).double()).dtype == torch.float64
    assert suited(tokens, nn.Linear(3, 3).double()) is tokens
    assert suited(rows, Mixed()) is rows
    assert suited(rows, nn.Identity()) is rows
