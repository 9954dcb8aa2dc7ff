"""Mixed batches: shares of the classes that sum to one, and images that are what the shares say."""

import pytest
import torch

from trials.training.mixing import Mixing


def batch(seed=0):
    """Images that hold their own number, each of another class."""
    torch.manual_seed(seed)
    return torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8), torch.arange(6)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.5, 0.0), (0.0, 1.0), (0.5, 1.0)])
def test_the_mean_of_an_image_is_that_of_its_labels(mixup, cutmix):
    seen = set()
    for seed in range(8):
        images, shares = Mixing(6, mixup, cutmix)(*batch(seed))
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        # An image holds its class's number everywhere, so that its mean is the mean of the labels.
        torch.testing.assert_close(images.mean((1, 2, 3)), shares @ torch.arange(6.0))
        parts = {len(image.unique()) for image in images}
        seen.add("mixup" if parts == {1} else "cutmix")
    assert seen == {name for name, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha}


def test_a_seed_decides():
    first, second = (Mixing(6, 0.5, 1.0)(*batch(3)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
