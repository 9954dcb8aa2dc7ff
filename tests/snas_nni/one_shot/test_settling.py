"""A search that settles: one child is chosen by evidence, trained alone, shown, derived and resumed to the bit."""

import logging
import math
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import DataLoader, Lightning, Trainer
from nni.nas.experiment import NasExperiment
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn
from torch.optim.swa_utils import update_bn

from snas_nni import SNAS, Budget, SettingError, SnasError, derive_child
from snas_nni.one_shot.evidence.batches import Batches, examples_in, held_out, undisturbed_loader
from snas_nni.one_shot.evidence.judging import Judge, Judged, rank
from snas_nni.one_shot.progress import settling_epochs
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.resumable_loader import ResumableLoader


class Layers(ModelSpace):
    """Two choices with normalization, 6 inputs, 3 classes: 12 children of 45 to 255 parameters."""

    def __init__(self):
        super().__init__()

        def candidates():
            return {
                "wide": nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6)),
                "thin": nn.Sequential(nn.Linear(6, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 6)),
                "norm": nn.BatchNorm1d(6),
                "skip": nn.Identity(),
            }

        self.first = LayerChoice(candidates(), label="first")
        self.second = LayerChoice({k: v for k, v in candidates().items() if k != "norm"}, label="second")
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def strategy(**settings):
    return SNAS(
        **{"seed": 4, "logits_learning_rate": 0.1, "settle_epochs": 2, "example_input": torch.zeros(1, 6)} | settings
    )


def searched(tools, made, **more):
    torch.manual_seed(0)
    return tools.search(
        Layers(), made, **{"max_epochs": 4, "count": 64, "loader": ResumableLoader, "shuffle": True, **more}
    )


class Watch(pl.Callback):
    """Notes each step's sample and logits, and each epoch's metrics."""

    def __init__(self):
        self.samples, self.logits, self.epochs = [], [], []

    def on_train_batch_end(self, trainer, module, *_):
        self.logits.append({k: v.detach().clone() for k, v in module.distribution.logits.items()})
        self.samples.append((trainer.current_epoch, module.settling.chosen))

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append({k: float(v) for k, v in trainer.callback_metrics.items()})


class TestSettling:
    @pytest.fixture(scope="class")
    def run(self, tools):
        watch = Watch()
        made = strategy()
        return searched(tools, made, callbacks=[watch]), made, watch

    def test_the_logits_rest_and_the_child_stays(self, run):
        _, made, watch = run
        assert [chosen is not None for _, chosen in watch.samples] == [False] * 16 + [True] * 16
        children = [chosen for _, chosen in watch.samples if chosen is not None]
        assert all(child == children[0] for child in children)
        for key in watch.logits[0]:
            assert not torch.equal(watch.logits[0][key], watch.logits[15][key])
            assert torch.equal(watch.logits[15][key], watch.logits[31][key])
        assert made.chosen_sample() == children[0]

    def test_the_temperature_has_fallen_before(self, run):
        _, _, watch = run
        temperatures = [epoch["search/temperature"] for epoch in watch.epochs]
        assert temperatures == pytest.approx([0.515, 0.03, 0.03, 0.03])

    def test_what_the_last_epoch_showed_is_derived(self, run, tools):
        found, made, watch = run
        sample, child = made.derive()
        assert sample == watch.samples[-1][1]
        x, y = (torch.cat(part) for part in zip(*found.val, strict=True))
        accuracy = float((child.eval()(x).argmax(-1) == y).float().mean())
        assert accuracy == pytest.approx(watch.epochs[-1]["val_acc"], abs=1e-6)
        assert watch.epochs[-1]["sampled/val_acc"] >= 0
        model = next(made.list_models())
        assert model.sample == sample
        tools.assert_same(model.executable_model().eval()(x), child(x))

    def test_only_the_chosen_path_is_trained(self, tools):
        """Without momentum and weight decay, what does not run does not move."""
        kept = {}

        class Keep(pl.Callback):
            def on_train_epoch_start(self, trainer, module):
                if trainer.current_epoch == 2:
                    kept.update({k: v.detach().clone() for k, v in module.training_module.net.named_parameters()})

        made = strategy(candidates=1)
        searched(tools, made, callbacks=[Keep()])
        chosen = made.chosen_sample()
        for name, value in made.supernet.named_parameters():
            label, candidate = name.split(".")[:2]
            runs = label == "head" or chosen[label] == candidate
            if runs and name.endswith(".0.bias"):
                continue  # a normalization behind it takes it out again, so its gradient is 0 but for rounding
            assert torch.equal(value, kept[name]) is not runs, name

    def test_without_settling_the_child_is_the_most_probable_one(self, tools):
        made = strategy(settle_epochs=0)
        searched(tools, made)
        assert made.oneshot_module.settling.chosen is None
        assert made.chosen_sample() == made.distribution.mode()

    def test_bilevel_and_several_samples_settle_too(self, tools):
        made = strategy(bilevel=True, samples_per_step=2)
        watch = Watch()
        searched(tools, made, callbacks=[watch])
        assert made.oneshot_module.settling.chosen is not None
        assert math.isfinite(watch.epochs[-1]["search/loss"])

    def test_without_held_out_data_the_most_probable_child_is_trained(self, tools, caplog):
        made = strategy()
        with caplog.at_level(logging.WARNING):
            searched(tools, made, limit_val_batches=0)
        assert made.chosen_sample() == made.distribution.mode()
        assert "no validation data to compare children on" in caplog.text


