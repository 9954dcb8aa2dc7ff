"""Max pooling keeps the places of maxima in 16 bits, and nothing else changes."""

import pytest
import torch
from torch import nn

from snas_nni.cpu_kernels import max_pooling
from snas_nni.cpu_kernels.max_pooling import use_narrow_places


def images(side=9):
    drawn = torch.randn(3, 4, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn.requires_grad_()


def outcome(pooling, given):
    output = pooling(given)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return output, torch.autograd.grad((output * weights).sum(), given)[0]


def kept_places(pooling, given):
    """The type in which places are kept."""
    output = pooling(given)  # what is kept is gone with it
    return output.grad_fn._raw_saved_result1.data.dtype


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_is_as_without(stride):
    pooling = nn.MaxPool2d(3, stride, padding=1)
    expected = outcome(pooling, images())
    assert kept_places(pooling, images()) is torch.int64
    undo = use_narrow_places(pooling)
    assert kept_places(pooling, images()) is torch.int16
    for mine, theirs in zip(outcome(pooling, images()), expected, strict=True):
        assert torch.equal(mine, theirs)
    undo()
    assert kept_places(pooling, images()) is torch.int64


def test_the_last_place_of_the_largest_image_fits():
    given = torch.zeros(1, 1, 128, 256)
    given[..., -1, -1] = 1
    pooling = nn.MaxPool2d((128, 256))
    use_narrow_places(pooling)
    assert kept_places(pooling, given.requires_grad_()) is torch.int16
    _, gradient = outcome(pooling, given)
    assert gradient[..., -1, -1] == -1
    assert gradient.abs().sum() == 1


def test_larger_images_keep_what_they_need(monkeypatch):
    monkeypatch.setattr(max_pooling, "_PIXELS", 80)
    pooling = nn.MaxPool2d(3)
    use_narrow_places(pooling)
    assert kept_places(pooling, images()) is torch.int64


def test_places_that_are_returned_are_as_without():
    pooling = nn.MaxPool2d(3, return_indices=True)
    expected = pooling(images())
    use_narrow_places(pooling)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(pooling(images()), expected, strict=True))


def test_a_subclass_may_keep_whole_numbers_of_its_own():
    class Picking(nn.MaxPool2d):
        def forward(self, given):
            return super().forward(given.flatten(2).gather(2, torch.full((3, 4, 1), 40_000)).view(3, 4, 1, 1))

    given = torch.zeros(3, 4, 201, 200, requires_grad=True)
    pooling = Picking(1)
    use_narrow_places(pooling)
    pooling(given).sum().backward()
    assert torch.equal(given.grad.flatten(2).argmax(2), torch.full((3, 4), 40_000))
