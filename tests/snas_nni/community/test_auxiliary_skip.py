"""The auxiliary skip is what its formula says, in no cost and in no child, and a resumed search has the same one."""

import pytest
import torch
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace
from torch import nn
from torch.nn.functional import cross_entropy

from snas_nni import SNAS, NasBench201Space, SettingError, derive_child
from snas_nni.community.auxiliary_skip import AuxiliarySkip
from snas_nni.one_shot.progress import Position, searching_progress
from snas_nni.one_shot.settings import SearchSettings


class Two(ModelSpace):
    """A choice of equal shapes before one of unequal ones."""

    def __init__(self):
        super().__init__()
        self.same = LayerChoice({"a": nn.Linear(4, 4), "b": nn.Tanh()}, label="same")
        self.other = LayerChoice({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3, bias=False)}, label="other")

    def forward(self, x):
        return self.other(self.same(x))


class Unequal(ModelSpace):
    def __init__(self):
        super().__init__()
        self.other = LayerChoice({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3, bias=False)}, label="other")

    def forward(self, x):
        return self.other(x)


class OneCell(ModelSpace):
    """NNI's cell with factories: two nodes of two slots."""

    def __init__(self):
        super().__init__()
        factories = {"linear": lambda *_: nn.Linear(3, 3), "tanh": lambda *_: nn.Tanh()}
        self.cell = Cell(factories, 2, 2, 1, label="cell")

    def forward(self, x):
        return self.cell(x)


def made(space, **settings):
    torch.manual_seed(0)
    strategy = SNAS(seed=3, skip_tolerance=0.0, initial_logits_std=0.5, **settings)
    return strategy, strategy.mutate_model(space).double()


def test_schedule():
    skip = AuxiliarySkip(0.5, 0.8)
    assert [skip(p) for p in (0.0, 0.2, 0.4)] == pytest.approx([0.5, 0.375, 0.25], rel=1e-12)
    assert [skip(p) for p in (0.8, 0.9, 1.0)] == [0.0, 0.0, 0.0]  # exactly
    assert [AuxiliarySkip()(p) for p in (0.0, 0.5)] == [0.0, 0.0]
    for wrong in ({"initial": -0.1}, {"gone_at": 0.0}, {"gone_at": 1.1}, {"initial": float("inf")}):
        with pytest.raises(SettingError, match="auxiliary_skip"):
            AuxiliarySkip(**wrong)


def test_progress_counts_the_steps_before_settling():
    settings = SearchSettings(warmup_epochs=1, settle_epochs=2)
    at = [searching_progress(Position(e, 6, b, 10), settings) for e, b in ((0, 0), (0, 5), (2, 0), (3, 9), (4, 0))]
    assert at == pytest.approx([0, 0.125, 0.5, 0.975, 1.0], abs=1e-12)
    assert searching_progress(Position(1, 6), settings) == 0.25  # by epochs, where nobody counts batches
    assert searching_progress(Position(1, None), settings) == 0.0


def test_a_choice_adds_its_input_only_where_the_shapes_agree():
    strategy, space = made(Two())
    distribution, x = strategy.distribution, torch.randn(5, 4, dtype=torch.float64)
    sample = distribution.draw(0.7)
    with distribution.use(sample):
        plain = space.same(x)
        with distribution.current.adding_skips(0.3):
            torch.testing.assert_close(space.same(x), plain + 0.3 * x, rtol=0, atol=1e-14)
            assert distribution.current.skips_added == 1
            space.other(x)
            assert distribution.current.skips_added == 1
        assert torch.equal(space.same(x), plain)  # and nothing behind the block


def test_a_cell_adds_the_inputs_that_its_slots_choose():
    strategy, space = made(OneCell())
    distribution, x = strategy.distribution, torch.randn(5, 3, dtype=torch.float64)
    sample = distribution.draw(0.7)

    def w(label):
        return sample.weights[label][0].detach()

    with distribution.use(sample), torch.no_grad():
        cell = space.cell
        with distribution.current.adding_skips(0.4):
            skipped = cell(x)
        first, second = skipped.split(3, 1)
        plain_first = cell._node(1, [x])
        torch.testing.assert_close(first, plain_first + 0.4 * 2 * x)  # two slots, which have one input each
        of = sum(w(f"cell/input_2_{slot}") for slot in range(2))
        torch.testing.assert_close(
            second, cell._node(2, [x, first]) + 0.4 * (of[0] * x + of[1] * first), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("make", [Two, OneCell])
def test_gradients_are_those_of_finite_differences(make):
    strategy, space = made(make())
    distribution = strategy.distribution.double()
    x = torch.randn(5, 4 if make is Two else 3, dtype=torch.float64)
    factors = torch.randn(9, 6, dtype=torch.float64)

    def loss():
        distribution.generator.manual_seed(1)
        with distribution.use(distribution.draw(0.6)), distribution.current.adding_skips(0.7):
            output = space(x)
            return (output * factors[: output.shape[0], : output.shape[1]]).sin().sum()

    loss().backward()
    for parameter in distribution.parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in range(len(flat)):
            value, step = float(flat[index]), 1e-6
            flat[index] = value + step
            above = float(loss())
            flat[index] = value - step
            below = float(loss())
            flat[index] = value
            assert float(gradient[index]) == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-8)


def test_costs_and_children_know_nothing_of_it():
    strategy, space = made(NasBench201Space(channels=4, cells_per_stage=1))
    distribution = strategy.distribution
    example = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    with distribution.current.adding_skips(1.0):
        with_skips = strategy.cost_model(example)
    other, _ = made(NasBench201Space(channels=4, cells_per_stage=1))
    assert with_skips.of(distribution.mode()) == other.cost_model(example).of(distribution.mode())
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    child = derive_child(space.eval(), distribution.mode()).eval()
    with distribution.current.adding_skips(1.0):
        alone = child(x)
    torch.testing.assert_close(alone, space(x), rtol=1e-10, atol=1e-12)


def run(space, epochs=4, **settings):
    torch.manual_seed(0)
    strategy = SNAS(seed=1, settle_epochs=1, **settings)
    supernet = strategy.mutate_model(space)
    x, y = torch.randn(8, 4), torch.arange(8) % 3
    search = strategy.loop(torch.optim.SGD(supernet.parameters(), lr=0.05), [x, x], epochs=epochs)
    factors = []
    for _ in search:
        for _ in range(2):
            with search.sample(x):
                factors.append(strategy.distribution.current.auxiliary_skip)
                search.step(cross_entropy(supernet(x), y))
    return factors


def test_a_search_lets_it_fade():
    expected = [0.3 * (1 - done / 6 / 0.5) for done in range(3)] + [0.0] * 5
    assert run(Two(), auxiliary_skip=0.3, auxiliary_skip_gone_at=0.5) == pytest.approx(expected, abs=1e-12)
    assert run(Two()) == [0.0] * 8


def test_a_space_without_a_place_for_it_is_refused():
    with pytest.raises(SettingError, match="no choice of operations in this space returns what has the shape"):
        run(Unequal(), auxiliary_skip=0.3)
    run(Unequal())