class TestResuming:
    @pytest.mark.parametrize("budget", [None, Budget(params=120)])
    def test_a_cut_before_within_and_after_settling_changes_nothing(self, tools, tmp_path, budget):
        """At the end of epoch 1 (before the choice), within epoch 2, at the end of epoch 2."""

        class Save(pl.Callback):
            def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
                if trainer.current_epoch == 2 and batch_idx == 3:
                    trainer.save_checkpoint(tmp_path / "within.ckpt")

            def on_train_epoch_end(self, trainer, module):
                if trainer.current_epoch in (1, 2):
                    trainer.save_checkpoint(tmp_path / f"end{trainer.current_epoch}.ckpt")

        watch = Watch()
        whole = strategy(budget=budget, example_input=None)
        searched(tools, whole, callbacks=[Save(), watch])
        sample, child = whole.derive()
        if budget is not None:
            assert sum(p.numel() for p in child.parameters()) <= 120
        for name in ("end1", "within", "end2"):
            resumed, again = strategy(budget=budget, example_input=None), Watch()
            torch.manual_seed(77)
            tools.search(
                Layers(), resumed, max_epochs=4, count=64, loader=ResumableLoader, shuffle=True, callbacks=[again],
                fit_kwargs={"ckpt_path": tmp_path / f"{name}.ckpt", "weights_only": True},
            )  # fmt: skip
            other, derived = resumed.derive()
            assert other == sample, name
            for key, value in whole.supernet.state_dict().items():
                assert torch.equal(resumed.supernet.state_dict()[key], value), (name, key)
            for key, value in child.state_dict().items():
                assert torch.equal(derived.state_dict()[key], value), (name, key)
            assert resumed.distribution.excluded == whole.distribution.excluded
            # Lightning keeps what an epoch before the cut logged among the whole run's.
            assert again.epochs[-1] == {k: v for k, v in watch.epochs[-1].items() if k in again.epochs[-1]}, name
            assert set(watch.epochs[-1]) - set(again.epochs[-1]) <= {
                k for k in watch.epochs[-1] if k.startswith(("credit/", "penalty/"))
            }


