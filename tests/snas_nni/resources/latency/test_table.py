"""Latency tables: what a child's time is by definition, files, use on another machine, order of magnitude."""

import copy
import json
import math
import random
import stat
import time
from types import SimpleNamespace

import nni
import pytest
import torch
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, MutableConv2d
from torch import nn

from snas_nni import SNAS, Budget, ResourcePenalty, SettingError, derive_child
from snas_nni.distribution.choices import AnyOf, OneOf
from snas_nni.distribution.polynomial import ONE, Polynomial
from snas_nni.resources import LatencyTable, cost_range, measure_latency
from snas_nni.resources.latency.eager import _Stopwatch, _WatchedTrace

IMAGES = torch.zeros(1, 3, 8, 8)


class Tiny(ModelSpace):
    """A nested choice, a shared label, a width, an input choice."""

    def __init__(self):
        super().__init__()
        inner = LayerChoice({"small": nn.Conv2d(4, 4, 1), "large": nn.Conv2d(4, 4, 5, padding=2)}, label="inner")
        width = nni.choice("width", [2, 64])
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(
            LayerChoice({"nested": inner, "skip": nn.Identity()}, label="outer"),
            LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="shared"),
            LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="shared"),
            MutableConv2d(4, width, 3, padding=1),
            MutableConv2d(width, 4, 1),
        )
        self.inputs = InputChoice(2, n_chosen=None, label="inputs")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.inputs([x, self.body(x)]).mean((2, 3)))


@pytest.fixture(scope="module")
def measured(kit):
    case = kit.counted(Tiny, IMAGES)
    case.choices = case.distribution.choices
    case.table = measure_latency(case.supernet, case.distribution, IMAGES, warmup=1, repeats=5)
    return case


@pytest.fixture
def path(measured, tmp_path):
    file = tmp_path / "laptop.json"
    measured.table.save(file, measured.choices)
    return file


def test_a_table_says_where_and_how_it_was_measured(measured):
    assert measured.table.measurement == {"inputs": [[1, 3, 8, 8]], "warmup": 1, "repeats": 5}
    assert measured.table.device["device"] == "cpu"
    assert measured.table.device["torch"] == torch.__version__
    assert measured.table.device["threads"] == torch.get_num_threads()


def test_every_candidate_has_a_time_under_its_condition(measured):
    found = {term for polynomial in measured.table.parts.values() for term in polynomial.terms}
    expected = {
        (),
        (("outer", 0),),
        (("outer", 1),),
        (("inner", 0), ("outer", 0)),
        (("inner", 1), ("outer", 0)),
        (("shared", 0),),
        (("shared", 1),),
        (("width", 1),),
    }
    assert found == expected
    assert {owner for owner in measured.table.parts if owner and owner[0] == "shared"} == {("shared", 0), ("shared", 1)}
    for owner, polynomial in measured.table.parts.items():
        for value in polynomial.terms.values():
            assert 0 < value < 1000 or owner == ("width", 0)  # a difference, which noise may turn round


def test_a_childs_latency_is_the_sum_of_its_entries(measured, kit):
    strategy = SNAS(seed=1, latency_table=measured.table)
    strategy.mutate_model(Tiny())
    model = strategy.cost_model(IMAGES)
    for sample in kit.samples(strategy.distribution, 12, seed=2):
        chosen = model.indices(sample)
        total = sum(
            value
            for polynomial in measured.table.parts.values()
            for term, value in polynomial.terms.items()
            if all(chosen[label] == index for label, index in term)
        )
        assert model.of(sample)["latency_ms"] == pytest.approx(total, rel=1e-12)


def test_a_wider_layer_costs_its_difference(measured):
    """64 channels instead of 2 cannot be free, and the entry of the first width is nothing."""
    terms = measured.table.parts["width", 0].terms
    assert (("width", 0),) not in terms
    assert (("width", 1),) in terms


