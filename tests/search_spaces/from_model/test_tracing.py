"""Which channels belong together, and what is said where they cannot be cut."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from search_spaces import space_from
from search_spaces.from_model.groups import Groups, Segment
from search_spaces.from_model.reshaping import reshaped
from search_spaces.from_model.restrictions import matches
from search_spaces.from_model.rules import operation_name
from search_spaces.from_model.tracing import trace
from snas_nni import SNAS, derive_child

IMAGES = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Two convolutions ``a`` and ``b`` of eight channels, and whatever is made of them."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        self.a, self.b = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


def groups_of(forward, **layers):
    """For each group that can be cut the layers that make it; and the reasons of the others, by their first layer."""
    traced = trace(Network(forward, **layers), (IMAGES,))
    groups = [traced.groups[index] for index in traced.groups.roots()]
    free = [group.makers for group in groups if not group.fixed]
    return free, {group.origin: group.fixed for group in groups if group.fixed} | traced.fixed


def head(self, x):
    """Reads all channels; its own output is that of the network."""
    return self.c(x).sum()


ONE = {"c": nn.Conv2d(8, 8, 1)}


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a + b,
        lambda a, b: a.mul_(b),
        lambda a, b: torch.sub(a, 2 * b),
        lambda a, b: a * torch.sigmoid(b.mean((2, 3), keepdim=True)),
        lambda a, b: a * functional.hardsigmoid(functional.adaptive_avg_pool2d(b, 1)),
        lambda a, b: torch.where(a > 0, a, b),
        lambda a, b: torch.maximum(functional.pad(a, (1, 1)), functional.pad(b, (1, 1))),
        lambda a, b: (a.permute(0, 2, 3, 1) + b.transpose(1, 3)).permute(0, 3, 1, 2),
        lambda a, b: functional.interpolate(functional.max_pool2d(a, 2), scale_factor=2) + b,
        lambda a, b: a[:, :, ::2, 1:] + b[..., ::2, 1:],
        lambda a, b: (a.flatten(2) + b.view(2, 8, -1)).unflatten(2, (6, 6)),
        lambda a, b: functional.pixel_shuffle(torch.zeros(2, 4, 6, 6), 2).sum() + (a + b),
        lambda a, b: a.softmax(-1) + functional.dropout2d(b, 0.3, False).to(torch.float32),
        lambda a, b: a + b[:1].squeeze(0).unsqueeze(0).expand(2, 8, 6, 6),
    ],
)
def test_channels_that_have_to_stay_equal(join):
    free, _ = groups_of(lambda self, x: head(self, join(self.a(x), self.b(x))), **ONE)
    assert free == [["a", "b"]]


def test_layers_that_are_used_twice_share_what_they_read_and_make():
    free, _ = groups_of(lambda self, x: head(self, self.d(self.a(x)) - self.d(self.b(x))), d=nn.Conv2d(8, 8, 1), **ONE)
    assert free == [["a", "b"], ["d"]]


def test_concatenations_are_segments():
    traced = trace(
        Network(lambda self, x: self.c(torch.cat([self.a(x), x, self.b(x)], 1).flatten(1)), c=nn.Linear(20 * 36, 3)),
        (IMAGES,),
    )
    assert traced.layers["c"].inputs == (Segment(288, 0, 36), Segment(144, None, 36), Segment(288, 1, 36))


def test_parts_of_a_concatenation_are_what_they_were():
    def forward(self, x):
        first, second = torch.cat([self.a(x), self.b(x)], 1).chunk(2, 1)
        return head(self, first) + self.d(second)

    free, _ = groups_of(forward, d=nn.Conv2d(8, 8, 1), **ONE)
    assert free[:2] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda s, x: head(s, s.a(x) + s.p), "meets the parameter 'p' in add"),
        (lambda s, x: head(s, s.a(x) + torch.ones(8, 1, 1)), r"meets a tensor of fixed shape \(8, 1, 1\) in add"),
        (lambda s, x: head(s, s.a(x) + torch.cat([x, x], 1)), r"meets a tensor of fixed shape \(2, 8, 6, 6\) in add"),
        (lambda s, x: head(s, s.a(x).view(2, 2, 4, 6, 6).transpose(1, 2).reshape(2, 8, 6, 6)), "is reshaped in view"),
        (lambda s, x: head(s, torch.cat(s.a(x).chunk(2, 1)[::-1], 1)), "goes through chunk"),
        (lambda s, x: head(s, s.a(x)[:, [1, 0, 2, 3, 4, 5, 6, 7]]), "goes through getitem"),
        (lambda s, x: head(s, s.a(x).softmax(1)), "goes through softmax"),
        (lambda s, x: head(s, s.a(x) - s.a(x).mean(1, keepdim=True)), "goes through mean"),
        (lambda s, x: s.a(x).flatten(1).flatten(0), "is reshaped in flatten"),
        (lambda s, x: head(s, s.a(x).flip(1)), "goes through flip"),
        (lambda s, x: head(s, s.g(s.a(x))), "goes through group_norm of 'g'"),
        (lambda s, x: (s.a(x), head(s, s.a(x))), "is an output of the model"),
        (lambda s, x: head(s, s.t(s.a(x))), "goes through conv_transpose2d of 't'"),
        (lambda s, x: head(s, functional.conv2d(s.a(x), s.d.weight)), "which is a Network, not a plain Conv2d"),
        (lambda s, x: head(s, torch.cat([s.a(x)[:, :, :3], s.b(x)[:, :, 3:]], 2) @ s.m), "goes through matmul"),
        (lambda s, x: head(s, s.own(s.a(x))), "goes into 'own', which is a Doubled, not a plain Conv2d"),
        (lambda s, x: head(s, s.a(x) + torch.cat([s.b(x), s.b(x)], 1)[:, :8]), "in add"),
    ],
)
def test_reasons(forward, reason):
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * 2

    layers = {
        "p": nn.Parameter(torch.zeros(8, 1, 1)), "g": nn.GroupNorm(2, 8), "t": nn.ConvTranspose2d(8, 8, 1),
        "d": nn.Conv2d(8, 8, 1), "m": nn.Parameter(torch.eye(6)), "own": Doubled(8, 8, 1),
    }  # fmt: skip
    free, fixed = groups_of(forward, **ONE, **layers)
    assert ["a"] not in free
    assert re.search(reason, fixed["a"]), fixed["a"]


def test_layers_that_cannot_be_replaced():
    shared = nn.Conv2d(8, 8, 1)
    tied = nn.Conv2d(8, 8, 1)
    tied.weight = shared.weight
    hooked = nn.Conv2d(8, 8, 1)
    hooked.register_forward_hook(lambda *_: None)
    same = nn.Conv2d(8, 8, 1)
    layers = {"d": shared, "e": tied, "f": hooked, "g": same, "h": same, "unused": nn.Linear(2, 2)}
    _, fixed = groups_of(lambda s, x: head(s, s.h(s.g(s.f(s.e(s.d(s.a(x))))))), **ONE, **layers)
    assert fixed["d"] == "shares its weights with 'e'"
    assert fixed["e"] == "shares its weights with 'd'"
    assert fixed["f"] == "has hooks of its own"
    assert fixed["g"] == "is held under the names 'g' and 'h'"
    assert fixed["unused"] == "does not run on the example"
    _, fixed = groups_of(lambda s, x: head(s, functional.conv2d(s.a(x), s.d.weight)), d=nn.Conv2d(8, 8, 1), **ONE)
    assert fixed["d"] == "has its weights used by another module"


@pytest.mark.parametrize("positive", [True, False])
def test_a_forward_that_asks_for_values_is_followed(positive):
    def forward(self, x):
        layer = self.a if x.sum() > 0 else self.b
        return head(self, layer(x))

    traced = trace(Network(forward, **ONE), (IMAGES.abs() if positive else -IMAGES.abs(),))
    assert next(iter(traced.layers)) == ("a" if positive else "b")
    assert traced.fixed["b" if positive else "a"] == "does not run on the example"


class Around(nn.Module):
    def __init__(self, around, inputs=8, outputs=8):
        super().__init__()
        self.layer, self.around = nn.Conv2d(inputs, outputs, 1), around

    def forward(self, x):
        return self.around(x, self.layer(x))


@pytest.mark.parametrize(
    ("around", "found"),
    [
        (lambda x, y: x + y, True),
        (lambda x, y: functional.relu(y.add_(x)), True),
        (lambda x, y: functional.dropout(x, 0.1, False) + (y + x), True),
        (lambda x, y: y, False),
        (lambda x, y: functional.relu(x), False),
        (lambda x, y: x * y, False),
        (lambda x, y: 2 * x + y, False),
        (lambda x, y: x.flip(2) + y, False),
        (lambda x, y: torch.sigmoid(x + y), False),
    ],
)
def test_blocks_with_an_identity_shortcut(around, found):
    traced = trace(Network(lambda s, x: head(s, s.block(s.a(x))), block=Around(around), **ONE), (IMAGES,))
    assert traced.blocks == (["block"] if found else [])


def test_the_innermost_block_that_runs_once():
    nested = nn.Sequential(nn.Sequential(Around(lambda x, y: x + y)))
    twice = Around(lambda x, y: x + y)
    forward = lambda s, x: head(s, s.twice(s.twice(s.nested(s.a(x)))))
    assert trace(Network(forward, nested=nested, twice=twice, **ONE), (IMAGES,)).blocks == ["nested.0.0"]


class Auxiliary(nn.Module):
    """Has a second head in training, as GoogLeNet does."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(4, 16, 3), nn.BatchNorm2d(16)
        self.head, self.auxiliary = nn.Conv2d(16, 3, 1), nn.Conv2d(16, 3, 1)

    def forward(self, x):
        x = self.norm(self.stem(x))
        return (self.head(x), self.auxiliary(x)) if self.training else self.head(x)


