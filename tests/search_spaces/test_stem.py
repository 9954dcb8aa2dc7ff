import pytest
import torch

from search_spaces.stem import AuxiliaryHead, CifarStem, ImageNetStem


def test_stems_return_the_inputs_broadcast_from_rank_zero_cell():
    older, newer = CifarStem(1, 4)(torch.randn(2, 1, 8, 8))
    assert older is newer
    assert newer.shape == (2, 12, 8, 8)
    older, newer = ImageNetStem(3, 4)(torch.randn(2, 3, 64, 64))
    assert older.shape == (2, 4, 16, 16)
    assert newer.shape == (2, 4, 8, 8)


def test_auxiliary_head_has_the_published_size_and_does_not_touch_its_input(count_parameters):
    head = AuxiliaryHead(576, 10, pool_stride=3)
    assert count_parameters(head) == 476_426
    maps = torch.randn(2, 576, 8, 8)
    before = maps.clone()
    assert head(maps).shape == (2, 10)
    assert torch.equal(maps, before)


@pytest.mark.parametrize(("pool_stride", "side"), [(3, 8), (2, 7), (3, 12)])
def test_auxiliary_head_takes_its_smallest_maps_and_larger_ones(pool_stride, side):
    assert AuxiliaryHead(4, 5, pool_stride)(torch.randn(2, 4, side, side)).shape == (2, 5)


def test_auxiliary_head_says_which_maps_are_too_small():
    with pytest.raises(ValueError, match=r"maps of 2x2 and needs at least 8x8.*auxiliary=False"):
        AuxiliaryHead(4, 5, 3)(torch.randn(2, 4, 2, 2))
