"""The search step against loops written by hand; temperature, warm-up, validation, checkpoints."""

import csv
import itertools
import math
import re
from collections import Counter
from types import SimpleNamespace

import nni
import pytest
import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import DataLoader
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torchmetrics import Accuracy, MetricCollection, Precision, Recall

from snas_nni import SNAS, Regularizer, SettingError, SnasError, UnsupportedSpaceError, derive_child
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.distribution.concrete import entropy
from snas_nni.one_shot.settings import SearchSettings
from snas_nni.resumable_loader import ResumableLoader

EPOCHS, BATCHES, BATCH = 3, 4, 8  # of the searches below


class Space(ModelSpace):
    """Rows in, classes out: a shared label, a zero operation, any number of inputs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            LayerChoice({"linear": nn.Linear(6, 6), "tanh": nn.Tanh(), "none": Zero()}, label="op") for _ in range(2)
        )
        self.choose = InputChoice(2, None, label="inputs")
        self.norm, self.head = nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x):
        y = self.first(x)
        return self.head(self.norm(self.choose([y, self.second(y) + x])))


class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0


def logits_of(strategy):
    return {label: strategy.distribution.logits_of(label).detach().clone() for label in strategy.distribution.choices}


def weights_of(result):
    return {name: tensor.clone() for name, tensor in result.module.net.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def run(tools, *, space=Space, trainer=None, search=None, **settings):
    """A search of a fresh space, always from the same weights."""
    torch.manual_seed(11)
    strategy = SNAS(**{"seed": 5, "logits_learning_rate": 0.05, **settings})
    return tools.search(space(), strategy, **(search or {}), **{"max_epochs": EPOCHS, **(trainer or {})})


def by_hand(tools, **settings):
    """The same search as a plain PyTorch loop."""
    s = SimpleNamespace(
        **{
            "weights_gradient_clip": 5.0,
            "logits_gradient_clip": 10.0,
            "samples_per_step": 1,
            "accumulate_batches": 1,
            "warmup_epochs": 0,
            "regularizers": [],
            "skip_tolerance": SearchSettings().skip_tolerance,
            "bilevel": False,
            **settings,
        }
    )
    torch.manual_seed(11)
    net = Space()
    strategy = SNAS(seed=5, skip_tolerance=s.skip_tolerance)
    strategy.mutate_model(net)
    distribution = strategy.distribution
    weights = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    logits = torch.optim.Adam(distribution.parameters(), lr=0.05, betas=(0.5, 0.999), weight_decay=1e-3)
    train, val = (DataLoader(tools.dataset((6,), 3, BATCHES * BATCH, seed), batch_size=BATCH) for seed in (1, 2))

    def backward(x, y, temperature, step):
        for _ in range(s.samples_per_step):
            sample = distribution.draw(temperature)
            with distribution.use(sample):
                loss = nn.functional.cross_entropy(net(x), y)
                loss = loss + sum(regularizer(distribution, sample, step) for regularizer in s.regularizers)
            (loss / (s.samples_per_step * s.accumulate_batches)).backward()

    def step_logits():
        nn.utils.clip_grad_norm_(distribution.parameters(), s.logits_gradient_clip)
        logits.step()

    def zero():
        weights.zero_grad()
        logits.zero_grad()

    step = 0
    for epoch in range(EPOCHS):
        progress = max(0, epoch + 1 - s.warmup_epochs) / (EPOCHS - s.warmup_epochs)
        temperature = 0.03 if progress == 1 else 0.03 + 0.97 * (1 - progress)
        searching = epoch >= s.warmup_epochs
        for index, (batch, held_out) in enumerate(zip(train, val, strict=True)):
            if s.bilevel and searching:
                backward(*held_out, temperature, step)
                step_logits()
                zero()
            backward(*batch, temperature, step)
            if (index + 1) % s.accumulate_batches == 0 or index == BATCHES - 1:
                nn.utils.clip_grad_norm_(net.parameters(), s.weights_gradient_clip)
                weights.step()
                if searching and not s.bilevel:
                    step_logits()
                zero()
            step += 1
    return SimpleNamespace(strategy=strategy, module=SimpleNamespace(net=net))


def named(options):
    """An id that is the same in every process: a function's text has its address."""
    return re.sub(r"<function (\w+) at \w+>", r"\1", str(options))


