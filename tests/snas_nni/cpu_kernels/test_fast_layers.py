"""Quickening a network concerns all its slow layers and ends with all of them."""

import torch
from torch import nn

from snas_nni.cpu_kernels.fast_layers import use_fast_kernels


def test_it_quickens_all_kinds_and_undoes_all():
    network = nn.Sequential(
        nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2, groups=4), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    )
    untouched = [dict(vars(layer)) for layer in network]
    undo = use_fast_kernels(network)
    changed = [set(vars(layer)) - set(before) for layer, before in zip(network, untouched, strict=True)]
    assert changed == [{"forward"}, {"_conv_forward"}, {"forward"}, set(), {"forward"}]
    undo()
    assert [set(vars(layer)) for layer in network] == [set(before) for before in untouched]


def test_a_network_gives_the_same_and_learns_the_same():
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=8),
        nn.BatchNorm2d(8), nn.Conv2d(8, 12, 1, stride=2), nn.BatchNorm2d(12),
    ).double().to(memory_format=torch.channels_last)  # fmt: skip
    images = torch.randn(9, 3, 32, 32, dtype=torch.float64).contiguous(memory_format=torch.channels_last)

    def outcome():
        plain.zero_grad()
        output = plain(images)
        output.square().sum().backward()
        return [output.detach(), *(p.grad.clone() for p in plain.parameters())]

    expected = outcome()
    undo = use_fast_kernels(plain)
    found = outcome()
    undo()
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
