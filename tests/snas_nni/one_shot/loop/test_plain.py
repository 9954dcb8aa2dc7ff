"""A loop of one's own gives what Lightning's gives, to the bit; budgets, settling and deriving work in it."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from snas_nni import SNAS, Budget, SettingError, SnasError
from snas_nni.errors import NotFiniteError

EPOCHS, COUNT = 4, 32


class Layers(ModelSpace):
    """Two choices with normalization, 6 inputs, 3 classes: 9 children of 21 to 213 parameters."""

    def __init__(self):
        super().__init__()
        for name in ("first", "second"):
            wide, thin = (
                nn.Sequential(nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 6))
                for hidden in (6, 2)
            )
            setattr(self, name, LayerChoice({"wide": wide, "thin": thin, "skip": nn.Identity()}, label=name))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def strategy(**settings):
    return SNAS(**{"seed": 4, "logits_learning_rate": 0.1, **settings})


def loaders(tools):
    # In order: PyTorch's random sampler draws once more at the end of an epoch, which Lightning does not wait for.
    return tuple(DataLoader(tools.dataset((6,), 3, COUNT, seed), batch_size=8) for seed in (1, 2))


def by_lightning(tools, made, scheduler=None):
    torch.manual_seed(0)
    space = Layers()
    tools.search(
        space,
        made,
        module=tools.PlainClassifier(scheduler=scheduler),
        count=COUNT,
        max_epochs=EPOCHS,
    )
    return space


def by_hand(tools, made, scheduler=None):
    torch.manual_seed(0)
    train, held_out = loaders(tools)
    supernet = made.mutate_model(Layers())
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)
    falling = scheduler(optimizer) if scheduler is not None else None

    def accuracy(batch):
        return (supernet(batch[0]).argmax(-1) == batch[1]).float().mean()

    search = made.loop(optimizer, train, epochs=EPOCHS, validation=held_out, judge=accuracy)
    for _ in search:
        for x, y in train:
            with search.sample(x):
                search.step(cross_entropy(supernet(x), y))
        if falling is not None:
            falling.step()
    return supernet


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def halving(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"settle_epochs": 2},
        {"settle_epochs": 1, "warmup_epochs": 1, "candidates": 3, "temperature_interval": "step"},
        {"accumulate_batches": 3, "weights_gradient_clip": 0.02},
        {"budget": Budget(params=120), "settle_epochs": 1},
        {"sampling": "single_path", "logits_learning_rate": None},
        {"regularizers": [lambda distribution, sample, step: sample.weights["first"][0, 0] * 0.1]},
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_the_result_is_lightnings_to_the_bit(tools, settings):
    one, other = strategy(**settings), strategy(**settings)
    lightnings, own = by_lightning(tools, one, halving), by_hand(tools, other, halving)
    assert_equal(lightnings.state_dict(), own.state_dict())
    assert_equal(dict(one.distribution.logits), dict(other.distribution.logits))
    (first, child), (second, own_child) = one.derive(), other.derive()
    assert first == second
    assert_equal(child.state_dict(), own_child.state_dict())
    if "budget" in settings:
        assert one.budget_report is not None
        assert one.budget_report.costs == other.budget_report.costs


def test_the_child_meets_the_budget_and_others_can_be_derived(tools):
    made = strategy(budget=Budget(params=120))
    by_hand(tools, made)
    assert sum(each.numel() for each in made.derive()[1].parameters()) <= 120
    sample, child = made.derive(candidates=4, budget=Budget(params=60))
    assert sum(each.numel() for each in child.parameters()) <= 60
    assert set(sample) == {"first", "second"}


def test_epochs_show_numbers_and_the_current_child(tools):
    made = strategy()
    train, _ = loaders(tools)
    supernet = made.mutate_model(Layers())
    search = made.loop(torch.optim.SGD(supernet.parameters(), lr=0.05), train, epochs=2)
    seen = []
    for epoch in search:
        if epoch:
            assert 0 < search.metrics["search/entropy_share"] <= 1
        for x, y in train:
            with search.sample((x, y)) as drawn:
                assert drawn.temperature == search.temperature
                assert search.step(cross_entropy(supernet(x), y)) > 0
        with search.child(), torch.no_grad():
            seen.append(supernet.eval()(x))
    assert search.metrics["search/temperature"] == 0.03
    assert torch.equal(seen[-1], made.derive()[1].eval()(x))
    with pytest.raises(SettingError, match="has run"):
        next(iter(search))


class TestRefusals:
    @pytest.fixture
    def ready(self, tools):
        made = strategy()
        supernet = made.mutate_model(Layers())
        return made, supernet, torch.optim.SGD(supernet.parameters(), lr=0.05), loaders(tools)[0]

    def test_a_sample_without_a_step_and_a_step_without_a_sample(self, ready):
        made, _, optimizer, train = ready
        search = made.loop(optimizer, train, epochs=2)
        next(iter(search))
        with pytest.raises(SettingError, match="call search.step"), search.sample(torch.zeros(2, 6)):
            pass
        with pytest.raises(SettingError, match="belongs to a sample"):
            search.step(torch.zeros(()))

    def test_an_error_of_the_users_stays_the_users(self, ready):
        made, supernet, optimizer, train = ready
        search = made.loop(optimizer, train, epochs=2)
        with pytest.raises(RuntimeError, match="mat1 and mat2"), search.sample(torch.zeros(2, 5)):
            supernet(torch.zeros(2, 5))

    def test_a_loss_that_is_not_finite(self, ready):
        made, supernet, optimizer, train = ready
        search = made.loop(optimizer, train, epochs=2)
        with pytest.raises(NotFiniteError, match="nan at step 0"), search.sample(torch.zeros(2, 6)):
            search.step(supernet(torch.zeros(2, 6)).sum() * torch.nan)

    def test_lengths_that_nobody_knows_or_that_are_too_short(self, ready):
        made, _, optimizer, train = ready
        with pytest.raises(SettingError, match="give it a length"):
            made.loop(optimizer, (each for each in train), epochs=2)
        with pytest.raises(SettingError, match="epochs must be at least 1"):
            made.loop(optimizer, train, epochs=0)
        with pytest.raises(SettingError, match="go together"):
            made.loop(optimizer, train, epochs=2, validation=train)

    @pytest.mark.parametrize("settings", [{"bilevel": True}, {"samples_per_step": 2}, {"spread_samples": True}])
    def test_what_only_lightnings_loop_does(self, ready, settings):
        _, _, optimizer, train = ready
        made = strategy(**settings)
        made.mutate_model(Layers())
        with pytest.raises(SettingError, match=next(iter(settings))):
            made.loop(optimizer, train, epochs=2)

    def test_before_there_is_a_supernet(self, ready):
        with pytest.raises(SnasError, match="there is no supernet yet"):
            strategy().loop(ready[2], ready[3], epochs=2)
