"""Computing a cell's activations again in the backward pass changes memory and time, and nothing else."""

import copy

import pytest
import torch
from torch import nn

from search_spaces import NasBench201Space, SnasCellSpace
from search_spaces.checkpointing import run_checkpointed
from snas_nni import SNAS

SPACES = {
    "snas": lambda **more: SnasCellSpace(channels=4, cells=3, **more),
    "auxiliary": lambda **more: SnasCellSpace(channels=4, cells=3, auxiliary=True, affine=True, **more),
    "nasbench201": lambda **more: NasBench201Space(channels=4, cells_per_stage=1, **more),
}
SIDES = {"auxiliary": 32}


def step(make, side, *, autocast=False, **more):
    """Everything that one search step changes or computes."""
    torch.manual_seed(1)
    strategy = SNAS(seed=5)
    supernet = strategy.mutate_model(make(**more)).train()
    images, labels = torch.randn(4, 3, side, side), torch.tensor([0, 1, 2, 3])
    distribution = strategy.distribution
    with distribution.use(distribution.draw(0.7)):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output = supernet(images)
        outputs = output if isinstance(output, tuple) else (output,)
        sum(nn.functional.cross_entropy(o, labels) for o in outputs).backward()
    return {
        "outputs": outputs,
        "weights": {name: p.grad for name, p in supernet.named_parameters()},
        "logits": {name: p.grad for name, p in distribution.named_parameters()},
        "state": dict(supernet.state_dict()),
    }


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("autocast", [False, True])
def test_a_step_is_the_same(space, autocast):
    side = SIDES.get(space, 16)
    plain = step(SPACES[space], side, autocast=autocast)
    checkpointed = step(SPACES[space], side, autocast=autocast, checkpoint_cells=True)
    for part, expected in plain.items():
        torch.testing.assert_close(checkpointed[part], expected, rtol=0, atol=0, msg=part)
    assert any(gradient is not None and gradient.any() for gradient in checkpointed["logits"].values())
    counts = [value for name, value in plain["state"].items() if name.endswith("num_batches_tracked")]
    assert max(counts) == 1


class Cell(nn.Module):
    """Counts its runs; has one BatchNorm."""

    def __init__(self, **norm):
        super().__init__()
        self.conv, self.norm, self.runs = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, **norm), 0

    def forward(self, x):
        self.runs += 1
        return self.norm(self.conv(x)).relu()


@pytest.mark.parametrize("norm", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}])
def test_running_statistics_move_once_for_each_step(norm):
    plain = Cell(**norm)
    checkpointed = copy.deepcopy(plain)
    for _ in range(3):
        x = torch.randn(4, 2, 3, 3)
        plain(x).square().sum().backward()
        run_checkpointed(checkpointed, x).square().sum().backward()
    assert checkpointed.runs == 2 * plain.runs == 6
    torch.testing.assert_close(checkpointed.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert checkpointed.norm.momentum == plain.norm.momentum


def test_a_backward_pass_can_be_repeated():
    cell = Cell()
    loss = run_checkpointed(cell, torch.randn(4, 2, 3, 3)).square().sum()
    first = torch.autograd.grad(loss, cell.conv.weight, retain_graph=True)[0]
    statistics = cell.norm.running_mean.clone()
    torch.testing.assert_close(torch.autograd.grad(loss, cell.conv.weight)[0], first)
    assert torch.equal(cell.norm.running_mean, statistics)


def test_a_failing_second_pass_leaves_the_statistics_in_order():
    cell = Cell()
    loss = run_checkpointed(cell, torch.randn(4, 2, 3, 3)).sum()
    cell.conv = None
    with pytest.raises(TypeError):
        loss.backward()
    assert cell.norm.momentum == 0.1
    assert cell.norm.num_batches_tracked == 1


@pytest.mark.parametrize("train", [True, False])
def test_without_gradients_or_in_evaluation_it_is_a_plain_call(train, monkeypatch):
    monkeypatch.setattr("search_spaces.checkpointing.checkpoint", lambda *_, **__: pytest.fail("was used"))
    cell = Cell().train(train)
    with torch.set_grad_enabled(not train):
        run_checkpointed(cell, torch.randn(4, 2, 3, 3))
    assert cell.runs == 1


def test_what_a_cell_saves_is_not_kept():
    """What autograd keeps between forward and backward: all activations, or the inputs of the cells."""

    def kept(**more):
        space = SnasCellSpace(channels=4, cells=5, **more)
        strategy = SNAS(seed=5)
        supernet = strategy.mutate_model(space).train()
        sizes = {}

        def pack(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with (
            strategy.distribution.use(strategy.distribution.draw(1.0)),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            loss = supernet(torch.randn(4, 3, 16, 16)).sum()
        assert loss.requires_grad
        return sum(sizes.values())

    assert kept(checkpoint_cells=True) < kept() / 5


@pytest.mark.parametrize("make", [SnasCellSpace, NasBench201Space])
def test_the_setting_must_be_true_or_false(make):
    with pytest.raises(ValueError, match="checkpoint_cells"):
        make(checkpoint_cells="yes")