def entropy_bonus(distribution, sample, step):
    """A user's regularizer in one line."""
    return -0.3 * torch.stack([entropy(distribution.rows_of(label)).sum() for label in distribution.choices]).sum()


def cost_of_z(distribution, sample, step):
    """A term that reads the sample of the forward pass and the number of the step."""
    return sample.weights["op"][0, 0] * (0.1 + 0.01 * step)


class TestStep:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"skip_tolerance": 0.0},
            {"skip_tolerance": 0.3},
            {"weights_gradient_clip": 0.01},
            {"logits_gradient_clip": 1e-8},
            {"weights_gradient_clip": 0.02, "logits_gradient_clip": 1e-7},
            {"samples_per_step": 3},
            {"accumulate_batches": 2},
            {"accumulate_batches": 3},
            {"samples_per_step": 2, "accumulate_batches": 4},
            {"warmup_epochs": 1},
            {"regularizers": [entropy_bonus]},
            {"regularizers": [entropy_bonus, cost_of_z], "samples_per_step": 2},
            {"bilevel": True},
            {"bilevel": True, "warmup_epochs": 1, "samples_per_step": 2},
        ],
        ids=named,
    )
    def test_it_is_the_loop_written_by_hand(self, tools, settings):
        searched, expected = run(tools, **settings), by_hand(tools, **settings)
        assert_equal(logits_of(searched.strategy), logits_of(expected.strategy))
        assert_equal(weights_of(searched), weights_of(expected))

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "settings",
        [
            {"weights_gradient_clip": 0.01},
            {"logits_gradient_clip": 1e-8},
            {"samples_per_step": 3},
            {"accumulate_batches": 2},
            {"warmup_epochs": 1},
            {"regularizers": [entropy_bonus]},
            {"bilevel": True},
            {"logits_weight_decay": 0.5},
            {"logits_betas": [0.9, 0.99]},
            {"sample_per_layer": True},
            {"initial_logits_std": 1.0},
            {"final_temperature": 0.5},
            {"seed": 6},
        ],
        ids=named,
    )
    def test_every_setting_changes_the_search(self, tools, settings):
        plain, changed = logits_of(run(tools).strategy), logits_of(run(tools, **settings).strategy)
        assert not all(torch.equal(plain[label], changed[label]) for label in plain)

    def test_clipping_one_group_leaves_the_first_step_of_the_other_alone(self, tools):
        one = {"max_epochs": 1, "limit_train_batches": 1}
        plain = run(tools, trainer=one)
        clipped_weights = run(tools, trainer=one, weights_gradient_clip=0.01)
        clipped_logits = run(tools, trainer=one, logits_gradient_clip=1e-8)
        assert_equal(logits_of(plain.strategy), logits_of(clipped_weights.strategy))
        assert_equal(weights_of(plain), weights_of(clipped_logits))

    def test_the_clipped_step_of_the_weights_has_the_length_it_may_have(self, tools):
        torch.manual_seed(11)
        before = dict(Space().named_parameters())
        after = run(tools, trainer={"max_epochs": 1, "limit_train_batches": 1}, weights_gradient_clip=0.01)
        after = dict(after.module.net.named_parameters())
        squares = [float((after[name] - p).square().sum()) for name, p in before.items()]
        assert math.sqrt(sum(squares)) == pytest.approx(0.05 * 0.01, rel=1e-3)

    def test_no_clipping(self, tools):
        free = run(tools, weights_gradient_clip=None, logits_gradient_clip=None)
        loose = run(tools, weights_gradient_clip=1e9, logits_gradient_clip=1e9)
        assert_equal(logits_of(free.strategy), logits_of(loose.strategy))

    def test_the_same_seed_gives_the_same_bits(self, tools):
        first, second, other = run(tools), run(tools), run(tools, seed=6)
        assert_equal(logits_of(first.strategy), logits_of(second.strategy))
        assert_equal(weights_of(first), weights_of(second))
        assert not torch.equal(logits_of(first.strategy)["op"], logits_of(other.strategy)["op"])

    def test_one_draw_for_each_training_step(self, tools, monkeypatch):
        counts = Counter()
        original = ArchitectureDistribution.draw

        def counted(self, temperature, generator=None):
            counts["train" if generator is None else "validation"] += 1
            return original(self, temperature, generator)

        monkeypatch.setattr(ArchitectureDistribution, "draw", counted)
        result = run(tools)
        assert counts == {"train": EPOCHS * BATCHES, "validation": EPOCHS * BATCHES}
        assert result.lightning.search_step == EPOCHS * BATCHES

    def test_validation_changes_nothing(self, tools):
        with_validation = run(tools)
        without = run(tools, trainer={"limit_val_batches": 0, "num_sanity_val_steps": 0})
        assert_equal(logits_of(with_validation.strategy), logits_of(without.strategy))
        assert_equal(weights_of(with_validation), weights_of(without))

    def test_the_logits_learn_what_matters(self, tools):
        """One candidate keeps the information and one destroys it."""

        def init(self):
            self.op = LayerChoice({"keep": nn.Identity(), "none": Zero()}, label="op")
            self.head = nn.Linear(6, 3)

        result = run(
            tools,
            space=tools.space_of(init, lambda s, x: s.head(s.op(x))),
            trainer={"max_epochs": 6},
            search={"count": 64},
        )
        assert result.strategy.distribution.mode() == {"op": "keep"}
        assert result.strategy.distribution.probabilities()["op"]["keep"] > 0.7

    def test_a_loss_in_a_dictionary(self, tools):
        class Dictionary(tools.PlainClassifier):
            def training_step(self, batch, batch_idx):
                return {"loss": super().training_step(batch, batch_idx), "more": 1}

        plain, dictionary = run(tools), run(tools, search={"module": Dictionary()})
        assert_equal(logits_of(plain.strategy), logits_of(dictionary.strategy))

    def test_logits_in_the_users_model_are_left_to_adam(self, tools):
        """A supernet module of NNI's holds the logits, so the evaluator's optimiser was given them too."""
        result = run(
            tools,
            mutation_hooks=[DifferentiableMixedLayer.mutate],
            logits_learning_rate=1e-12,
            trainer={"max_epochs": 1},
        )
        logits = result.strategy.distribution.logits_of("op")
        assert any(p is logits for p in result.module.parameters())
        untouched = SNAS(seed=5)
        untouched.mutate_model(Space())
        torch.testing.assert_close(logits, untouched.distribution.logits_of("op"), rtol=0, atol=1e-9)
        weights, arch = result.lightning._optimizers()
        for optimizer, held in ((weights, False), (arch, True)):
            assert any(p is logits for group in optimizer.param_groups for p in group["params"]) is held

    @pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
    def test_other_precisions(self, tools, precision):
        class Rounded(tools.PlainClassifier):
            def forward(self, x):
                return self.net(x.to(next(self.net.parameters()).dtype))

        result = run(tools, search={"module": Rounded()}, trainer={"precision": precision})
        logits = result.strategy.distribution.logits_of("op")
        assert logits.dtype == (torch.float64 if precision == "64-true" else torch.float32)
        assert torch.isfinite(logits).all()
        assert (logits.detach() - logits.detach().mean()).abs().max() > 0.02