def test_the_order_of_magnitude_is_that_of_the_child(kit):
    class Heavy(ModelSpace):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                LayerChoice({"conv": nn.Conv2d(3, 64, 3, padding=1), "thin": nn.Conv2d(3, 64, 1)}, label="a"),
                nn.Conv2d(64, 64, 3, padding=1),
            )

        def forward(self, x):
            return self.layers(x)

    images = torch.zeros(1, 3, 64, 64)
    case = kit.counted(Heavy, images)
    table = measure_latency(case.supernet, case.distribution, images, warmup=2, repeats=7)
    predicted = sum(p.value({"a": 0}) for p in table.parts.values())
    child = derive_child(case.supernet, {"a": "conv"}).eval()
    times = []
    with torch.no_grad():
        for _ in range(9):
            start = time.perf_counter()
            child(images)
            times.append(1000 * (time.perf_counter() - start))
    assert 0.2 < predicted / sorted(times)[4] < 5


def test_a_stopwatch_gives_each_stretch_its_own_time(monkeypatch):
    """Nested: what runs inside another stretch is not counted twice, nor is the watching. The clock ticks as told."""
    ticks = iter([0.0, 1.0, 1.5, 3.5, 4.0, 7.0, 8.0, 12.0, 13.0, 18.0])
    monkeypatch.setattr("snas_nni.resources.latency.eager.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    stopwatch = _Stopwatch(lambda: None)
    trace = _WatchedTrace(stopwatch, {})
    stopwatch.start()
    outer, inner = Polynomial.entry("a", 0), Polynomial.entry("b", 1)
    with trace.when(outer, ("a", 0)), trace.when(inner, ("b", 0)):
        pass
    laps = stopwatch.stop()
    assert laps == [1.0 + 5.0, 2.0 + 4.0, 3.0]
    assert [owner for owner, _ in trace.stretches] == [None, ("a", 0), ("b", 0)]
    assert [p.terms for _, p in trace.stretches] == [ONE.terms, outer.terms, (outer * inner).terms]


@pytest.mark.parametrize("settings", [{"warmup": 0}, {"repeats": 0}])
def test_measurements_without_a_pass_are_refused(measured, settings):
    with pytest.raises(SettingError, match="warmup and repeats must be >= 1"):
        measure_latency(measured.supernet, measured.distribution, IMAGES, **settings)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_file_gives_back_the_table(measured, path):
    loaded = LatencyTable.load(path, measured.choices)
    assert {owner: dict(p.terms) for owner, p in loaded.parts.items()} == {
        owner: dict(p.terms) for owner, p in measured.table.parts.items() if p.terms
    }
    assert loaded.device == measured.table.device
    assert loaded.measurement == measured.table.measurement
    assert json.loads(path.read_text())["format"] == "snas-nni/latency"
    assert [file.name for file in path.parent.iterdir()] == ["laptop.json"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(measured, path):
    before = path.read_text()
    broken = LatencyTable(measured.table.parts, device={"unwritable": object()})
    with pytest.raises(TypeError):
        broken.save(path, measured.choices)
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["laptop.json"]


def test_others_may_read_the_file(path):
    assert path.stat().st_mode & stat.S_IRGRP


def test_candidates_with_one_name_cannot_be_written(measured, tmp_path):
    with pytest.raises(SettingError, match="label 'a': two candidates have the same name"):
        measured.table.save(tmp_path / "t.json", {"a": OneOf("a", (1, "1"))})


def damaged(document, chooser):
    """The document with one value somewhere replaced, removed or added."""
    document = copy.deepcopy(document)
    places = []

    def walk(node):
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(document)
    node, key = chooser.choice(places)
    odd = [
        None, True, False, -1, 0, 10**400, 1.5, math.nan, math.inf, "", "no such thing", [], [[]], {}, {"a": []},
        ["outer"], {"label": ["outer"], "index": 0}, {"label": "outer", "index": True}, {"outer": 1},
        {"outer": ["skip"]}, {"inputs": "0"}, {"label": None, "index": None},
    ]  # fmt: skip
    how = chooser.randrange(3)
    if how == 0:
        node[key] = chooser.choice(odd)
    elif how == 1:
        del node[key]
    elif isinstance(node, dict):
        node[chooser.choice(["when", "layer", "label", "index", "extra", "milliseconds"])] = chooser.choice(odd)
    else:
        node.insert(key, chooser.choice(odd))
    return document


def test_of_damaged_files_only_a_setting_error_comes_out(measured, path, tmp_path):
    """600 random damages: refused with the name of the file, or harmless."""
    document, chooser = json.loads(path.read_text()), random.Random(0)
    file, refused = tmp_path / "damaged.json", 0
    for _ in range(600):
        file.write_text(json.dumps(damaged(document, chooser)))
        try:
            loaded = LatencyTable.load(file, measured.choices)
        except SettingError as error:
            refused += 1
            assert "damaged.json" in str(error)  # noqa: PT017
        else:
            sample = {"outer": 0, "inner": 1, "shared": 0, "width": 1}
            assert all(math.isfinite(p.value(sample)) for p in loaded.parts.values())
    assert refused > 200


@pytest.mark.parametrize("position", range(40))
def test_of_damaged_bytes_only_a_setting_error_comes_out(measured, path, tmp_path, position):
    content, chooser = bytearray(path.read_bytes()), random.Random(position)
    for _ in range(10):
        broken = bytearray(content)
        broken[chooser.randrange(len(broken))] = chooser.randrange(256)
        file = tmp_path / "damaged.json"
        file.write_bytes(broken[: chooser.choice([None, chooser.randrange(len(broken))])])
        try:
            LatencyTable.load(file, measured.choices)
        except SettingError as error:
            assert "damaged.json" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format="other"), "format must be 'snas-nni/latency'"),
        (lambda d: d.update(version=2), "version is 2, this program reads 1"),
        (lambda d: d.update(version=True), "version is True"),
        (lambda d: d.pop("entries"), "entries must be a list"),
        (lambda d: d.update(device=[]), "device must be a JSON object"),
        (lambda d: d["entries"].__setitem__(1, 5), r"entries\[1\]: must be an object, got int"),
        (lambda d: d["entries"][0].update(milliseconds="5"), r"entries\[0\].milliseconds: .* got '5'"),
        (lambda d: d["entries"][0].update(milliseconds=math.nan), r"entries\[0\].milliseconds: must be a finite"),
        (lambda d: d["entries"][0].update(milliseconds=True), r"entries\[0\].milliseconds"),
        (lambda d: d["entries"][0].update(when={"other": "skip"}), "no label 'other'; the table is of another space"),
        (lambda d: d["entries"][0].update(when={"outer": "conv"}), "no candidate 'conv'; there are nested, skip"),
        (lambda d: d["entries"][0].update(when={"inputs": "0"}), "label 'inputs' chooses several at once"),
        (lambda d: d["entries"][0].update(layer={"label": "outer"}), r"entries\[0\].layer"),
        (lambda d: d["entries"][0].update(layer={"label": ["outer"], "index": 0}), r"entries\[0\].layer"),
        (lambda d: d["entries"][0].update(layer={"label": "outer", "index": -1}), r"entries\[0\].layer"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(measured, path, change, words):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(SettingError, match=words) as refused:
        LatencyTable.load(path, measured.choices)
    assert str(path) in str(refused.value)


def test_files_that_are_none_are_refused(measured, tmp_path, monkeypatch):
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 200_000)
    for file in (tmp_path / "absent.json", tmp_path, deep):
        with pytest.raises(SettingError, match="cannot be read as JSON") as refused:
            LatencyTable.load(file, measured.choices)
        assert str(file) in str(refused.value)
    monkeypatch.setattr("snas_nni.resources.latency.table.MAX_BYTES", 2**20)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (2**20 + 1))
    with pytest.raises(SettingError, match="more than 1048576 bytes"):
        LatencyTable.load(large, measured.choices)


