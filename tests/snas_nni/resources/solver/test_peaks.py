"""Memory as a bound: peaks and stored bytes, against counting every derived child of small spaces."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import Cell, LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d, Repeat
from torch import nn

from snas_nni import SNAS, Budget, SettingError, derive_child
from snas_nni.resources import BudgetController, ChildBounds, count_child
from snas_nni.resources.solver.peaks import peak_excess, peak_sizes


class Widths(ModelSpace):
    """A width that two layers share, a nested choice, a depth."""

    def __init__(self):
        super().__init__()
        width = nni.choice("width", [2, 4, 6])
        self.stem = MutableConv2d(1, width, 3, padding=1)
        self.norm = MutableBatchNorm2d(width)
        self.last = MutableConv2d(width, 4, 1, bias=False)
        fat = nn.Sequential(nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1))
        self.middle = LayerChoice({"thin": nn.Conv2d(4, 4, 1), "fat": fat}, label="middle")
        self.blocks = Repeat(lambda i: nn.Conv2d(4, 4, 3, padding=1), (0, 2), label="depth")

    def forward(self, x):
        return self.blocks(self.middle(self.last(torch.relu(self.norm(self.stem(x)))))).mean((2, 3))


class LooseEnds(ModelSpace):
    """A cell whose child may lack columns of the layer behind it."""

    def __init__(self):
        super().__init__()
        operations = {"conv": lambda n, k, i: nn.Conv2d(2, 2, 3, padding=1), "skip": lambda n, k, i: nn.Identity()}
        self.cell = Cell(operations, 2, 1, 1, "loose_end", label="cell")
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.head(self.cell(x)).mean((2, 3))


SPACES = {Widths: (1, 1, 8, 8), LooseEnds: (1, 2, 4, 4)}


@pytest.fixture(params=SPACES, ids=lambda space: space.__name__)
def case(request, kit):
    return kit.counted(request.param, torch.zeros(SPACES[request.param]))


def test_the_excess_is_0_exactly_within_the_bound(kit, case):
    sizes = peak_sizes(case.model)
    peaks = {}
    for sample in kit.samples(case.distribution, 12):
        peaks[tuple(map(str, sample.values()))] = (sample, case.model.of(sample)["activation_peak"])
    assert len({peak for _, peak in peaks.values()}) > (1 if len(sizes) > 1 else 0)
    for sample, peak in peaks.values():
        assert peak in sizes
        for bound in {peak, peak - 1, peak - 0.5, sizes[0], sizes[-1]}:
            excess = peak_excess(case.model, bound).value(case.model.indices(sample))
            assert (excess == 0) is (peak <= bound), (sample, bound)
            assert excess >= 0


def test_a_peak_bound_excludes_exactly_the_operations_above_it(kit):
    case = kit.counted(Widths, torch.zeros(SPACES[Widths]))
    every = kit.samples(case.distribution)
    for bound in sorted({case.model.of(sample)["activation_peak"] for sample in every}):
        bounds = ChildBounds(case.model, {"activation_peak": bound})
        within = [sample for sample in every if case.model.of(sample)["activation_peak"] <= bound]
        assert within == [sample for sample in every if bounds.meets(sample)]
        for label, choice in case.distribution.choices.items():
            lost = {k for k, c in enumerate(choice.candidates) if all(sample[label] != c for sample in within)}
            assert set(bounds.excluded.get(label, ())) == lost
        assert len(bounds.ranked(case.distribution, 1000)) == len(within)


def test_a_peak_below_every_childs_is_refused_with_the_least_one(kit):
    case = kit.counted(Widths, torch.zeros(SPACES[Widths]))
    least = min(case.model.of(sample)["activation_peak"] for sample in kit.samples(case.distribution))
    with pytest.raises(SettingError, match=rf"activation_peak is .*below the cheapest child of the space \({least:g};"):
        ChildBounds(case.model, {"activation_peak": least - 1})
    assert ChildBounds(case.model, {"activation_peak": 1e9}).notes


def test_a_peak_in_a_budget_is_reported_as_what_it_is(kit):
    case = kit.counted(Widths, torch.zeros(SPACES[Widths]))
    controller = BudgetController(Budget(activation_peak=600, params=400), final_temperature=1.0)
    controller.prepare(case.model)
    term = controller(case.distribution, case.distribution.draw(1.0), 0).value
    assert torch.isfinite(term)
    report = controller.select(case.distribution)
    child = derive_child(case.supernet, report.sample)
    assert report.costs["activation_peak"] == count_child(child, case.inputs)["activation_peak"] <= 600
    assert "activation_peak: " in str(report)
    assert "expected" not in next(line for line in str(report).splitlines() if line.startswith("activation_peak"))
    assert set(controller.metrics(case.distribution)) >= {"budget/activation_peak/mode", "budget/params/expected"}


@pytest.mark.parametrize("name", ["float32_bytes", "int8_bytes"])
def test_stored_bytes_are_those_of_each_derived_child(kit, name):
    case = kit.counted(Widths, torch.zeros(SPACES[Widths]))
    for sample in kit.samples(case.distribution):
        child = derive_child(case.supernet, sample)
        parameters = list(child.parameters())
        expected = 4 * sum(p.numel() for p in parameters)
        if name == "int8_bytes":
            expected -= 3 * sum(p.numel() for p in parameters if p.dim() > 1)
        assert case.model.of(sample)[name] == count_child(child, case.inputs)[name] == expected


def test_columns_that_a_child_lacks_are_not_stored(kit):
    """The head reads 4 channels in the supernet; a child whose second node reads the first outputs 2 of them."""
    case = kit.counted(LooseEnds, torch.zeros(SPACES[LooseEnds]))
    model = case.model
    lacking = 0
    for sample in kit.samples(case.distribution):
        whole = derive_child(case.supernet, sample)  # this space does not narrow its head itself
        missing = sum(p.numel() for p in whole.parameters()) - model.of(sample)["params"]
        lacking += missing > 0
        assert missing in (0, 2 * 3)
        matrices = sum(p.numel() for p in whole.parameters() if p.dim() > 1)
        vectors = sum(p.numel() for p in whole.parameters() if p.dim() == 1)
        assert model.of(sample)["float32_bytes"] == 4 * (matrices + vectors - missing)
        assert model.of(sample)["int8_bytes"] == matrices - missing + 4 * vectors
    assert lacking


def test_a_budget_of_bytes_is_met_by_the_child():
    strategy = SNAS(budget=Budget(int8_bytes=150, params=1000))
    supernet = strategy.mutate_model(Widths())
    example = torch.zeros(SPACES[Widths])
    strategy.budget_controller.prepare(strategy.cost_model(example))
    sample = strategy.budget_controller.select(strategy.distribution).sample
    assert count_child(derive_child(supernet, sample), example)["int8_bytes"] <= 150
