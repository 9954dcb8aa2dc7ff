"""A supernet at its probabilities: the mean of a linear space's children, and the child where all is certain."""

import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from snas_nni import SNAS, derive_child
from snas_nni.derivation.expected import ExpectedNetwork


class Linear(ModelSpace):
    """Linear in every candidate, so that its output at E[Z] is the expectation over its children."""

    def __init__(self):
        super().__init__()
        self.first = LayerChoice([nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)], label="first")
        self.norm = nn.BatchNorm1d(3)

    def forward(self, inputs):
        return self.norm(self.first(inputs))


def supernet_and(logits):
    torch.manual_seed(0)
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(Linear()).eval()
    with torch.no_grad():
        strategy.distribution.logits_of("first").copy_(torch.tensor(logits))
    return supernet, strategy.distribution


def inputs(seed=1):
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_expectation_over_the_children():
    supernet, distribution = supernet_and([0.5, -1.0, 2.0])
    shares = torch.softmax(torch.tensor([0.5, -1.0, 2.0]), 0)
    children = [derive_child(supernet, {"first": index}).eval()(inputs()) for index in range(3)]
    expected = sum(share * child for share, child in zip(shares, children, strict=True))
    torch.testing.assert_close(ExpectedNetwork(supernet, distribution)(inputs()), expected)


def test_it_is_the_child_where_the_distribution_is_certain():
    supernet, distribution = supernet_and([0.0, 200.0, 0.0])
    child = derive_child(supernet, {"first": 1}).eval()
    torch.testing.assert_close(ExpectedNetwork(supernet, distribution)(inputs()), child(inputs()))


def test_it_is_a_copy_with_statistics_of_its_own():
    supernet, distribution = supernet_and([0.5, -1.0, 2.0])
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    batches = [inputs(2), inputs(3)]
    network = ExpectedNetwork(supernet, distribution, batches)
    shares = torch.softmax(torch.tensor([0.5, -1.0, 2.0]), 0)
    layers = [derive_child(supernet, {"first": index}).first for index in range(3)]
    hidden = [sum(s * layer(each) for s, layer in zip(shares, layers, strict=True)) for each in batches]
    torch.testing.assert_close(network.supernet.norm.running_mean, sum(each.mean(0) for each in hidden) / 2)
    torch.testing.assert_close(network.supernet.norm.running_var, sum(each.var(0) for each in hidden) / 2)
    with torch.no_grad():
        distribution.logits_of("first").zero_()  # it follows the search no further
        output = network(inputs())
    mixed = sum(s * layer(inputs()) for s, layer in zip(shares, layers, strict=True))
    norm = network.supernet.norm
    expected = (mixed - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(output, expected)
    after = supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "label" not in name)