class TestEvidence:
    @pytest.fixture(scope="class")
    def run(self, tools):
        made = strategy(settle_epochs=0)
        return searched(tools, made), made

    def test_a_child_is_judged_with_its_own_statistics_on_all_held_out_data(self, run):
        found, made = run
        judge = Judge(found.module, made.distribution, [Batches(found.val)], Batches(found.val, 20))
        for sample in made.selection().candidates(12):
            judged = judge(sample)
            child = derive_child(made.supernet, sample)
            update_bn(found.val, child)
            x, y = (torch.cat(part) for part in zip(*found.val, strict=True))
            accuracy = float((child.eval()(x).argmax(-1) == y).float().mean())
            assert judged.metrics == {"val_acc": pytest.approx(accuracy, abs=1e-6)}

    def test_looking_leaves_everything_as_it_was(self, run):
        found, made = run
        before = {k: v.clone() for k, v in made.supernet.state_dict().items()}
        modes = [module.training for module in found.module.modules()]
        generators = torch.get_rng_state(), found.train.generator.get_state(), made.distribution.generator.get_state()
        position = found.train.state_dict()
        ranked = made.compare(5)
        assert len(ranked) == 5
        assert all(torch.equal(v, before[k]) for k, v in made.supernet.state_dict().items())
        assert [module.training for module in found.module.modules()] == modes
        after = torch.get_rng_state(), found.train.generator.get_state(), made.distribution.generator.get_state()
        assert all(map(torch.equal, generators, after))
        assert str(found.train.state_dict()) == str(position)
        assert "log" in vars(found.module)  # the search's own redirection
        again = made.compare(5)
        assert [(each.sample, each.metrics) for each in again] == [(each.sample, each.metrics) for each in ranked]

    def test_the_best_of_several_is_derived_with_what_it_was_judged_by(self, run):
        found, made = run
        ranked = made.compare(12)
        values = [each.metrics["val_acc"] for each in ranked]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]
        sample, child = made.derive(candidates=12)
        x, y = (torch.cat(part) for part in zip(*found.val, strict=True))
        assert sample == ranked[0].sample
        assert float((child.eval()(x).argmax(-1) == y).float().mean()) == pytest.approx(values[0], abs=1e-6)

    def test_another_budget_after_the_search(self, run):
        _, made = run
        for bound in (60, 120, 400):
            sample, child = made.derive(budget=Budget(params=bound), candidates=4)
            assert sum(p.numel() for p in child.parameters()) <= bound
            assert made.budget_report.within
            assert made.budget_report.sample == sample
        assert made.budget_report.notes
        with pytest.raises(SettingError, match="below the cheapest child"):
            made.derive(budget=Budget(params=10))

    def test_loaders_of_ones_own(self, run):
        found, made = run
        sample, _ = made.derive(candidates=3, validation=found.val, training=found.train)
        assert sample in made.selection().candidates(3)

    def test_before_a_search_nothing_can_be_compared(self, tools):
        made = strategy()
        made.mutate_model(Layers())
        with pytest.raises(SnasError, match=r"no search was run.*restore a checkpoint"):
            made.derive(candidates=2)
        with pytest.raises(SettingError, match="candidates must be at least 1"):
            made.derive(candidates=0)

    def test_nni_exports_different_children_ranked_by_what_they_reach(self, tools):
        made = strategy(budget=Budget(params=120))
        torch.manual_seed(0)
        evaluator = Lightning(
            tools.PlainClassifier(),
            Trainer(**tools.quiet(max_epochs=3)),
            train_dataloaders=DataLoader(tools.dataset((6,), 3, 64, 1), batch_size=8),
            val_dataloaders=DataLoader(tools.dataset((6,), 3, 64, 2), batch_size=8),
        )
        experiment = NasExperiment(Layers(), evaluator, made)
        experiment.run()
        samples = experiment.export_top_models(top_k=4, formatter="dict")
        children = experiment.export_top_models(top_k=4, formatter="instance")
        one = experiment.export_top_models(formatter="dict")
        experiment.stop()
        assert len({tuple(sorted(sample.items())) for sample in samples}) == 4
        assert samples[0] == one[0] == made.chosen_sample()
        assert all(sum(p.numel() for p in child.parameters()) <= 120 for child in children)
        x, y = (torch.cat(part) for part in zip(*DataLoader(tools.dataset((6,), 3, 64, 2), batch_size=8), strict=True))
        reached = [float((child.eval()(x).argmax(-1) == y).float().mean()) for child in children]
        assert reached[1:] == sorted(reached[1:], reverse=True)


