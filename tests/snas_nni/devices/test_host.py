"""How often the host waits for the device in a step, and what it moves there: counted on a pretended device."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from search_spaces import NasBench201Space, SnasCellSpace
from snas_nni import SNAS, Budget
from snas_nni.distribution import concrete

sys.path.append(str(Path(__file__).parent))
from pretended import PretendedDevice, move, on_device

STEPS = 2


@pytest.fixture(autouse=True)
def drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pretended device draws its noise as a GPU does, with a generator that is there."""
    monkeypatch.setattr(concrete, "_DRAWING", ("cuda", "meta"))
    monkeypatch.setattr(concrete, "_generator_on", lambda _device, generator: generator)


def counted(make: Callable[[], ModelSpace], shape: tuple[int, ...], **settings: object) -> list[tuple[int, int]]:
    """Reads and moves of each step of a search: forward and backward pass, both optimizers, both clips."""
    torch.manual_seed(0)
    strategy = SNAS(seed=0, **settings)  # type: ignore[arg-type]
    supernet = strategy.mutate_model(make())
    if "budget" in settings:
        strategy.cost_model()
    device = PretendedDevice()
    move(supernet, device)
    move(strategy.distribution, device)
    x, y = on_device(torch.randn(shape)), on_device(torch.arange(shape[0]))
    found = []
    with device.running():
        optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)
        search = strategy.loop(optimizer, [x] * STEPS, epochs=2)
        for _ in search:
            for _ in range(STEPS):
                device.taken()
                with search.sample(x):
                    search.step(cross_entropy(supernet(x), y))
                reads, moves = device.taken()
                found.append((len(reads), len(moves)))
    return found


SPACES = {
    "SnasCellSpace": (lambda: SnasCellSpace(channels=2, cells=3, nodes=2), (2, 3, 8, 8)),
    "NasBench201Space": (lambda: NasBench201Space(channels=2, cells_per_stage=1), (2, 3, 8, 8)),
}


def test_a_budget_reads_its_violations_with_the_loss() -> None:
    """The first step also learns what the expected cost starts from, and moves the costs to the device."""
    budget = Budget(params="50%", macs="60%", pull="both")
    found = counted(*SPACES["NasBench201Space"], budget=budget, example_input=torch.zeros(1, 3, 8, 8))
    assert found[1:] == [(2, 0)] * (2 * STEPS - 1)
    assert found[0][0] == 2 + len(budget.bounds)


@pytest.mark.parametrize("settings", [{}, {"sampling": "single_path"}, {"auxiliary_skip": 0.5, "drop_to": 2}], ids=str)
@pytest.mark.parametrize("space", SPACES)
def test_the_host_waits_for_the_sample_and_for_the_loss(space: str, settings: dict[str, object]) -> None:
    assert counted(*SPACES[space], **settings) == [(2, 0)] * (2 * STEPS)


class Careless(ModelSpace):
    """Asks the device twice and moves two tensors there."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice({"one": nn.Linear(4, 4), "other": nn.Linear(4, 4)}, label="layer")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        if y.sum() > 0 or y.mean().item() > 1e9:
            y = y * 2
        return y + torch.ones(4).to(y.device) + y.new_tensor([1.0, 2.0, 3.0, 4.0])


def test_what_a_space_does_carelessly_is_counted() -> None:
    found = counted(Careless, (4, 4))
    assert all(moves == 2 and reads in (3, 4) for reads, moves in found)


def test_tensors_of_the_host_are_refused() -> None:
    with PretendedDevice().running(), pytest.raises(RuntimeError, match="on the same device"):
        on_device(torch.ones(3)) + torch.ones(3)


def test_noise_is_that_of_a_seed_from_the_search_and_leaves_its_other_draws_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(concrete, "_DRAWING", ("cpu",))
    cpu, shape = torch.device("cpu"), (20_000,)
    first, again, other = (concrete.gumbel_noise(shape, torch.Generator().manual_seed(seed), cpu) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Mean 0.5772 and variance 1.6449 of a standard Gumbel; standard errors 0.009 and 0.024 with these many.
    assert float(first.mean()) == pytest.approx(0.5772, abs=0.04)
    assert float(first.var()) == pytest.approx(1.6449, abs=0.1)
    generator = torch.Generator().manual_seed(1)
    assert not torch.equal(concrete.gumbel_noise(shape, generator, cpu), concrete.gumbel_noise(shape, generator, cpu))