class TestRegularizer:
    def test_it_is_called_with_the_running_sample_and_the_number_of_the_step(self, tools):
        calls = []

        def regularizer(distribution, sample, step):
            calls.append((distribution, sample, step, distribution.current.sample))
            return sample.weights["op"].sum() * 0

        result = run(tools, regularizers=[regularizer])
        assert [step for _, _, step, _ in calls] == list(range(EPOCHS * BATCHES))
        assert all(d is result.strategy.distribution and s is running for d, s, _, running in calls)
        assert len({id(sample) for _, sample, _, _ in calls}) == len(calls)

    def test_an_entropy_bonus_keeps_the_distribution_flat(self, tools):
        flat = run(tools, regularizers=[entropy_bonus], initial_logits_std=2.0, trainer={"max_epochs": 10})
        plain = run(tools, initial_logits_std=2.0, trainer={"max_epochs": 10})
        before = SNAS(seed=5, initial_logits_std=2.0)
        before.mutate_model(Space())
        totals = [sum(s.distribution.entropies().values()) for s in (before, plain.strategy, flat.strategy)]
        assert totals[2] > totals[0]
        assert totals[2] > totals[1]

    def test_its_value_is_logged_under_its_name(self, tools):
        class Named(Regularizer):
            name = "mine"

            def __call__(self, distribution, sample, step):
                return distribution.logits_of("op").sum() * 0 + 2.5

        result = run(tools, regularizers=[Named(), entropy_bonus])
        metrics = result.trainer.callback_metrics
        assert float(metrics["penalty/mine"]) == 2.5
        assert [name for name in metrics if name.startswith("penalty/")] == ["penalty/mine", "penalty/function_1"]

    def test_it_joins_the_reported_loss(self, tools):
        plain = run(tools, logits_learning_rate=1e-12, trainer={"max_epochs": 1})
        raised = run(
            tools,
            logits_learning_rate=1e-12,
            trainer={"max_epochs": 1},
            regularizers=[lambda distribution, sample, step: sample.weights["op"].sum() * 7],
        )
        losses = [float(r.trainer.callback_metrics["search/loss"]) for r in (plain, raised)]
        assert losses[1] - losses[0] == pytest.approx(7, abs=1e-3)
        assert losses[0] == pytest.approx(sum(plain.module.training_losses) / BATCHES, rel=1e-5)