# ---- use -------------------------------------------------------------------------------------------------------------


def hand_made(path, milliseconds):
    """A table from a slow machine, on which the larger kernel takes as long as ``milliseconds`` says."""
    entries = [
        {"when": {}, "layer": None, "milliseconds": 10.0},
        {"when": {"inner": "small", "outer": "nested"}, "layer": {"label": "inner", "index": 0}, "milliseconds": 1.0},
        {
            "when": {"inner": "large", "outer": "nested"},
            "layer": {"label": "inner", "index": 0},
            "milliseconds": milliseconds,
        },
        {"when": {"shared": "conv"}, "layer": {"label": "shared", "index": 0}, "milliseconds": 2.0},
        {"when": {"shared": "conv"}, "layer": {"label": "shared", "index": 1}, "milliseconds": 3.0},
        {"when": {"width": "64"}, "layer": {"label": "width", "index": 0}, "milliseconds": 4.0},
    ]
    document = {"format": "snas-nni/latency", "version": 1, "device": {"machine": "board"}, "entries": entries}
    path.write_text(json.dumps(document))
    return path


def test_a_table_of_another_machine_bounds_the_child(kit, tmp_path):
    path = hand_made(tmp_path / "board.json", 30.0)
    strategy = SNAS(seed=3, latency_table=path, budget=Budget(latency_ms=18.0), logits_learning_rate=0.1)
    found = kit.searched(Tiny(), strategy, (3, 8, 8), max_epochs=3)
    model = strategy.cost_model()
    assert cost_range(model, "latency_ms") == (10.0, 49.0)
    assert model.of(found.sample)["latency_ms"] <= 18.0
    assert strategy.budget_report.within
    assert strategy.budget_report.costs["latency_ms"] == model.of(found.sample)["latency_ms"]
    assert found.sample["outer"] == "skip" or found.sample["inner"] == "small"
    assert "budget/latency_ms/multiplier" in found.metrics
    expected = model.polynomials["latency_ms"].terms
    assert expected[(("shared", 0),)] == 5.0


