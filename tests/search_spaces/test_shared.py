"""Work that candidates share is done once, and changes nothing but the time."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import model_context
from torch import nn

from search_spaces import OPERATIONS, SnasCellSpace
from search_spaces import shared as module
from search_spaces.shared import SharedAvgPool, SharedMaxPool, SharedReLU, shared_work

PAIRS = {
    "relu": (SharedReLU(), nn.ReLU()),
    "max_pool": (SharedMaxPool(3, 1, padding=1), nn.MaxPool2d(3, 1, padding=1)),
    "max_pool_2": (SharedMaxPool(3, 2, padding=1), nn.MaxPool2d(3, 2, padding=1)),
    "avg_pool": (
        SharedAvgPool(3, 1, padding=1, count_include_pad=False),
        nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
    ),
}
shared_and_plain = pytest.mark.parametrize(("shared", "plain"), PAIRS.values(), ids=PAIRS.keys())


def inner(seed=0):
    """A tensor within a graph, as the inputs of a cell's edges are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 6, 6, generator=generator, dtype=torch.float64).requires_grad_() * 1


@shared_and_plain
def test_gives_what_the_plain_module_gives(shared, plain):
    weights = [torch.randn_like(plain(inner())) for _ in range(3)]

    def run(layer):
        x = inner()
        x.retain_grad()
        with shared_work():
            outputs = [layer(x) for _ in weights]
        sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()
        return outputs[0].detach(), x.grad

    torch.testing.assert_close(run(shared), run(plain))


@shared_and_plain
def test_computes_once_and_apart_for_each_input(shared, plain):
    with shared_work():
        x, other = inner(1), inner(2)
        result = shared(x)
        assert copy.deepcopy(shared)(x) is result  # another module that does the same
        torch.testing.assert_close(shared(other), plain(other))
        assert shared(x) is result


def test_different_work_on_one_input_is_kept_apart():
    with shared_work():
        x = inner()
        for shared, plain in PAIRS.values():
            torch.testing.assert_close(shared(x), plain(x))
        counting, not_counting = (SharedAvgPool(3, 1, padding=1, count_include_pad=c) for c in (True, False))
        assert not torch.equal(counting(x), not_counting(x))


@shared_and_plain
def test_outside_of_a_block_nothing_is_remembered(shared, plain):
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    for _ in range(2):  # a second backward through a remembered result would fail
        shared(x).sum().backward()
    fixed = torch.randn(2, 3, 6, 6)
    shared(fixed)
    assert shared(fixed.requires_grad_()).requires_grad


@shared_and_plain
def test_without_gradients_each_module_computes_its_own(shared, plain):
    with torch.no_grad(), shared_work():
        x = torch.randn(2, 3, 6, 6)
        assert shared(x) is not shared(x)


@shared_and_plain
def test_blocks_are_apart_and_a_nested_one_leaves_the_outer_alone(shared, plain):
    x = inner()
    with shared_work():
        first = shared(x)
        with shared_work():
            assert shared(x) is not first
        assert shared(x) is first
    with shared_work():
        assert shared(x) is not first


@shared_and_plain
def test_keeps_nothing_alive_after_the_block(shared, plain):
    x = inner()
    with shared_work():
        result = shared(x)
    references = [weakref.ref(x), weakref.ref(result)]
    del x, result
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_forgets_when_the_block_fails():
    with pytest.raises(RuntimeError, match="stop"), shared_work():
        raise RuntimeError("stop")
    assert module._remembered.get() is None


@shared_and_plain
def test_is_copied_and_stored_like_the_plain_module(shared, plain):
    with shared_work():
        x = inner()
        result = shared(x)
        assert not list(shared.state_dict())
        for again in (copy.deepcopy(shared), pickle.loads(pickle.dumps(shared))):  # noqa: S301  our own bytes
            assert again(x) is result


def plain_version(network):
    """The network with PyTorch's own layers in place of the fast ones, and the same weights."""
    plain = copy.deepcopy(network)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is SharedReLU:
                setattr(parent, name, nn.ReLU())
            elif type(child) is SharedMaxPool:
                setattr(parent, name, nn.MaxPool2d(3, child.stride, 1))
            elif type(child) is SharedAvgPool:
                setattr(parent, name, nn.AvgPool2d(3, child.stride, 1, count_include_pad=False))
    return plain


class SumOfCandidates(nn.Module):
    """A stand-in for a supernet's edge: all candidates, equally."""

    def __init__(self, choice):
        super().__init__()
        self.candidates = nn.ModuleList(choice[name] for name in choice.names)

    def forward(self, x):
        return sum(candidate(x) for candidate in self.candidates) / len(self.candidates)


def supernet():
    space = SnasCellSpace(channels=4, cells=3)
    for cell in space.cells:
        for name, choice in list(cell.edges.items()):
            assert isinstance(choice, LayerChoice)
            cell.edges[name] = SumOfCandidates(choice)
    return space.double()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_whole_network_equals_the_one_of_plain_layers(memory_format):
    fast = supernet()
    plain = plain_version(fast)
    assert not any(isinstance(m, (SharedReLU, SharedMaxPool, SharedAvgPool)) for m in plain.modules())
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64).contiguous(memory_format=memory_format)
    results = []
    for network in (fast, plain):
        logits = network(images)
        logits.square().sum().backward()
        results.append((logits.detach(), {n: p.grad for n, p in network.named_parameters()}, network.state_dict()))
    (logits, gradients, state), (plain_logits, plain_gradients, plain_state) = results
    torch.testing.assert_close(logits, plain_logits, rtol=1e-10, atol=1e-10)
    for found, expected in ((gradients, plain_gradients), (state, plain_state)):
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-7, msg=name)


def test_the_cells_of_a_network_share():
    """Each node's ReLU is computed once, however many candidates on how many edges begin with it."""
    space = supernet()
    results = []
    for layer in space.modules():
        if isinstance(layer, SharedReLU):
            layer.register_forward_hook(lambda _layer, _inputs, output: results.append(output))
    space(torch.randn(2, 3, 16, 16, dtype=torch.float64))
    # Five tensors of each of three cells are read by edges; the last cell also halves its older input.
    assert len({id(result) for result in results}) == 3 * 5 + 1
    assert len(results) > 10 * 16


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_a_child_is_still_exported_and_compiled(strict):
    labels = SnasCellSpace(channels=2, cells=2, nodes=1).simplify()
    names = list(OPERATIONS)
    with model_context({label: names[(3 * i + 1) % 8] for i, label in enumerate(labels)}):
        child = SnasCellSpace(channels=2, cells=2, nodes=1).eval()
    images = torch.randn(2, 3, 8, 8)
    exported = torch.export.export(child, (images,), strict=strict).module()
    torch.testing.assert_close(exported(images), child(images))
    compiled = torch.compile(child.train(), backend="eager", fullgraph=True)
    assert compiled(images).shape == (2, 10)
