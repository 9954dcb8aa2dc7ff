"""LayerChoice in the supernet."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice
from torch import nn

from snas_nni import UnsupportedSpaceError, derive_child
from snas_nni.cpu_kernels.shared_layers import share_in_passes

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def named():
    return {"a": nn.Linear(6, 6), "b": nn.Sequential(nn.Linear(6, 6), nn.Tanh()), "c": nn.Identity()}


class Scaled(nn.Module):
    """Several arguments in, a nest out."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x, y, *, factor=1.0):
        return {"sum": self.inner(x + y) * factor, "pair": (x * self.inner(y), [y.tanh()])}


def scaled_space(self):
    self.layer = LayerChoice([Scaled(), Scaled(), Scaled()], label="scaled")


@pytest.mark.parametrize("candidates", [named, lambda: list(named().values())], ids=["named", "listed"])
def test_candidates(tools, candidates):
    tools.check_space(tools.space_of(lambda s: setattr(s, "layer", LayerChoice(candidates(), label="l"))), [X])


def test_a_choice_inside_a_choice(tools):
    def init(self):
        inner = LayerChoice(named(), label="inner")
        self.layer = LayerChoice({"inner": nn.Sequential(inner, nn.Linear(6, 6)), "plain": nn.Linear(6, 6)}, label="l")

    tools.check_space(tools.space_of(init), [X])


def test_a_choice_as_a_candidate(tools):
    tools.check_space(
        tools.space_of(
            lambda s: setattr(s, "layer", LayerChoice([LayerChoice(named(), label="inner"), nn.Tanh()], label="l"))
        ),
        [X],
    )


def test_one_label_in_two_places(tools):
    def init(self):
        self.first, self.second = LayerChoice(named(), label="l"), LayerChoice(named(), label="l")

    tools.check_space(tools.space_of(init, lambda s, x: s.second(torch.relu(s.first(x)))), [X])


def test_candidates_that_share_a_module(tools):
    def init(self):
        shared = nn.Linear(6, 6)
        self.first = LayerChoice([shared, nn.Sequential(shared, nn.Tanh())], label="first")
        self.second = LayerChoice([shared, nn.Identity()], label="second")

    tools.check_space(tools.space_of(init, lambda s, x: s.second(torch.relu(s.first(x)))), [X])


def test_several_arguments_and_nested_outputs(tools):
    tools.check_space(tools.space_of(scaled_space, lambda s, x, y: s.layer(x, y, factor=0.5)), [X, 2 * X])


def test_nested_outputs_are_mixed_leaf_by_leaf(tools):
    strategy, supernet = tools.mutate(
        tools.space_of(scaled_space, lambda s, x, y: s.layer(x, y=y, factor=2.0))(), skip_tolerance=0
    )
    with torch.no_grad(), strategy.distribution.use(strategy.distribution.draw(1.0)) as sample:
        output = supernet(X, 2 * X)
        parts = [supernet.layer[k](X, 2 * X, factor=2.0) for k in range(3)]
        weights = sample.weights["scaled"][0]
    torch.testing.assert_close(output["sum"], sum(w * p["sum"] for w, p in zip(weights, parts, strict=True)))
    torch.testing.assert_close(output["pair"][0], sum(w * p["pair"][0] for w, p in zip(weights, parts, strict=True)))
    torch.testing.assert_close(output["pair"][1][0], (2 * X).tanh())


def test_nothing_returned_by_all_is_nothing(tools):
    class WithNone(nn.Linear):
        def forward(self, x):
            return super().forward(x), None

    tools.check_space(
        tools.space_of(lambda s: setattr(s, "layer", LayerChoice([WithNone(6, 6), WithNone(6, 6)], label="l"))), [X]
    )


def test_whole_numbers_cannot_be_mixed(tools):
    class WithCount(nn.Linear):
        def forward(self, x):
            return super().forward(x), torch.tensor(len(x))

    strategy, supernet = tools.mutate(
        tools.space_of(lambda s: setattr(s, "layer", LayerChoice([WithCount(6, 6), WithCount(6, 6)], label="counts")))()
    )
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'counts'.*torch\.int64.*would round to 0"),
    ):
        supernet(X)


def test_unequal_shapes_name_the_label_the_candidates_and_the_shapes(tools):
    strategy, supernet = tools.mutate(
        tools.space_of(
            lambda s: setattr(s, "layer", LayerChoice({"wide": nn.Linear(6, 6), "narrow": nn.Linear(6, 1)}, label="w"))
        )()
    )
    with (
        strategy.distribution.use(strategy.distribution.draw(1.0)),
        pytest.raises(UnsupportedSpaceError, match=r"label 'w' \(LayerChoice.*wide, narrow.*\(4, 6\), \(4, 1\)"),
    ):
        supernet(X)


def test_at_a_one_hot_sample_only_the_chosen_candidate_runs(tools):
    strategy, supernet = tools.mutate(tools.space_of(lambda s: setattr(s, "layer", LayerChoice(named(), label="l")))())
    ran = []
    for name in "abc":
        supernet.layer[name].register_forward_hook(lambda *_, name=name: ran.append(name))
    output = tools.run_at(strategy.distribution, supernet, {"l": "b"}, X)
    assert ran == ["b"]
    assert torch.equal(output, derive_child(supernet, {"l": "b"})(X))  # nothing is even multiplied by one


def test_a_subclass_is_left_to_the_hook_of_its_author(tools):
    class Mine(LayerChoice):
        pass

    with pytest.raises(UnsupportedSpaceError, match=r"label 'mine' \(module 'layer' of type Mine\).*mutation_hooks"):
        tools.mutate(tools.space_of(lambda s: setattr(s, "layer", Mine(named(), label="mine")))())


class TwoEdges(nn.Module):
    """Two choices on one tensor; the second one's output is changed in place, as a space's own code may do."""

    def __init__(self, label):
        super().__init__()
        self.edges = nn.ModuleList(
            LayerChoice([nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1)], label=f"{label}{number}") for number in (0, 1)
        )

    def forward(self, x):
        first, second = (edge(x) for edge in self.edges)
        second += 1
        return first * second


def test_choices_on_one_tensor_share_poolings_in_a_pass_and_only_where_they_are_mixed(tools):
    space = tools.space_of(lambda s: setattr(s, "layer", TwoEdges("edge")))
    strategy, supernet = tools.mutate(space())
    undo = share_in_passes(supernet)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ran = []
    for module in supernet.modules():
        if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
            module.forward = lambda given, layer=module: ran.append(layer) or type(layer).forward(layer, given)
    with strategy.distribution.use(strategy.distribution.draw(temperature=1.0)):
        shared = supernet(x)
        assert len(ran) == 2  # one of each kind, for two choices
        undo()
        assert torch.equal(supernet(x), shared)
        assert len(ran) == 6
    share_in_passes(supernet)
    child = derive_child(supernet, sample := {"edge0": 0, "edge1": 0})
    with strategy.distribution.use(strategy.distribution.one_hot_sample(sample)):
        assert torch.equal(supernet(x), child(x))  # a result of its own for each