class TestRanking:
    def test_accuracy_decides_and_the_loss_breaks_ties(self):
        reached = ((0.5, 1.0), (0.7, 2.0), (0.7, 1.0))
        children = [Judged({"n": n}, {"val_acc": a, "val_loss": b}) for n, (a, b) in enumerate(reached)]
        assert rank(children) == [children[2], children[1], children[0]]

    def test_the_first_of_equal_ones_stays_first(self):
        children = [Judged({"n": n}, {"val_acc": 0.5}) for n in range(4)]
        assert rank(children) == children

    @pytest.mark.parametrize(
        ("metric", "best"), [(None, 0), ("val_f1", 1), ("-val_mse", 1), ("val_mse", 0), ("-val_loss", 0)]
    )
    def test_a_named_metric_decides_in_its_direction(self, metric, best):
        children = [
            Judged({"n": 0}, {"val_loss": 1.0, "val_f1": 0.1, "val_mse": 3.0}),
            Judged({"n": 1}, {"val_loss": 2.0, "val_f1": 0.2, "val_mse": 2.0}),
        ]
        assert rank(children, metric)[0] is children[best]

    def test_what_is_not_a_number_comes_last(self):
        children = [Judged({"n": 0}, {"val_loss": math.nan}), Judged({"n": 1}, {"val_loss": 9.0})]
        assert rank(children)[0] is children[1]

    @pytest.mark.parametrize("metric", [None, "val_acc"])
    def test_nothing_to_compare_by_is_refused_with_what_there_is(self, metric):
        with pytest.raises(SettingError, match=r"selection_metric: .*logs val_f1"):
            rank([Judged({}, {"val_f1": 1.0}), Judged({}, {"val_f1": 2.0})], metric)


@pytest.mark.parametrize(
    ("settings", "epochs", "expected"),
    [({}, 10, 3), ({}, 4, 0), ({}, 5, 1), ({}, 50, 16), ({"warmup_epochs": 6}, 10, 0), ({"settle_epochs": 3}, 10, 3)],
)
def test_a_third_of_the_epochs_settles_by_default(settings, epochs, expected):
    assert settling_epochs(SearchSettings(**settings), epochs) == expected