class Watch:
    """Remembers the temperature of every sample and the logits of every step."""

    def __init__(self):
        self.temperatures, self.logits = [], []

    def __call__(self, distribution, sample, step):
        self.temperatures.append(sample.temperature)
        self.logits.append(distribution.logits_of("op").detach().clone())
        return sample.weights["op"].sum() * 0


class TestTemperature:
    def watched(self, tools, epochs, **settings):
        watch = Watch()
        run(tools, regularizers=[watch], trainer={"max_epochs": epochs, "limit_train_batches": 2}, **settings)
        return watch

    @pytest.mark.parametrize("epochs", [1, 2, 5])
    @pytest.mark.parametrize("shape", ["linear", "exponential", "cosine"])
    def test_it_falls_after_every_epoch_and_ends_at_the_final_one(self, tools, epochs, shape):
        settings = {"temperature_schedule": shape, "final_temperature": 0.07, "settle_epochs": 0}
        seen = self.watched(tools, epochs, **settings).temperatures
        assert len(seen) == 2 * epochs
        assert seen[::2] == seen[1::2]
        assert seen[-1] == 0.07
        assert seen[::2] == sorted(set(seen), reverse=True)
        if shape == "linear":
            assert seen[::2] == pytest.approx([0.07 + 0.93 * (1 - (e + 1) / epochs) for e in range(epochs)])

    @pytest.mark.parametrize("epochs", [1, 3])
    def test_it_falls_after_every_step(self, tools, epochs):
        seen = self.watched(tools, epochs, temperature_interval="step").temperatures
        steps = 2 * epochs
        assert seen == pytest.approx([0.03 + 0.97 * (1 - (step + 1) / steps) for step in range(steps)])
        assert seen[-1] == 0.03

    def test_an_own_function_gets_the_progress(self, tools):
        assert self.watched(tools, 4, temperature_schedule=lambda p: 2 - p).temperatures[::2] == [1.75, 1.5, 1.25, 1.0]

    def test_warm_up_holds_the_initial_temperature_and_the_logits(self, tools):
        watch = self.watched(tools, 5, warmup_epochs=2, initial_temperature=0.9)
        assert watch.temperatures[:4] == [0.9] * 4
        assert watch.temperatures[4::2] == pytest.approx([0.03 + 0.87 * 2 / 3, 0.03 + 0.87 / 3, 0.03])
        assert all(torch.equal(logits, watch.logits[0]) for logits in watch.logits[:5])
        assert not torch.equal(watch.logits[5], watch.logits[0])

    def test_a_search_of_warm_up_only_is_refused(self, tools):
        with pytest.raises(SettingError, match="warmup_epochs is 3, but the Trainer has max_epochs=3"):
            run(tools, warmup_epochs=3)

    @pytest.mark.parametrize("trainer", [{"max_epochs": -1, "max_steps": 5}, {"max_epochs": None, "max_steps": 5}])
    def test_a_trainer_without_epochs_is_refused(self, tools, trainer):
        with pytest.raises(SettingError, match="Trainer needs max_epochs"):
            run(tools, trainer=trainer)


