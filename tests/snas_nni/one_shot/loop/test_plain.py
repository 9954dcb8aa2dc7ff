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


class Noisy(Layers):
    """Draws numbers of its own."""

    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, self.training))


def run_until(tools, made, end, file=None, start=None):
    """A search of some epochs, left after ``end`` of them with its state in ``file``, from the state in ``start``."""
    torch.manual_seed(0 if start is None else 77)  # a resumed process has another past
    shuffled = DataLoader(
        tools.dataset((6,), 3, COUNT, 1), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(5)
    )
    supernet = made.mutate_model(Noisy())
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)

    def accuracy(batch):
        return (supernet(batch[0]).argmax(-1) == batch[1]).float().mean()

    search = made.loop(optimizer, shuffled, epochs=EPOCHS, validation=loaders(tools)[1], judge=accuracy)
    if start is not None:
        search.load_state_dict(torch.load(start, weights_only=True))
    ran = []
    for epoch in search:
        for x, y in shuffled:
            with search.sample(x):
                search.step(cross_entropy(supernet(x), y))
        ran.append(epoch)
        if file is not None and epoch + 1 == end:
            torch.save(search.state_dict(), file)
            break
    return search, supernet, ran


@pytest.mark.parametrize("end", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"settle_epochs": 2},
        {"budget": Budget(params=120), "settle_epochs": 2, "accumulate_batches": 3},
        {"sampling": "single_path", "settle_epochs": 0},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_a_search_goes_on_from_its_state_to_the_bit(tools, tmp_path, settings, end):
    whole, cut, rest = (strategy(**settings) for _ in range(3))
    expected, supernet, ran = run_until(tools, whole, EPOCHS)
    assert ran == [0, 1, 2, 3]
    run_until(tools, cut, end, file=tmp_path / "state.pt")
    resumed, again, ran = run_until(tools, rest, EPOCHS, start=tmp_path / "state.pt")
    assert ran == list(range(end, EPOCHS))
    assert_equal(supernet.state_dict(), again.state_dict())
    assert_equal(dict(whole.distribution.logits), dict(rest.distribution.logits))
    assert expected.metrics == resumed.metrics
    (sample, child), (other, same) = whole.derive(), rest.derive()
    assert sample == other
    assert_equal(child.state_dict(), same.state_dict())


@pytest.mark.parametrize("settle_epochs", [0, 2])
def test_a_finished_state_gives_the_child_without_a_step(tools, tmp_path, settle_epochs):
    whole, rest = (strategy(budget=Budget(params=120), settle_epochs=settle_epochs) for _ in range(2))
    run_until(tools, whole, EPOCHS, file=tmp_path / "state.pt")
    search, _, ran = run_until(tools, rest, EPOCHS, start=tmp_path / "state.pt")
    assert ran == []
    assert (search.settling.chosen is not None) == (settle_epochs > 0)
    assert_equal(whole.derive()[1].state_dict(), rest.derive()[1].state_dict())


def test_states_that_cannot_be_gone_on_from_are_refused(tools, tmp_path):
    made = strategy()
    run_until(tools, made, 2, file=tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    fresh = strategy()
    train = loaders(tools)[0]
    supernet = fresh.mutate_model(Layers())
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)
    with pytest.raises(SettingError, match="after 2 epochs; this one has 1"):
        fresh.loop(optimizer, train, epochs=1).load_state_dict(state)
    search = fresh.loop(optimizer, train, epochs=2)
    with pytest.raises(SnasError, match="not of such a search"):
        search.load_state_dict({**state, "supernet": {}})
    assert search.state_dict()["epochs"] == 0
    next(iter(search))
    with search.sample(next(iter(train))[0]):
        search.step(cross_entropy(supernet(torch.zeros(8, 6)), torch.zeros(8).long()))
    with pytest.raises(SettingError, match="an epoch has begun: ask for the state after its last batch"):
        search.state_dict()
    with pytest.raises(SettingError, match="this search has begun"):
        search.load_state_dict(state)


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
