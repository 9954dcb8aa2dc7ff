"""Chains of layers keep a part of what they kept, and give the same outputs, gradients and statistics."""

import copy
from contextvars import Context

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from search_spaces.operations import OPERATIONS
from snas_nni.cpu_kernels import batch_norm
from snas_nni.cpu_kernels.batch_norm import use_fast_batch_norm
from snas_nni.cpu_kernels.depthwise import use_fast_depthwise
from snas_nni.cpu_kernels.recomputed import side_by_side, use_recomputed


@pytest.fixture(autouse=True)
def _at_any_size(monkeypatch):
    monkeypatch.setattr(batch_norm, "_FEW", 0)
    with side_by_side():
        yield


def quicken(network):
    use_fast_depthwise(network)
    use_fast_batch_norm(network)
    return use_recomputed(network)


def separable(name="sep_conv_3x3", channels=8, stride=1, affine=True):
    torch.manual_seed(0)
    network = OPERATIONS[name](channels, stride, affine, True).double()
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d) and affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return network


def images(channels=8, order=torch.channels_last):
    drawn = torch.randn(4, channels, 10, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn.contiguous(memory_format=order).requires_grad_()


def outcome(network, given):
    """The output, the gradients of everything, and the statistics afterwards."""
    network.zero_grad()
    output = network(given)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    found = torch.autograd.grad((output * weights).sum(), [given, *network.parameters()])
    return [output.detach(), *found, *(buffer.clone() for buffer in network.buffers())]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", [8, 16])  # BatchNorm of ours and of PyTorch's
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3"])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_all_is_as_without(name, stride, channels, affine, order):
    plain = separable(name, channels, stride, affine)
    changed = copy.deepcopy(plain)
    quicken(changed)
    for mine, theirs in zip(
        outcome(changed, images(channels, order)), outcome(plain, images(channels, order)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def kept(network, given):
    """How many tensors as big as the input are kept for the backward pass, the input's ReLU included."""
    output = network(given)
    found, open_nodes, seen = set(), [output.grad_fn], set()
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        open_nodes += [following for following, _ in node.next_functions]
        raw = [getattr(node, name) for name in dir(node) if name.startswith("_raw_saved")]
        for saved in [each for value in raw for each in (value if isinstance(value, tuple) else (value,))]:
            data = saved.data  # what a hook put in its place, or the tensor
            for tensor in data.sources if hasattr(data, "sources") else (data,):
                if isinstance(tensor, torch.Tensor) and tensor.shape == given.shape:
                    found.add(tensor.untyped_storage().data_ptr())
    return len(found)


@pytest.mark.parametrize(("name", "before", "after"), [("sep_conv_5x5", 6, 3), ("dil_conv_3x3", 3, 2)])
def test_only_what_must_be_is_kept(name, before, after):
    network = separable(name)
    assert kept(network, images()) == before
    undo = quicken(network)
    assert kept(network, images()) == after
    undo()
    assert kept(network, images()) == before


def test_a_candidate_by_itself_keeps_what_it_always_keeps():
    network = separable()
    quicken(network)
    assert Context().run(kept, network, images()) == 6
    with side_by_side(False):
        assert kept(network, images()) == 3  # a part of one of several


def test_each_part_is_made_again_once(monkeypatch):
    network = separable()
    quicken(network)
    output = network(images())
    made = []
    relu_ = torch.Tensor.relu_
    monkeypatch.setattr(torch.Tensor, "relu_", lambda given: made.append(given.shape) or relu_(given))
    output.sum().backward()
    assert len(made) == 1  # for the ReLU, the depthwise convolution and the pointwise one


def test_a_graph_may_be_gone_through_twice():
    network = separable()
    quicken(network)
    total = network(images()).square().sum()
    first = torch.autograd.grad(total, list(network.parameters()), retain_graph=True)
    second = torch.autograd.grad(total, list(network.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_what_was_changed_in_place_is_refused():
    network = separable()
    quicken(network)
    output = network(images())
    with torch.no_grad():
        network.depthwise2.weight.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place|modified by an inplace operation"):
        output.sum().backward()


def test_a_copy_has_weights_of_its_own():
    network = separable()
    quicken(network)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    plain = separable()
    for mine, theirs in zip(outcome(other, images()), outcome(plain, images()), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


class Checkpointed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, given):
        return checkpoint(self.inner, given, use_reentrant=False)


def test_a_part_that_runs_again_is_left_to_those_who_run_it():
    plain, changed = separable(), separable()
    quicken(changed)
    # Not the statistics: PyTorch ends the second run after the last tensor that it needs, before BatchNorm or after it.
    count = 2 + len(list(plain.parameters()))
    found, expected = (outcome(Checkpointed(network), images())[:count] for network in (changed, plain))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_in_evaluation_gradients_are_as_without_and_batch_statistics_in_nobodys_way():
    plain, changed = separable(), separable()
    outcome(plain, images())  # statistics that are not those of the next batch
    changed.load_state_dict(plain.state_dict())
    quicken(changed)
    given = (images() * 3 + 1).detach().requires_grad_()
    for mine, theirs in zip(outcome(changed.eval(), given), outcome(plain.eval(), given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(changed(given), plain(given))


def test_under_autocast_gradients_are_as_without():
    def rounded(network):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(images().float())
        gradients = torch.autograd.grad(output.float().square().sum(), list(network.parameters()))
        return [output.float().detach(), *gradients]

    plain = separable(channels=8).float()
    changed = copy.deepcopy(plain)
    use_recomputed(changed)  # the same BatchNorm for both: it rounds where PyTorch's does
    use_fast_batch_norm(plain)
    use_fast_batch_norm(changed)
    for mine, theirs in zip(rounded(changed), rounded(plain), strict=True):
        assert torch.equal(mine, theirs)


def test_other_layers_are_left_alone():
    network = nn.Sequential(
        nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU()
    )
    use_recomputed(network)
    assert not any("forward" in vars(layer) for layer in network)


def test_second_derivatives_are_as_without():
    def twice(network):
        (first,) = torch.autograd.grad(network(given := images()).pow(3).sum(), given, create_graph=True)
        return torch.autograd.grad(first.square().sum(), list(network.parameters()))

    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1)
    ).double()
    changed = copy.deepcopy(plain)
    use_recomputed(changed)
    for mine, theirs in zip(twice(changed), twice(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