class TestRefusals:
    def test_a_loss_that_is_not_finite(self, tools):
        class Explodes(tools.PlainClassifier):
            def training_step(self, batch, batch_idx):
                loss = super().training_step(batch, batch_idx)
                return loss * math.nan if len(self.training_losses) == 7 else loss

        with pytest.raises(
            SnasError,
            match=r"loss is nan at step 6 \(epoch 1, temperature 0\.353\).*learning rate.*weights_gradient_clip",
        ):
            run(tools, search={"module": Explodes()})

    def test_a_regularizer_that_is_not_finite(self, tools):
        with pytest.raises(SnasError, match="loss is inf at step 0"):
            run(tools, regularizers=[lambda distribution, sample, step: sample.weights["op"].sum() * math.inf])

    def test_two_optimisers(self, tools):
        class Two(tools.PlainClassifier):
            def configure_optimizers(self):
                return [torch.optim.SGD(p, lr=0.1) for p in (self.net.head.parameters(), self.net.norm.parameters())]

        with pytest.raises(SettingError, match=r"exactly one optimiser, it has 2.*configure_optimizers"):
            run(tools, search={"module": Two()})

    def test_manual_optimisation(self, tools):
        class Manual(tools.PlainClassifier):
            def __init__(self):
                super().__init__()
                self.automatic_optimization = False

        with pytest.raises(SettingError, match="automatic optimisation"):
            run(tools, search={"module": Manual()})

    def test_accumulating_over_bilevel_steps(self):
        with pytest.raises(SettingError, match="accumulate_batches is 2, but bilevel"):
            SNAS(bilevel=True, accumulate_batches=2)


def accuracy(network, loader):
    network.eval()
    with torch.no_grad():
        right = [(network(x).argmax(-1) == y).sum() for x, y in loader]
    return float(sum(right)) / sum(len(y) for _, y in loader)


class TestValidation:
    def test_the_plain_metric_is_the_childs(self, tools):
        result = run(tools, search={"count": 50})
        sample, child = result.strategy.derive()
        expected = sum(float((child.eval()(x).argmax(-1) == y).float().mean()) * len(y) for x, y in result.val) / 50
        assert float(result.trainer.callback_metrics["val_acc"]) == pytest.approx(expected, abs=1e-6)
        assert accuracy(child, result.val) == pytest.approx(expected, abs=1e-6)
        assert sample == result.strategy.distribution.mode()

    def test_the_sampled_metric_is_of_another_network(self, tools):
        result = run(tools, search={"count": 200}, initial_temperature=1.0, final_temperature=1.0)
        metrics = result.trainer.callback_metrics
        assert 0 <= float(metrics["sampled/val_acc"]) <= 1
        assert float(metrics["sampled/val_acc"]) != float(metrics["val_acc"])

    def test_both_metrics_meet_at_a_temperature_near_zero_of_a_decided_distribution(self, tools):
        result = run(
            tools,
            final_temperature=1e-3,
            initial_temperature=1e-3,
            initial_logits_std=30.0,
            search={"count": 200},
            trainer={"max_epochs": 1},
        )
        metrics = result.trainer.callback_metrics
        assert float(metrics["sampled/val_acc"]) == float(metrics["val_acc"])

    @pytest.mark.parametrize("grouped", [True, False])
    def test_metric_objects_of_the_user_count_the_child_only(self, tools, grouped):
        class WithObjects(tools.PlainClassifier):
            def __init__(self):
                super().__init__()
                kind = {"task": "multiclass", "num_classes": 3}
                self.accuracy = Accuracy(**kind)
                self.several = MetricCollection(
                    {"precision": Precision(**kind, average="macro"), "recall": Recall(**kind, average="macro")},
                    compute_groups=grouped,
                )
                self.updates = 0

            def validation_step(self, batch, batch_idx):
                x, y = batch
                predicted = self(x)
                self.accuracy(predicted, y)
                self.several(predicted, y)
                self.updates += 1
                self.log("val_acc", self.accuracy, on_step=False, on_epoch=True)
                self.log_dict(self.several, on_step=False, on_epoch=True)

        result = run(tools, search={"module": WithObjects(), "count": 52}, final_temperature=0.9)
        updates = result.module.updates
        _, child = result.strategy.derive()  # which looks at a batch once more
        predicted = torch.cat([child.eval()(x).argmax(-1) for x, _ in result.val])
        truth = torch.cat([y for _, y in result.val])
        kind = {"task": "multiclass", "num_classes": 3, "average": "macro"}
        metrics = result.trainer.callback_metrics
        assert float(metrics["val_acc"]) == pytest.approx(float((predicted == truth).float().mean()), abs=1e-6)
        assert float(metrics["precision"]) == pytest.approx(float(Precision(**kind)(predicted, truth)), abs=1e-6)
        assert float(metrics["recall"]) == pytest.approx(float(Recall(**kind)(predicted, truth)), abs=1e-6)
        assert {"sampled/val_acc", "sampled/precision", "sampled/recall"} <= metrics.keys()
        assert updates == 2 * (7 * EPOCHS) + 2  # two passes; the sanity check is the child alone

    def test_hooks_of_the_users_module_run(self, tools):
        class Hooks(tools.PlainClassifier):
            calls: Counter

            def on_validation_epoch_start(self):
                self.calls["start"] += 1

            def on_validation_epoch_end(self):
                self.calls["end"] += 1
                self.log("own", 3.0)

        module = Hooks()
        module.calls = Counter()
        result = run(tools, search={"module": module}, trainer={"num_sanity_val_steps": 0})
        assert module.calls == {"start": EPOCHS, "end": EPOCHS}
        assert float(result.trainer.callback_metrics["own"]) == 3.0

    def test_one_step_of_training_after_validation_is_in_training_mode(self, tools):
        class Modes(tools.PlainClassifier):
            def training_step(self, batch, batch_idx):
                assert self.net.training
                assert self.net.norm.training
                return super().training_step(batch, batch_idx)

            def validation_step(self, batch, batch_idx):
                assert not self.net.norm.training
                assert not torch.is_grad_enabled()
                return super().validation_step(batch, batch_idx)

        run(tools, search={"module": Modes()})


