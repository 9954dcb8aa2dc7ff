"""Candidates that begin with the same ReLU, or are the same pooling, compute it once, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from snas_nni.cpu_kernels.shared_layers import run_shared, share_in_passes, sharing, use_shared_relu


def candidates(count=3):
    torch.manual_seed(0)
    return nn.ModuleList(
        nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)) for _ in range(count)
    ).double()


def inputs(seed=1):
    drawn = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.requires_grad_()


@pytest.fixture
def computed(monkeypatch):
    """How often a ReLU was computed."""
    found = []
    monkeypatch.setattr(
        "torch.nn.functional.relu", lambda given, inplace=False: found.append(given) or torch.clamp(given, min=0)
    )
    return found


def test_the_same_tensor_goes_through_once(computed):
    network, given = candidates(), inputs()
    use_shared_relu(network)
    with sharing():
        outputs = [each(given) for each in network]
        assert len(computed) == 1
        network[0](inputs(2))
        assert len(computed) == 2
    assert all(torch.equal(output, each(given)) for output, each in zip(outputs, network, strict=True))


def test_outputs_and_gradients_are_those_without_sharing():
    def outcome(network):
        given = inputs()
        with sharing():
            sum(each(given).square().sum() * weight for weight, each in enumerate(network, 1)).backward()
        return [given.grad, *(parameter.grad for parameter in network.parameters())]

    plain, shared = candidates(), candidates()
    use_shared_relu(shared)
    for mine, theirs in zip(outcome(shared), outcome(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_what_was_changed_in_place_goes_through_again():
    network = candidates(2)
    use_shared_relu(network)
    given = inputs() * 1  # no leaf, so that it may be changed
    with sharing():
        first = network[0][0](given)
        given.neg_()
        second = network[1][0](given)
    assert torch.equal(first, inputs().relu())
    assert torch.equal(second, (-inputs()).relu())


def test_a_tensor_that_is_gone_gives_nothing_to_the_one_in_its_place(computed):
    network = candidates(2)
    use_shared_relu(network)
    with sharing():
        for seed in range(20):  # identities come again
            given = inputs(seed)
            assert torch.equal(network[seed % 2][0](given), given.clamp(min=0))
            del given
    assert len(computed) == 20


def test_nested_blocks_are_one_and_the_end_forgets(computed):
    network, given = candidates(2), inputs()
    use_shared_relu(network)
    with sharing():
        network[0](given)
        with sharing():
            network[1](given)
        network[0](given)
    assert len(computed) == 1
    with sharing():
        network[0](given)
    assert len(computed) == 2


def test_without_gradients_and_outside_of_a_block_each_computes_its_own(computed):
    network, given = candidates(2), inputs()
    use_shared_relu(network)
    for each in network:
        each(given)
    with sharing(), torch.no_grad():
        for each in network:
            each(given)
    assert len(computed) == 4


def test_a_candidate_that_is_checkpointed_by_itself_runs_again_as_it_ran():
    def outcome(use):
        network, given = candidates(), inputs()
        use(network)
        with sharing():
            outputs = [network[0](given), *(checkpoint(each, given, use_reentrant=False) for each in network[1:])]
        sum(output.square().sum() for output in outputs).backward()
        return given.grad

    torch.testing.assert_close(outcome(use_shared_relu), outcome(lambda _: None), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "first_two",
    [
        (nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1)),
        (nn.ReLU(), nn.Dropout(inplace=True)),  # would change what others read
        (nn.ReLU6(), nn.Conv2d(4, 4, 1)),
        (nn.BatchNorm2d(4), nn.ReLU()),
    ],
)
def test_others_stay_as_they_are(first_two):
    network = nn.Sequential(*first_two)
    use_shared_relu(network)
    assert all("forward" not in vars(layer) for layer in network)


def test_a_deep_copy_is_bound_to_itself_and_undoing_ends_it():
    network = candidates(1)
    undo = use_shared_relu(network)
    copied = copy.deepcopy(network)
    assert copied[0][0].forward.__self__ is copied[0][0]
    undo()
    assert "forward" not in vars(network[0][0])


@pytest.mark.parametrize("make", [nn.MaxPool2d, nn.AvgPool2d])
def test_equal_poolings_of_a_tensor_are_one(make):
    first, equal, other = make(3, 1, padding=1), make(3, 1, padding=1), make(3, 2, padding=1)
    given = inputs()
    with sharing():
        result = run_shared(first, given)
        assert run_shared(equal, given) is result
        assert run_shared(other, given).shape == (2, 4, 3, 3)
        assert run_shared(first, inputs()) is not result
    assert run_shared(equal, given) is not result
    assert torch.equal(result, equal(given))


def test_poolings_that_differ_in_what_they_do_not_print_are_two():
    given = inputs()
    poolings = [
        nn.AvgPool2d(3, 1, padding=1),
        nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
        nn.AvgPool2d(3, 1, padding=1, divisor_override=2),
    ]
    with sharing():
        for each in poolings:
            assert torch.equal(run_shared(each, given), each(given))


def test_a_pooling_that_somebody_watches_runs_itself():
    seen = []
    poolings = [nn.MaxPool2d(3), nn.MaxPool2d(3)]
    for each in poolings:
        each.register_forward_hook(lambda *_: seen.append(1))
    given = inputs()
    with sharing():
        for each in poolings:
            run_shared(each, given)
    assert len(seen) == 2


def test_other_candidates_run_themselves():
    network, given = candidates(2), inputs()
    with sharing():
        assert torch.equal(run_shared(network[0], given), network[0](given))
        assert run_shared(len, [1, 2]) == 2


class Twice(nn.Module):
    """Two layers that read one tensor, each by itself."""

    def __init__(self, first, second):
        super().__init__()
        self.layers = nn.ModuleList([first, second])

    def forward(self, given):
        return [run_shared(layer, given) for layer in self.layers]


def test_all_that_runs_in_a_pass_shares_and_nothing_stays():
    network, given = Twice(nn.MaxPool2d(3), nn.MaxPool2d(3)), inputs()
    first, second = network(given)
    assert first is not second
    undo = share_in_passes(network)
    first, second = network(given)
    assert first is second
    assert network(given)[0] is not first  # another pass
    undo()
    first, second = network(given)
    assert first is not second


def test_a_pass_that_fails_ends_its_sharing():
    network = Twice(nn.MaxPool2d(3), nn.MaxPool2d(99))
    share_in_passes(network)
    with pytest.raises(RuntimeError):
        network(inputs())
    outside = nn.MaxPool2d(3)
    given = inputs()
    assert run_shared(outside, given) is not run_shared(outside, given)


def test_other_arguments_are_passed_on():
    assert run_shared(nn.MaxPool2d(3), input=(given := inputs())).shape == (2, 4, 1, 1)
    assert run_shared(nn.Bilinear(5, 5, 2).double(), given, given).shape == (2, 4, 5, 2)
