"""A loader that goes on where it was."""

import pytest
import torch
from torch.utils.data import DataLoader

from snas_nni.resumable_loader import ResumableLoader


def make(**more):
    return ResumableLoader(list(range(11)), batch_size=2, generator=torch.Generator().manual_seed(3), **more)


def epochs(loader, count: int) -> list[list[list[int]]]:
    return [[batch.tolist() for batch in loader] for _ in range(count)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("cut", [0, 1, 3, 5, 6])
def test_the_rest_is_the_rest(shuffle: bool, cut: int, workers: int) -> None:
    whole = make(shuffle=shuffle)
    first, second, third = epochs(whole, 3)
    before = make(shuffle=shuffle)
    assert epochs(before, 1) == [first]
    batches = iter(before)
    assert [next(batches).tolist() for _ in range(cut)] == second[:cut]
    state = before.state_dict()
    after = make(shuffle=shuffle, num_workers=workers)
    after.generator.manual_seed(99)
    after.load_state_dict(state)
    rest = second[cut:] if cut < len(second) else third
    assert epochs(after, 1) == [rest]
    assert len(after) == 6
    if cut < len(second):
        assert epochs(after, 1) == [third]
    assert torch.equal(after.generator.get_state(), whole.generator.get_state())


def test_it_is_a_plain_loader_otherwise() -> None:
    plain = DataLoader(list(range(11)), batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(3))
    assert epochs(make(shuffle=True), 2) == epochs(plain, 2)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    loader = ResumableLoader(list(range(4)), shuffle=True)
    epochs(loader, 2)
    assert torch.equal(torch.get_rng_state(), before)