class TestLogging:
    def test_everything_is_in_the_csv_file(self, tools, tmp_path):
        run(
            tools,
            regularizers=[entropy_bonus],
            trainer={"logger": CSVLogger(tmp_path, name="", version=""), "log_every_n_steps": 1},
        )
        with open(tmp_path / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {
            "search/temperature",
            "search/entropy",
            "search/entropy_share",
            "search/top2_gap",
            "search/zero_share",
            "search/logit_movement",
            "search/loss",
            "entropy/op",
            "entropy/inputs",
            "val_acc",
            "sampled/val_acc",
            "train_loss",
            "penalty/function_0",
        }
        assert columns <= rows[0].keys()

        def column(name):
            return [float(row[name]) for row in rows if row[name]]

        assert column("search/temperature") == pytest.approx([0.03 + 0.97 * (1 - e / 3) for e in (1, 2, 3)])
        for name in columns - {"train_loss"}:
            assert len(column(name)) == EPOCHS, name
            assert all(math.isfinite(value) for value in column(name))
        assert all(value > 0 for value in column("search/logit_movement"))
        assert max(column("search/entropy")) <= math.log(3) + 2 * math.log(2) + 1e-5

    def test_logits_that_do_not_move_are_reported(self, tools, caplog):
        def init(self):
            self.op = LayerChoice([nn.Identity(), nn.Identity()], label="op")
            self.head = nn.Linear(6, 3)

        frozen = tools.space_of(init, lambda s, x: s.head(x))  # the choice is not used
        run(tools, space=frozen, logits_weight_decay=0.0, trainer={"max_epochs": 2})
        assert caplog.text.count("no logit moved") == 2
        assert "check that the loss depends on the choices" in caplog.text

    def test_nothing_is_reported_while_warming_up(self, tools, caplog):
        run(tools, warmup_epochs=2)
        assert "no logit moved" not in caplog.text


class TestSchedules:
    def test_a_schedule_by_epoch(self, tools):
        class Scheduled(tools.PlainClassifier):
            def on_train_epoch_start(self):
                self.seen_rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

        module = Scheduled(0.1, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1))
        run(tools, search={"module": module}, trainer={"max_epochs": 6})
        assert module.seen_rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])

    def test_a_schedule_by_step(self, tools):
        class Scheduled(tools.PlainClassifier):
            def configure_optimizers(self):
                optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
                schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
                return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

            def training_step(self, batch, batch_idx):
                self.seen_rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
                return super().training_step(batch, batch_idx)

        module = Scheduled()
        run(tools, search={"module": module}, trainer={"max_epochs": 1})
        assert module.seen_rates == [1.0, 0.5, 0.25, 0.125]

    def test_the_rate_of_the_logits_is_left_alone(self, tools):
        module = tools.PlainClassifier(0.1, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1))
        result = run(tools, search={"module": module})
        assert [o.param_groups[0]["lr"] for o in result.trainer.optimizers] == pytest.approx([1e-4, 0.05])


