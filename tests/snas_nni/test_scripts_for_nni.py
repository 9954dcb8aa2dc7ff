"""Scripts that were written for NNI's strategies run with SNAS in their place."""

import operator

import nni
import nni.trial
import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableConv2d, Repeat
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty
from nni.nas.profiler.pytorch.flops import FlopsProfiler, NumParamsProfiler
from torch import nn

from snas_nni import SNAS, SettingError, derive_child
from snas_nni.resources.profiler_penalty import ProfilerPenalty, expectation

IMAGES = torch.randn(2, 3, 6, 6)


class Net(ModelSpace):
    """With a skip, whose count has another type in NNI than a convolution's, and factors that share a label."""

    def __init__(self):
        super().__init__()
        width = nni.choice("width", [2, 4])
        self.stem = MutableConv2d(3, width, 3, padding=1)
        self.deep = MutableConv2d(width, width, 1)
        self.back = MutableConv2d(width, 4, 1)
        self.op = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="op")
        self.tail = Repeat(nn.Conv2d(4, 4, 1), (1, 3), label="depth")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.tail(self.op(self.back(self.deep(self.stem(x))))).mean((2, 3)))


def with_profiler(kind):
    space = Net()
    profiler = kind(space, IMAGES[:1])
    strategy = SNAS(seed=0, initial_logits_std=1.0)
    return profiler, strategy, strategy.mutate_model(space)


@pytest.mark.parametrize("kind", [FlopsProfiler, NumParamsProfiler])
def test_the_expectation_is_that_of_all_samples(tools, kind):
    profiler, strategy, _ = with_profiler(kind)
    distribution = strategy.distribution
    total = 0.0
    for sample in tools.all_or_some_samples(distribution, 100, 0):
        probability = 1.0
        for label, value in sample.items():
            probability *= distribution.probabilities()[label][value]
        total += probability * float(profiler.profile(sample))
    assert float(expectation(profiler.expression, distribution)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("nonlinear", ["linear", "positive", "negative", "absolute"])
def test_the_penalty_is_nnis_and_its_gradient_is_real(nonlinear):
    profiler, strategy, _ = with_profiler(FlopsProfiler)
    distribution = strategy.distribution.double()
    arguments = {"profiler": profiler, "baseline": 3000.0, "scale": 0.5, "nonlinear": nonlinear}
    term = ProfilerPenalty(arguments)
    value = term(distribution, None, 0)
    assert torch.equal(ProfilerPenalty(ExpectationProfilerPenalty(**arguments))(distribution, None, 0), value)
    ratio = float(expectation(profiler.expression, distribution)) / 3000.0 - 1
    expected = {"linear": ratio, "positive": max(ratio, 0), "negative": min(ratio, 0), "absolute": abs(ratio)}
    assert float(value) == pytest.approx(0.5 * expected[nonlinear], rel=1e-5, abs=1e-9)
    if not value.requires_grad or float(value) == 0.0:
        return
    value.backward()
    for label in distribution.choices:
        logits = distribution.logits_of(label)
        found = logits.grad.clone()
        for position in range(len(logits)):
            sides = []
            for step in (1e-4, -2e-4):
                with torch.no_grad():
                    logits[position] += step
                sides.append(float(expectation(profiler.expression, distribution)))
            with torch.no_grad():
                logits[position] += 1e-4
            slope = 0.5 * (sides[0] - sides[1]) / 2e-4 / 3000.0
            slope = slope if nonlinear != "absolute" or ratio > 0 else -slope
            assert float(found[position]) == pytest.approx(slope, rel=1e-3, abs=1e-7)
        assert found.abs().max() > 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"aggregate": "mul"}, "aggregate is 'mul'"),
        ({"baseline": 0}, "baseline is 0"),
        ({"nonlinear": "square"}, "nonlinear is 'square'"),
        ({"profiler": None}, "the profiler is NoneType"),
    ],
)
def test_what_cannot_be_a_penalty_is_named(changes, named):
    profiler = FlopsProfiler(Net(), IMAGES[:1])
    with pytest.raises(SettingError, match=named):
        SNAS(penalty={"profiler": profiler, "baseline": 1000, **changes})


def test_nnis_names_of_arguments():
    settings = SNAS(gradient_clip_val=2.0, arc_learning_rate=0.1).settings
    assert (settings.weights_gradient_clip, settings.logits_learning_rate) == (2.0, 0.1)
    assert SNAS().settings.weights_gradient_clip == 5.0


def test_a_supernet_runs_by_itself(tools):
    strategy, supernet = tools.mutate(Net())
    supernet.eval()
    with torch.no_grad():
        strategy.distribution.logits_of("op")[1] += 3.0
        child = derive_child(supernet, strategy.distribution.mode()).eval()
        assert torch.allclose(supernet(IMAGES), child(IMAGES), atol=1e-6)
        strategy.distribution.logits_of("op")[1] -= 9.0
        child = derive_child(supernet, strategy.distribution.mode()).eval()
        assert torch.allclose(supernet(IMAGES), child(IMAGES), atol=1e-6)


@pytest.mark.parametrize("sampling", ["relaxed", "single_path"])
def test_the_one_shot_module_after_a_search(tools, sampling):
    space = Net()
    profiler = FlopsProfiler(space, IMAGES[:1])
    strategy = SNAS(seed=0, penalty={"profiler": profiler, "baseline": 3000}, gradient_clip_val=1.0, sampling=sampling)
    tools.search(space, strategy, shape=(3, 6, 6), count=16)
    module = strategy.oneshot_module
    assert {id(p) for p in module.arch_parameters()} == {id(p) for p in strategy.distribution.parameters()}
    sample = module.resample()
    assert set(sample) == set(strategy.distribution.choices)
    output = strategy.supernet(IMAGES)
    with strategy.distribution.use(strategy.distribution.current.drawn):
        assert torch.equal(strategy.supernet(IMAGES), output)
    output.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.arch_parameters())


def test_resample_without_a_trainer(tools):
    strategy, supernet = tools.mutate(Net())
    module = strategy.configure_oneshot_module(tools.PlainClassifier())
    module.resample()
    assert strategy.distribution.current.drawn.temperature == 1.0
    assert supernet(IMAGES).shape == (2, 3)


def test_a_search_leaves_the_trials_record_as_it_was(tools, monkeypatch):
    record = {"parameter_id": 7, "parameters": {"learning_rate": 0.1}}
    monkeypatch.setattr(nni.trial, "_params", record)
    monkeypatch.setattr(nni.trial, "_intermediate_seq", 3)
    tools.search(Net(), SNAS(seed=0), shape=(3, 6, 6), count=16)
    assert nni.trial._params is record
    assert nni.trial._intermediate_seq == 3
    assert nni.get_current_parameter("learning_rate") == 0.1


def test_products_of_one_label_are_not_taken_apart(tools):
    strategy, _ = tools.mutate(Net())
    width = nni.choice("width", [2, 4])
    other = nni.choice("depth", [1, 2, 3])
    p, q = strategy.distribution.probabilities()["width"], strategy.distribution.probabilities()["depth"]
    square = sum(p[v] * v * v for v in p)
    assert float(expectation(width * width, strategy.distribution)) == pytest.approx(square, rel=1e-6)
    mean = sum(p[v] * v for v in p) * sum(q[v] * v for v in q)
    assert float(expectation(operator.mul(width, other), strategy.distribution)) == pytest.approx(mean, rel=1e-6)