def test_latency_is_measured_where_it_is_asked_for_and_there_is_no_table(monkeypatch):
    calls = []

    def measure(*arguments, **settings):
        calls.append(arguments)
        return LatencyTable({("outer", 0): Polynomial.entry("outer", 0) * 5.0, None: ONE})

    monkeypatch.setattr("snas_nni.resources.cost_source.measure_latency", measure)
    for settings, count in (
        ({}, 0),
        ({"budget": Budget(params=500)}, 0),
        ({"budget": Budget(latency_ms=3.0)}, 1),
        ({"regularizers": [ResourcePenalty({"latency_ms": 1.0})]}, 1),
    ):
        calls.clear()
        strategy = SNAS(seed=1, **settings)
        strategy.mutate_model(Tiny())
        model = strategy.cost_model(IMAGES)
        assert len(calls) == count
        assert ("latency_ms" in model.names) == bool(count)


def test_a_table_of_another_space_is_refused(kit, tmp_path):
    class Other(ModelSpace):
        def __init__(self):
            super().__init__()
            self.layer = LayerChoice([nn.Linear(3, 3), nn.Identity()], label="else")

        def forward(self, x):
            return self.layer(x)

    strategy = SNAS(seed=1, latency_table=hand_made(tmp_path / "board.json", 5.0))
    strategy.mutate_model(Other())
    with pytest.raises(SettingError, match=r"board.json: entries\[1\].layer: .* a label of the space"):
        strategy.cost_model(torch.zeros(1, 3))


def test_labels_that_choose_several_have_no_entry(measured):
    assert isinstance(measured.choices["inputs"], AnyOf)
    assert all(label != "inputs" for p in measured.table.parts.values() for term in p.terms for label, _ in term)