def noisy(tools):
    """A module that draws random numbers of its own, and logs means and a metric object over the epoch."""

    class Noisy(tools.PlainClassifier):
        def __init__(self):
            super().__init__()
            self.accuracy = Accuracy("multiclass", num_classes=3)

        def training_step(self, batch, batch_idx):
            x, y = batch
            logits = self(nn.functional.dropout(x, 0.2))
            loss = nn.functional.cross_entropy(logits, y)
            self.training_losses.append(float(loss.detach()))
            self.accuracy.update(logits, y)
            self.log("train_acc", self.accuracy, on_step=False, on_epoch=True)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

    return Noisy()


class TestCheckpoint:
    def checkpoints(self, folder):
        return ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_last=True)

    def searched(self, tools, folder, ckpt_path=None, seed=11, loader=DataLoader, **settings):
        torch.manual_seed(seed)
        strategy = SNAS(seed=5, logits_learning_rate=0.05, **settings)
        return tools.search(
            Space(),
            strategy,
            shuffle=True,
            loader=loader,
            fit_kwargs={"ckpt_path": ckpt_path} if ckpt_path else {},
            max_epochs=4,
            enable_checkpointing=True,
            callbacks=[self.checkpoints(folder)],
        )

    @pytest.mark.parametrize("loader", [DataLoader, ResumableLoader])
    @pytest.mark.parametrize("cut", [0, 1, 2])
    def test_a_resumed_search_is_the_uninterrupted_one_bit_for_bit(self, tools, tmp_path, cut, loader):
        whole = self.searched(
            tools, tmp_path / "whole", loader=loader, regularizers=[cost_of_z], temperature_interval="step"
        )
        # Other initial weights, logits and random state: everything has to come from the file.
        resumed = self.searched(
            tools,
            tmp_path / "resumed",
            str(tmp_path / "whole" / f"epoch={cut}.ckpt"),
            seed=99,
            loader=loader,
            regularizers=[cost_of_z],
            temperature_interval="step",
        )
        assert resumed.trainer.global_step == whole.trainer.global_step
        assert len(resumed.module.training_losses) == (3 - cut) * BATCHES
        assert_equal(logits_of(whole.strategy), logits_of(resumed.strategy))
        assert_equal(weights_of(whole), weights_of(resumed))
        assert whole.strategy.distribution.mode() == resumed.strategy.distribution.mode()
        assert whole.module.training_losses[-BATCHES:] == resumed.module.training_losses[-BATCHES:]

    def cut_within_an_epoch(self, tools, folder, loader, shuffle=True, step=12, **settings):
        """A search, and one that resumes from the second of four batches of its second epoch."""
        results = []
        for name, seed in (("whole", 11), ("resumed", 99)):
            torch.manual_seed(seed)
            callback = ModelCheckpoint(folder / name, filename="{step}", every_n_train_steps=2, save_top_k=-1)
            results.append(
                tools.search(
                    Space(),
                    SNAS(seed=5, logits_learning_rate=0.05, **settings),
                    module=noisy(tools),
                    shuffle=shuffle,
                    loader=loader,
                    # Lightning counts the steps of both optimisers: 6 batches are 12 steps.
                    fit_kwargs={"ckpt_path": str(folder / "whole" / f"step={step}.ckpt")} if name == "resumed" else {},
                    max_epochs=EPOCHS,
                    enable_checkpointing=True,
                    callbacks=[callback],
                )
            )
        return results

    def test_a_search_cut_within_an_epoch_goes_on_with_any_loader(self, tools, tmp_path):
        whole, resumed = self.cut_within_an_epoch(tools, tmp_path, DataLoader)
        assert resumed.lightning.search_step == whole.lightning.search_step == EPOCHS * BATCHES
        assert len(resumed.module.training_losses) == EPOCHS * BATCHES - 6
        assert math.isfinite(float(resumed.trainer.callback_metrics["search/logit_movement"]))

    @pytest.mark.parametrize("step", [2, 4, 6, 8, 10, 12, 14])
    @pytest.mark.parametrize("shuffle", [True, False])
    def test_a_search_cut_within_an_epoch_is_the_uninterrupted_one(self, tools, tmp_path, shuffle, step):
        whole, resumed = self.cut_within_an_epoch(
            tools, tmp_path, ResumableLoader, shuffle, step, regularizers=[cost_of_z], temperature_interval="step"
        )
        assert_equal(logits_of(whole.strategy), logits_of(resumed.strategy))
        assert_equal(weights_of(whole), weights_of(resumed))
        assert len(resumed.module.training_losses) == EPOCHS * BATCHES - step // 2
        expected, found = whole.trainer.callback_metrics, resumed.trainer.callback_metrics
        assert expected.keys() == found.keys() >= {"train_loss", "penalty/function_0", "search/loss", "train_acc"}
        assert {k: v for k, v in expected.items() if not torch.equal(v, found[k])} == {}

    def test_the_state_of_the_strategy_is_the_last_checkpoint(self, tools, tmp_path):
        result = self.searched(tools, tmp_path)
        assert result.strategy.state_dict() == {"ckpt_path": str(tmp_path / "last.ckpt")}

    def test_the_logits_are_in_the_checkpoint(self, tools, tmp_path):
        result = self.searched(tools, tmp_path)
        state = torch.load(tmp_path / "last.ckpt", weights_only=False)["state_dict"]
        saved = [t for name, t in state.items() if name.startswith("distribution.label:") or "logits" in name]
        assert len(saved) == 2
        assert any(torch.equal(t, result.strategy.distribution.logits_of("op")) for t in saved)