@pytest.mark.parametrize("count", [1, 2])
def test_what_runs_in_training_only_is_cut_too(count):
    network = Auxiliary().eval()
    space = space_from(network, IMAGES[:count])
    assert space.candidates == {"stem/width": [16, 12, 8]}
    assert not network.norm.running_mean.any()
    child = derive_child(SNAS(seed=0).mutate_model(space), {"stem/width": 8}).train()
    assert [tuple(output.shape) for output in child(IMAGES)] == [(2, 3, 4, 4)] * 2


def test_the_mode_of_every_module_is_as_it_was():
    layers = {"n": nn.BatchNorm2d(8), "noise": nn.Dropout(), **ONE}
    network = Network(lambda s, x: head(s, s.noise(s.n(s.a(x)))), **layers).train()
    network.n.eval()
    mean, state = network.n.running_mean.clone(), torch.get_rng_state()
    trace(network, (IMAGES,))
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert network.a.training
    assert not network.n.training
    assert torch.equal(network.n.running_mean, mean)


@pytest.mark.parametrize(
    ("before", "after", "axis", "expected"),
    [
        ((2, 8, 3, 3), (2, 72), 1, {1: (Segment(72, 0, 9),)}),
        ((2, 8, 1, 1), (2, 8), 1, {1: (Segment(8, 0),)}),
        ((1, 8, 3, 3), (1, 8, 9), 1, {1: (Segment(8, 0),)}),
        ((2, 3, 3, 8), (18, 8), 3, {1: (Segment(8, 0),)}),
        ((2, 8), (2, 8, 1, 1), 1, {1: (Segment(8, 0),)}),
        ((2, 3, 8), (2, 24), 2, None),
        ((2, 8, 3), (2, 4, 6), 1, None),
        ((2, 8, 3), (2, 2, 4, 3), 1, None),
        ((2, 8, 3), (16, 3), 1, None),
    ],
)
def test_reshaping(before, after, axis, expected):
    groups = Groups()
    axes = [None] * len(before)
    axes[axis] = groups.new(8, "layer")
    found = reshaped(groups, axes, before, after, "is reshaped")
    if expected is None:
        assert groups[0].fixed == "is reshaped"
    else:
        assert not groups[0].fixed
        assert {place: axis for place, axis in enumerate(found) if axis is not None} == expected


def test_names_of_functions():
    assert operation_name(torch.Tensor.__iadd__) == operation_name(torch.Tensor.__radd__) == "add"
    assert operation_name(torch.Tensor.__rsub__) == operation_name(torch.rsub) == "sub"
    assert operation_name(torch.Tensor.__itruediv__) == operation_name(torch.Tensor.div_) == "div"
    assert operation_name(torch.relu_) == operation_name(functional.relu) == "relu"
    assert operation_name(torch.concat) == "cat"
    assert operation_name(torch.Tensor.__getitem__) == "getitem"


def test_names_of_modules():
    assert matches("layer1.0.conv1", ["layer1"])
    assert matches("layer1.0.conv1", ["*.conv1"])
    assert not matches("layer10.0", ["layer1"])
