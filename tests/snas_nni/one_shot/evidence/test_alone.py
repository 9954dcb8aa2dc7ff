"""A child that trains alone before it is judged: what that changes, and that it changes nothing else."""

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn
from torch.nn.functional import cross_entropy

from snas_nni import SNAS, SettingError, derive_child
from snas_nni.one_shot.evidence.alone import optimizers_in, train_alone, weights_restored
from snas_nni.one_shot.evidence.batches import Batches
from snas_nni.one_shot.evidence.judging import Judge


class Layers(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice(
            {
                "wide": nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6)),
                "skip": nn.Identity(),
            },
            label="layer",
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layer(x))


@pytest.fixture(scope="module")
def run(tools):
    torch.manual_seed(0)
    made = SNAS(seed=4, settle_epochs=0)
    return tools.search(Layers(), made, max_epochs=1, count=32), made


def judge_of(found, made, epochs):
    return Judge(found.module, made.distribution, [Batches(found.val)], Batches(found.train, 20), seed=5, epochs=epochs)


def test_it_is_judged_as_if_it_had_been_derived_and_trained(run):
    found, made = run
    sample = {"layer": "wide"}
    before = {name: tensor.clone() for name, tensor in made.supernet.state_dict().items()}
    states = torch.get_rng_state()
    judged = judge_of(found, made, 3)(sample)
    plain = judge_of(found, made, 0)(sample)
    assert torch.equal(torch.get_rng_state(), states)
    assert {n: t for n, t in made.supernet.state_dict().items() if not torch.equal(t, before[n])} == {}
    assert all(parameter.grad is None for parameter in made.supernet.parameters())
    assert {n: m.tolist() for n, (m, _) in judged.statistics.items()} == {
        n: m.tolist() for n, (m, _) in plain.statistics.items()
    }

    child = derive_child(made.supernet, sample)
    optimizer = torch.optim.SGD(child.parameters(), lr=0.05, momentum=0.9)
    first, done, steps = optimizer.param_groups[0]["lr"], 0, 3 * len(found.train)
    for epoch in range(3):
        for x, y in Batches(found.train).seeded(5 + epoch):
            optimizer.param_groups[0]["lr"] = first * float(1 + torch.cos(torch.tensor(torch.pi * done / steps))) / 2
            optimizer.zero_grad()
            cross_entropy(child.train()(x), y).backward()
            optimizer.step()
            done += 1
    with torch.no_grad():
        layer = child.layer[1]
        inputs = [child.layer[0](x) for x, _ in Batches(found.train).seeded(5)]
        layer.running_mean.copy_(torch.stack([each.mean(0) for each in inputs]).mean(0))
        layer.running_var.copy_(torch.stack([each.var(0) for each in inputs]).mean(0))
        x, y = (torch.cat(part) for part in zip(*found.val, strict=True))
        accuracy = float((child.eval()(x).argmax(-1) == y).float().mean())
    assert judged.metrics["val_acc"] == pytest.approx(accuracy, abs=1e-6)


def test_a_search_asks_for_it(tools):
    torch.manual_seed(0)
    made = SNAS(seed=4, settle_epochs=1, judge_epochs=2, candidates=2)
    found = tools.search(Layers(), made, max_epochs=2, count=32)
    assert made.chosen_sample() in ({"layer": "wide"}, {"layer": "skip"})
    assert len(made.compare(2)) == 2
    assert found.module is not None


def test_weights_come_back_after_an_error():
    layer = nn.BatchNorm1d(2)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), weights_restored(layer):
        layer(torch.randn(4, 2)).sum().backward()
        with torch.no_grad():
            layer.weight.zero_()
        raise KeyboardInterrupt
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())
    assert layer.weight.grad is None


def test_optimizers_are_found_in_all_that_lightning_takes():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    for configured in (optimizer, [optimizer], ([optimizer], [schedule]), {"optimizer": optimizer, "lr_scheduler": 1}):
        assert list(optimizers_in(configured)) == [optimizer]
    assert list(optimizers_in(None)) == []


def test_several_optimizers_are_refused():
    class Module(nn.Module):
        automatic_optimization = True

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]

    with pytest.raises(SettingError, match="exactly one optimiser"):
        train_alone(Module(), lambda *_: None, [], 0, None)


def test_settings_that_do_not_go_together():
    with pytest.raises(SettingError, match="judge_epochs is 1, but recalibration_batches is 0"):
        SNAS(judge_epochs=1, recalibration_batches=0)
    made = SNAS(judge_epochs=1)
    supernet = made.mutate_model(Layers())
    with pytest.raises(SettingError, match="judge_epochs is 1, but a loop of one's own"):
        made.loop(torch.optim.SGD(supernet.parameters(), lr=0.1), [torch.zeros(2, 6)], epochs=2)
