"""A child's own BatchNorm statistics, against PyTorch's own function on the derived child."""

import nni
import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableBatchNorm2d, MutableConv2d
from torch import nn
from torch.optim.swa_utils import update_bn

from snas_nni import derive_child
from snas_nni.cpu_kernels.memory_format import ChannelsLast
from snas_nni.derivation.recalibration import own_statistics, put_statistics, statistics_restored


def block(kernel):
    return nn.Sequential(nn.Conv2d(4, 4, kernel, padding=kernel // 2), nn.BatchNorm2d(4), nn.ReLU())


class Normalized(ModelSpace):
    """Normalization in a stem, in candidates, in a sliced layer, twice through one layer, and dropout."""

    def __init__(self):
        super().__init__()
        width = nni.choice("width", [2, 4, 6])
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.middle = LayerChoice({"three": block(3), "one": block(1), "skip": nn.Identity()}, label="middle")
        self.wide, self.norm = MutableConv2d(4, width, 1), MutableBatchNorm2d(width)
        self.back = MutableConv2d(width, 4, 1)
        self.twice = nn.BatchNorm2d(4, momentum=0.3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.middle(self.stem(x))
        x = self.back(torch.relu(self.norm(self.wide(x))))
        x = self.twice(torch.tanh(self.twice(x)))
        return self.head(self.drop(x.mean((2, 3))))


@pytest.fixture
def case(tools):
    torch.manual_seed(0)
    strategy, supernet = tools.mutate(Normalized())
    supernet.double()
    strategy.distribution.double()
    batches = [
        torch.randn(size, 1, 6, 6, dtype=torch.float64) * scale for size, scale in ((8, 1.0), (8, 3.0), (5, 0.2))
    ]
    supernet.train()
    with strategy.distribution.use(strategy.distribution.draw(1.0)):
        for batch in batches:
            supernet(batch)  # statistics of the mixture
    return strategy.distribution, supernet, batches


@pytest.mark.parametrize("middle", ["three", "skip"])
@pytest.mark.parametrize("width", [2, 4, 6])
def test_they_are_what_torch_computes_for_the_derived_child(tools, case, middle, width):
    distribution, supernet, batches = case
    sample = {"middle": middle, "width": width}
    child = derive_child(supernet, sample)
    for module in child.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # statistics are those of evaluation, without dropout
    update_bn(batches, child)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    with statistics_restored(supernet), distribution.use(distribution.one_hot_sample(sample)):
        statistics = own_statistics(supernet, supernet, batches)
        own = derive_child(supernet, sample)
    for name, value in child.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(own.state_dict()[name], value)
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(own.eval()(x), child.eval()(x))
    assert set(statistics) == {"stem.1", "norm", "twice", *(["middle.three.1"] if middle == "three" else [])}
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name]), name  # to the bit
    assert supernet.training
    assert all(module.training for module in supernet.modules())


def test_layers_that_do_not_run_keep_theirs(case):
    distribution, supernet, batches = case
    kept = supernet.middle["one"][1].running_mean.clone()
    with distribution.use(distribution.one_hot_sample({"middle": "three", "width": 2})):
        statistics = own_statistics(supernet, supernet, batches)
    assert torch.equal(supernet.middle["one"][1].running_mean, kept)
    assert len(statistics["norm"][0]) == 2
    changed = supernet.norm.running_mean[2:].clone()
    put_statistics(supernet, {"norm": (torch.ones(2), torch.full((2,), 2.0))})
    assert supernet.norm.running_mean[:2].tolist() == [1.0, 1.0]
    assert supernet.norm.running_var[:2].tolist() == [2.0, 2.0]
    assert torch.equal(supernet.norm.running_mean[2:], changed)


def test_an_error_leaves_the_network_as_it_was(case):
    distribution, supernet, batches = case
    before = {name: value.clone() for name, value in supernet.state_dict().items()}

    def fail(batch):
        supernet(batch)
        raise RuntimeError("the loader broke")

    with (
        distribution.use(distribution.one_hot_sample({"middle": "one", "width": 4})),
        pytest.raises(RuntimeError, match="broke"),
    ):
        own_statistics(supernet, fail, batches)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    assert supernet.training
    assert not supernet.norm._forward_pre_hooks


def test_a_network_without_normalization_has_none():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert own_statistics(network, network, [torch.zeros(1, 2)]) == {}
    assert network.training


def test_a_pass_beside_the_batches_does_not_count():
    """The first pass of a process tries the network in another memory order, in evaluation mode."""
    torch.manual_seed(1)
    network, batches = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), [torch.randn(4, 1, 6, 6) for _ in range(3)]
    expected = own_statistics(network, network, batches)
    handle = network.register_forward_pre_hook(ChannelsLast(if_it_runs=True))
    found = own_statistics(network, network, batches)
    handle.remove()
    for name, (mean, variance) in expected.items():
        torch.testing.assert_close(found[name][0], mean)
        torch.testing.assert_close(found[name][1], variance)