def test_no_epoch_left_to_search_in_is_refused(tools):
    with pytest.raises(SettingError, match=r"settle_epochs is 4 and warmup_epochs 1.*max_epochs=4"):
        searched(tools, strategy(settle_epochs=4, warmup_epochs=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("settle_epochs", -1), ("candidates", 0), ("selection_share", 0.0), ("selection_share", 1.1),
     ("recalibration_batches", -1)],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(name, value):
    with pytest.raises(SettingError, match=name):
        SNAS(**{name: value})


class TestBatches:
    def test_a_share_of_the_held_out_batches(self):
        assert held_out(range(10), 0.25).limit == 3
        assert held_out(range(10), 0.01).limit == 1
        assert held_out(range(10), 1.0, 4).limit == 4
        assert held_out(iter(range(10)), 0.5).limit is None

    def test_examples_are_counted_whatever_the_batch_is(self):
        x = torch.zeros(5, 2)
        for batch in (x, (x, x), {"a": x}, [{"b": (x,)}], ["word", x]):
            assert examples_in(batch) == 5
        assert examples_in(["word"]) == 1

    @pytest.mark.parametrize("before", [0, 3])
    def test_a_loader_goes_on_where_it_was(self, tools, before):
        def loader():
            torch.manual_seed(1)
            return ResumableLoader(tools.dataset((6,), 3, 24), batch_size=4, shuffle=True)

        plain, looked_at = loader(), loader()
        expected, seen = [x for x, _ in plain], []
        batches = iter(looked_at)
        seen = [next(batches)[0] for _ in range(before)]
        position = str(looked_at.state_dict())
        with undisturbed_loader(looked_at):
            other = [x for x, _ in looked_at][: max(1, before)]
        assert all(map(torch.equal, other, expected))  # the epoch's own batches, from its start
        assert str(looked_at.state_dict()) == position
        seen += [x for x, _ in batches]
        assert len(seen) == len(expected)
        assert all(map(torch.equal, seen, expected))
        assert all(torch.equal(a, b) for (a, _), (b, _) in zip(plain, looked_at, strict=True))


def test_a_checkpoint_without_settling_loads(tools, tmp_path):
    """A checkpoint of an earlier version has no such state; the child is then chosen where it goes on."""
    made = strategy()

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 2:
                trainer.save_checkpoint(tmp_path / "now.ckpt")

    searched(tools, made, callbacks=[Save()])
    checkpoint = torch.load(tmp_path / "now.ckpt", weights_only=True)
    del checkpoint["snas"]["settling"]
    torch.save(checkpoint, tmp_path / "then.ckpt")
    resumed = strategy()
    torch.manual_seed(5)
    tools.search(
        Layers(), resumed, max_epochs=4, count=64, loader=ResumableLoader, shuffle=True,
        fit_kwargs={"ckpt_path": tmp_path / "then.ckpt", "weights_only": True},
    )  # fmt: skip
    assert resumed.oneshot_module.settling.chosen is not None


def test_a_checkpoint_alone_gives_the_child_and_others(tools, tmp_path):
    """What a later derivation does: no run, no Trainer."""
    found = searched(tools, strategy(budget=Budget(params=120)))
    found.trainer.save_checkpoint(tmp_path / "search.ckpt")
    sample, child = found.strategy.derive()
    best, of_fewer = found.strategy.derive(budget=Budget(params=80), candidates=4)

    made = strategy(budget=Budget(params=120))
    checkpoint = torch.load(tmp_path / "search.ckpt", weights_only=True)
    with pytest.raises(SnasError, match="no supernet yet"):
        _ = made.supernet
    space = Layers()
    made.restore(space, tools.PlainClassifier(), checkpoint, torch.zeros(1, 6))
    assert made.supernet is space
    x = torch.randn(9, 6)
    again, restored = made.derive()
    assert again == sample
    tools.assert_same(restored.eval()(x), child.eval()(x))
    assert made.distribution.excluded == found.strategy.distribution.excluded != {}
    again, restored = made.derive(budget=Budget(params=80), candidates=4, validation=found.val, training=found.train)
    assert again == best
    tools.assert_same(restored.eval()(x), of_fewer.eval()(x))
    with pytest.raises(SnasError, match="no held-out data to compare children on"):
        made.derive(candidates=2)
    with pytest.raises(SnasError, match="not of a search of Layers"):
        strategy().restore(Layers(), tools.PlainClassifier(), {"state_dict": {}})


class TestAccepting:
    """Children that a check refuses are not chosen, before the search settles and after it."""

    @pytest.mark.parametrize("settle_epochs", [0, 2])
    def test_the_first_that_is_accepted_is_the_child(self, tools, settle_epochs):
        best = strategy(settle_epochs=settle_epochs)
        searched(tools, best)
        first = best.derive()[0]
        asked = []

        def accept(sample, child):
            asked.append(sample)
            torch.rand(3)  # nothing that is drawn here is missed by the search
            assert next(child.parameters()).device.type == "cpu"
            assert not child.training
            return sample["first"] != first["first"]

        made = strategy(settle_epochs=settle_epochs, accept=accept)
        searched(tools, made)
        sample, _ = made.derive()
        assert sample["first"] != first["first"]
        assert sample == asked[-1]

    def test_where_none_is_accepted_the_best_is_trained(self, tools, caplog):
        made = strategy(accept=lambda sample, child: False)
        with caplog.at_level(logging.WARNING):
            searched(tools, made)
        assert "is accepted" in caplog.text
        best = strategy()
        searched(tools, best)
        assert made.derive()[0] == best.derive()[0]
        with pytest.raises(SettingError, match="is accepted"):
            made.derive(candidates=2)

    def test_accepting_all_changes_nothing(self, tools):
        made, plain = strategy(accept=lambda sample, child: torch.rand(1) >= 0), strategy()
        for each in (made, plain):
            searched(tools, each)
        for name, value in plain.supernet.state_dict().items():
            assert torch.equal(value, made.supernet.state_dict()[name]), name


class TestLearningRateOfSettling:
    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_it_begins_again_and_falls_along_half_a_cosine(self, tools, share):
        rates, scheduled = [], []

        class Noting(tools.PlainClassifier):
            def optimizer_step(self, epoch, batch_idx, optimizer, *more):
                rates.append(optimizer.param_groups[0]["lr"])
                super().optimizer_step(epoch, batch_idx, optimizer, *more)

        class Watch(pl.Callback):
            def on_train_batch_start(self, trainer, module, *_):
                scheduled.append(trainer.optimizers[0].param_groups[0]["lr"])

        falling = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
        made = strategy(settle_learning_rate=share)
        searched(tools, made, module=Noting(0.2, falling), callbacks=[Watch()])
        assert scheduled == pytest.approx([0.2] * 8 + [0.02] * 8 + [0.002] * 8 + [0.0002] * 8)
        assert rates[:16] == scheduled[:16]
        half = [0.2 * share * (1 + math.cos(math.pi * step / 16)) / 2 for step in range(16)]
        assert rates[16:] == pytest.approx([max(a, b) for a, b in zip(half, scheduled[16:], strict=True)])
