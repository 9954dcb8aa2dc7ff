"""A weighted sum does without what BatchNorm returned, and its gradients are the same."""

import weakref

import pytest
import torch
from torch import nn

from snas_nni.cpu_kernels import batch_norm
from snas_nni.cpu_kernels.batch_norm import use_fast_batch_norm
from snas_nni.cpu_kernels.unkept_outputs import UnkeptOutput, unkept
from snas_nni.supernet.weighting import weighted_sum


@pytest.fixture(autouse=True)
def _at_any_size(monkeypatch):
    monkeypatch.setattr(batch_norm, "_FEW", 0)


def candidates(channels, affine=True):
    torch.manual_seed(0)
    return [
        nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels, affine=affine, track_running_stats=affine)
        ).double()
        for _ in range(3)
    ]


def images(order=torch.channels_last):
    return torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(1)).double().contiguous(memory_format=order)


def summed(layers, given, quickened):
    """The weighted sum with its gradients, and how many tensors were kept as big as an output."""
    undo = [use_fast_batch_norm(layer) for layer in layers if quickened]
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    kept = []

    def pack(tensor):
        if tensor.shape == outputs_shape:
            kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    outputs_shape = (4, layers[0][0].out_channels, 9, 9)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = [layer(given) for layer in layers]
        total = weighted_sum(outputs, weights.unbind(), lambda: "")
        del outputs
    (total * torch.linspace(-1, 1, total.numel()).double().view_as(total)).sum().backward()
    for each in undo:
        each()
    gradients = [weights.grad, *(parameter.grad for layer in layers for parameter in layer.parameters())]
    return total.detach(), gradients, len(set(kept))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", [8, 16])  # of our kernel and of PyTorch's
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_gradients_are_equal_and_each_candidate_keeps_one_tensor_in_place_of_two(channels, affine, order):
    total, gradients, kept = summed(candidates(channels, affine), images(order), quickened=True)
    expected_total, expected, kept_before = summed(candidates(channels, affine), images(order), quickened=False)
    torch.testing.assert_close(total, expected_total, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert (kept_before, kept) == (6, 3)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", [8, 16])
def test_the_products_are_those_with_the_output(channels, affine):
    layer = candidates(channels, affine)[0].train()
    if affine:
        torch.nn.init.normal_(layer[1].weight)
        torch.nn.init.normal_(layer[1].bias)
    use_fast_batch_norm(layer)
    output = layer(images())
    found, gradient = unkept(output), torch.randn_like(output)
    statistics = None if layer[1].running_mean is None else layer[1].running_mean.clone()
    with torch.no_grad():
        torch.testing.assert_close(found.dot(gradient, *found.sources), (gradient * output).sum(), rtol=1e-9, atol=1e-9)
    assert statistics is None or torch.equal(layer[1].running_mean, statistics)  # it is no second batch


def test_what_was_changed_in_place_is_kept():
    layer = candidates(8)[0]
    use_fast_batch_norm(layer)
    output = layer(images())
    output.mul_(2)
    assert unkept(output) is None


def test_nothing_is_noted_in_evaluation_or_without_gradients():
    layer = candidates(8)[0]
    use_fast_batch_norm(layer)
    with torch.no_grad():
        assert unkept(layer(images())) is None
    assert unkept(layer.eval()(images())) is None
    assert unkept(images()) is None


def test_it_is_made_once_until_the_last_one_asked():
    made = []
    how = UnkeptOutput(lambda source: made.append(1) or source + 1, torch.ones(2))
    first = how.again()
    assert how.again() is first
    assert how.again(last=True) is first
    assert len(made) == 1
    assert torch.equal(how.again(), first)
    assert len(made) == 2


def test_a_source_that_was_changed_in_place_is_refused():
    source = torch.ones(2)
    how = UnkeptOutput(torch.neg, source)
    source.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        how.again()


def test_nothing_waits_for_a_collection_of_cycles():
    how = UnkeptOutput(torch.neg, torch.ones(2))
    gone = weakref.ref(how)
    del how
    assert gone() is None
