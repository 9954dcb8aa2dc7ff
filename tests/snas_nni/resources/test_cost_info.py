"""The registry of costs: one entry is all that a new cost takes."""

import subprocess
import sys

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from exports.report.run_charts import cost_title
from snas_nni import SNAS, Budget, ResourcePenalty, SettingError
from snas_nni.resources import COSTS, CostInfo, count_child, register_cost
from snas_nni.resources.cost_info import counted_costs


def linear_outputs(operation):
    """Elements that linear layers write."""
    return float(operation.result.numel()) if operation.name == "addmm" else 0.0


INFO = CostInfo("Outputs of linear layers", "elements that linear layers write", "elements", linear_outputs)


@pytest.fixture
def own_cost():
    register_cost("linear_outputs", INFO)
    yield "linear_outputs"
    del COSTS["linear_outputs"]


class Small(ModelSpace):
    """Two choices between 12 + 6 and 6 elements of output, and a head of 3."""

    def __init__(self):
        super().__init__()
        for label in ("a", "b"):
            wide = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 6))
            setattr(self, label, LayerChoice({"wide": wide, "narrow": nn.Linear(6, 6)}, label=label))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.b(self.a(x)))


def test_what_there_is():
    stored = ["float32_bytes", "int8_bytes"]
    assert list(COSTS) == ["params", "macs", "memory_access", "latency_ms", "activation_peak", *stored]
    assert counted_costs() == ["params", "macs", "memory_access", *stored]


def test_a_cost_of_ones_own_is_counted_and_kept_within_a_budget(own_cost, kit):
    case = kit.counted(Small, torch.zeros(1, 6))
    for sample in kit.samples(case.distribution):
        expected = 3 + sum(18 if value == "wide" else 6 for value in sample.values())
        assert case.model.of(sample)[own_cost] == expected
    assert count_child(nn.Linear(6, 12), torch.zeros(1, 6))[own_cost] == 12
    strategy = SNAS(
        seed=1, budget=Budget(**{own_cost: 30}), regularizers=[ResourcePenalty({own_cost: 1.0}, weight=1e-4)]
    )
    found = kit.searched(Small(), strategy, (6,))
    assert strategy.budget_report.costs[own_cost] <= 30
    assert count_child(found.child, found.example)[own_cost] == strategy.budget_report.costs[own_cost]
    assert f"budget/{own_cost}/expected" in found.metrics


def test_reports_know_its_title(own_cost):
    assert cost_title(own_cost) == "Outputs of linear layers (elements)"
    assert cost_title("params") == "Parameters"
    assert cost_title("something else") == "something else"


def test_the_command_line_knows_it():
    code = """
from snas_nni.resources import CostInfo, register_cost
register_cost("rows", CostInfo("Rows", "rows written", of_operation=lambda operation: 1.0))
from trials.settings.costs.bounds import given_bounds
from trials.settings.help import settings_help
from trials.settings.reader import read_settings
print(given_bounds(read_settings(["--resources.max_rows=5", "--resources.max_macs=7"]).resources))
print([line.split(maxsplit=1) for line in settings_help().splitlines() if "max_rows" in line])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "{'params': None, 'macs': 7.0, 'memory_access': None, 'latency_ms': None, 'activation_peak': None, "
        "'float32_bytes': None, 'int8_bytes': None, 'rows': 5.0}",
        "[['--resources.max_rows', 'bound on rows written, or 60%; null [null]']]",
    ], done.stderr


@pytest.mark.parametrize("key", ["params", "activation_peak", "tolerance", "two words"])
def test_keys_that_cannot_be_are_refused(key):
    with pytest.raises(SettingError, match=f"cannot have the key '{key}'"):
        register_cost(key, INFO)
    with pytest.raises(SettingError, match="give of_operation"):
        register_cost("mine", CostInfo("Mine", "mine"))


def test_a_budget_names_the_costs_that_there_are():
    assert Budget(macs=5, params=None).bounds == {"macs": 5}
    assert Budget(macs=5) == Budget(macs=5) != Budget(macs=6)
    with pytest.raises(TypeError, match="no argument 'flops'; there are params, macs, memory_access, latency_ms"):
        Budget(flops=3)