class TestInterface:
    def test_nnis_exports(self, tools):
        result = run(tools)
        assert result.lightning.export() == result.strategy.distribution.mode()
        probabilities = result.lightning.export_probs()
        assert probabilities == result.strategy.distribution.probabilities() == result.lightning.export_probs()

    def test_resampling_gives_a_sample_of_the_space(self, tools):
        result = run(tools)
        for _ in range(10):
            sample = result.lightning.resample()
            assert sample["op"] in ("linear", "tanh", "none")
            assert set(sample["inputs"]) <= {0, 1}

    def test_the_lightning_module_trains_without_nnis_engine(self, tools):
        """As a plain Lightning module around another."""

        class Inner(tools.PlainClassifier):
            def __init__(self):
                super().__init__()
                self.net = Space()

        inner = Inner()
        strategy = SNAS(seed=5)
        strategy.mutate_model(inner.net)
        module = strategy.configure_oneshot_module(inner)
        train, val = (DataLoader(tools.dataset((6,), 3, 16, seed), batch_size=8) for seed in (1, 2))
        before = logits_of(strategy)
        pl.Trainer(**tools.quiet(max_epochs=2)).fit(module, train, val)
        assert not torch.equal(before["op"], logits_of(strategy)["op"])

    def test_an_evaluator_with_choices_is_refused(self, tools):
        loader = DataLoader(tools.dataset((6,), 3, 8), batch_size=8)
        evaluator = tools.Classification(
            learning_rate=nni.choice("rate", [0.1, 0.2]),
            train_dataloaders=loader,
            val_dataloaders=loader,
            num_classes=3,
            **tools.quiet(max_epochs=1),
        )
        with pytest.raises(UnsupportedSpaceError, match=r"evaluator holds choices.*\(rate\).*nnictl"):
            SNAS()(RawFormatModelSpace(Space(), evaluator), SequentialExecutionEngine())


def test_the_child_after_a_search_at_low_temperature_is_the_supernet(tools):
    result = run(tools)
    sample, child = result.strategy.derive()
    x = torch.randn(5, 6)
    supernet = result.module.net.eval()
    for values in [sample, *itertools.islice(tools.all_or_some_samples(result.strategy.distribution, 6, 1), 6)]:
        expected = tools.run_at(result.strategy.distribution, supernet, values, x)
        tools.assert_same(derive_child(supernet, values).eval()(x), expected)
    tools.assert_same(child.eval()(x), tools.run_at(result.strategy.distribution, supernet, sample, x))
