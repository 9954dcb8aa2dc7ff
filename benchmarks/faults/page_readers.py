"""What shows files of unknown origin: reports, tables of runs, NNI's databases, ONNX files, the kits of latencies."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

from benchmarks.faults.readers import Reader
from exports import Architecture, InputExample, SpaceReference, open_predictor, save
from exports.latency.clock import FORMAT, VERSION
from exports.model_card import model_card
from exports.network.graph import write_network
from exports.network.tracing import trace_network
from exports.onnx_files.description import described_by_summary
from exports.report import write_report
from exports.report.run import read_run
from search_spaces import SnasCellSpace
from snas_nni import SNAS
from snas_nni.derivation.child import build_child
from snas_nni.distribution.choices import chosen_categories
from snas_nni.resources.latency import MeasurementPlan
from trials.experiments.nni_database import DATABASE, experiment_document
from trials.latency.campaign import campaign_of
from trials.latency.kit import read_kit
from trials.runs.comparison import compare
from trials.settings.costs.latency import LatencySettings
from trials.verbs.runs import list_runs

__all__ = ["page_readers"]

SMALL = {"channels": 2, "cells": 1, "nodes": 1}
_DEEP = [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000]


def page_readers(folder: Path) -> list[Reader]:
    """Make valid files in ``folder`` and return the readers of their kinds."""
    for name in ("run", "other", "sweep", "launched", "nnictl", "onnx", "kit"):
        (folder / name).mkdir()
    return [*_runs(folder), _front(folder / "sweep"), _launched(folder / "launched"), _database(folder / "nnictl"),
            _onnx(folder / "onnx"), _kit(folder / "kit")]  # fmt: skip


def _json(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "replace")


def _run(folder: Path) -> dict[str, Any]:
    """Write a run that was never searched; return what is in its files."""
    space = SnasCellSpace(**SMALL, in_channels=1, classes=2)
    sample = {label: mutable.values[-1] for label, mutable in space.simplify().items()}
    shares = {label: {str(v): 1 / len(m.values) for v in m.values} for label, m in space.simplify().items()}
    settings = {"data": {"source": "digits"}, "search": {"epochs": 3}, "resources": {"max_params": 5000.0}, "seed": 1}
    metrics = {"validation_accuracy": 0.5, "test_accuracy": 0.5, "macs": 1e4, "params": 300.0, "seconds": 12.0}
    save(
        Architecture.create(
            space=space,
            sample=sample,
            child=build_child(type(space), dict(space.trace_kwargs), sample),
            probabilities=shares,
            entropy=dict.fromkeys(sample, 1.5),
            seed=3,
            settings=settings,
            metrics=metrics,
        ),
        folder / "architecture.json",
    )
    share = {"right": 6, "count": 8, "interval": [0.4, 0.9], "predicted": 9}
    split = {**share, "classes": [share, share], "confused": [[0, 1, 2], [1, 0, 2]], "complete": True}
    child = {"accuracy": 0.5, "interval": [0.4, 0.6], "params": 300}
    rows = [
        {"epoch": n, "step": 10 * n, "val_acc": 0.1 * n, "search/entropy": 2.0 - n, "search/loss": 2.0}
        for n in range(3)
    ]
    for row in rows:
        row.update({f"probability/{label}/{name}": 0.1 for label, names in shares.items() for name in names})
    files = {
        "settings.yml": settings,
        "summary.json": {
            "settings": settings,
            "metrics": metrics,
            "parameters": 300,
            "input_shape": [1, 8, 8],
            "class_names": ["a", "b"],
            "warnings": ["short"],
            "budget": [{"cost": "params", "bound": 5000.0, "value": 300.0, "within": True}],
        },
        "evidence.json": {
            "metric": "accuracy",
            "class_names": ["a", "b"],
            "splits": {"validation": split, "test": split},
            "random": {"moment": "settling", "child": child, "children": [child, child]},
        },
        "metrics.csv": rows,
    }
    (folder / "settings.yml").write_bytes(_yaml(settings))
    for name in ("summary.json", "evidence.json"):
        (folder / name).write_bytes(_json(files[name]))
    (folder / "metrics.csv").write_bytes(_csv(rows))
    strategy = SNAS(seed=1)
    supernet = strategy.mutate_model(SnasCellSpace(**SMALL, in_channels=1, classes=2))
    write_network(folder, trace_network(supernet, strategy.distribution, sample, InputExample((1, 8, 8))))
    files["network.json"] = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    return files


def _yaml(document: Any) -> bytes:
    return yaml.dump(document, allow_unicode=True, sort_keys=False).encode("utf-8", "replace")


def _csv(document: Any) -> bytes:
    if not isinstance(document, list):
        return _json(document)
    rows = [row for row in document if isinstance(row, dict)]
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
    return "\n".join(lines).encode("utf-8", "replace")


def _runs(folder: Path) -> list[Reader]:
    files = _run(folder / "run")
    _run(folder / "other")
    sound = {name: (folder / "run" / name).read_bytes() for name in files}
    writers: dict[str, Callable[[Any], bytes]] = {"settings.yml": _yaml, "metrics.csv": _csv}

    def reader_of(name: str) -> Reader:
        def read(path: Path) -> None:
            for other in sound.keys() - {name}:
                path.with_name(other).write_bytes(sound[other])
            write_report(folder / "run", folder / "report.html")
            list_runs(folder)
            runs = read_run(folder / "run"), read_run(folder / "other")
            compare(*runs)
            compare(*reversed(runs))
            model_card(folder / "run")

        return Reader(f"report: {name}", name, folder / "run", [files[name]], writers.get(name, _json), read, _DEEP)

    return [reader_of(name) for name in files]


def _front(folder: Path) -> Reader:
    point = {"accuracy": 0.5, "interval": [0.4, 0.6], "folder": "01", "parameters": 300}
    reached = {"cost": 2100, "accuracy": 0.8, "interval": [0.7, 0.9]}
    points = [{**point, "budget": 1000 * n, "cost": 900 * n} for n in (1, 2, 3)]
    document = {"cost": "macs", "title": "MACs", "unit": "", "search": "runs/one", "tune_epochs": 2, "points": points,
                "chosen": reached, "random": [reached, reached]}  # fmt: skip
    return Reader("report: front.json", "front.json", folder, [document], _json, lambda path: _reported(folder), _DEEP)


def _launched(folder: Path) -> Reader:
    trial = {"id": "id0", "number": 0, "status": "SUCCEEDED", "parameters": {"seed": 1}, "folder": "/nowhere",
             "latest": {"default": 0.5}, "final": {"default": 0.5, "params": 300.0, "warnings": ["w"]}, "start": 1.0,
             "finish": 2.0, "host": None, "place": None}  # fmt: skip
    trials = [{**trial, "id": f"id{n}", "number": n, "parameters": {"seed": n, "x": n / 2}} for n in range(9)]
    document = {"id": "abc", "name": "digits", "status": "DONE", "seconds": 3.0, "best": "id0", "trials": trials}
    return Reader(
        "report: experiment.json", "experiment.json", folder, [document], _json, lambda path: _reported(folder), _DEEP
    )


def _reported(folder: Path) -> None:
    write_report(folder, folder / "report.html")


_TABLES = """
CREATE TABLE TrialJobEvent (timestamp, trialJobId, event, data, logPath, sequenceId, message, environmentId);
CREATE TABLE MetricData (timestamp, trialJobId, parameterId, type, sequence, data);
CREATE TABLE ExperimentProfile (params, id, execDuration, startTime, endTime, logDir, nextSequenceId, revision);
"""
_WIDTHS = {"TrialJobEvent": 8, "MetricData": 6, "ExperimentProfile": 8}


def _database(folder: Path) -> Reader:
    parameters = [json.dumps({"parameter_id": n, "parameters": {"seed": n}}) for n in (0, 1)]
    metric = json.dumps(json.dumps({"default": 0.5, "epoch": 1, "epochs": 1}))
    document = {
        "TrialJobEvent": [
            [1000, "a", "WAITING", parameters[0], None, 0, None, None],
            [1000, "b", "WAITING", parameters[1], None, 1, None, None],
            [2000, "a", "RUNNING", None, "/trials/a", 0, None, None],
            [9000, "a", "SUCCEEDED", None, "/trials/a", 0, None, None],
        ],
        "MetricData": [[4000, "a", "0", "FINAL", 0, metric], [4000, "b", "1", "PERIODICAL", 0, metric]],
        "ExperimentProfile": [[json.dumps({"experimentName": "x"}), "abc", 12, 0, 0, "", 2, 1]],
    }
    path = folder / DATABASE
    path.parent.mkdir()

    def write(document: Any, tables: str = _TABLES) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "x.sqlite"
            with closing(sqlite3.connect(file)) as database:
                database.executescript(tables)
                for name, width in _WIDTHS.items():
                    rows = document.get(name) if isinstance(document, dict) else None
                    for row in rows if isinstance(rows, list) else []:
                        cells = [_cell(each) for each in (row if isinstance(row, list) else [row])]
                        cells = (cells + [None] * width)[:width]
                        database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * width)})", cells)
                database.commit()
            return file.read_bytes()

    def read(path: Path) -> None:
        (folder / "experiment.json").write_text(json.dumps(experiment_document(folder)), encoding="utf-8")
        _reported(folder)

    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"
    views = [
        f"CREATE VIEW TrialJobEvent AS {endless} x AS timestamp, 'a' AS trialJobId, 'RUNNING' AS event, NULL AS data, "
        "NULL AS logPath, 0 AS sequenceId FROM c;",
        f"CREATE VIEW TrialJobEvent AS {endless} x AS timestamp, 'a' AS trialJobId, 'RUNNING' AS event, NULL AS data, "
        "NULL AS logPath, 0 AS sequenceId FROM c WHERE x < 0;",
        "CREATE VIEW TrialJobEvent AS SELECT 1 AS timestamp, hex(zeroblob(900000000)) AS trialJobId, 'RUNNING' AS "
        "event, NULL AS data, NULL AS logPath, 0 AS sequenceId;",
    ]
    rest = "\n".join(_TABLES.strip().splitlines()[1:])
    bombs = [write({}, f"{view}\n{rest}") for view in views]
    many = [[1, "a" * 1000, "WAITING", "[" * 100_000, None, 0, None, None]] * 3
    bombs += [write({**document, "TrialJobEvent": many}), write({}), b""]
    return Reader("NNI's database", str(DATABASE), folder, [document], write, read, bombs)


def _cell(value: Any) -> Any:
    """A value as SQLite takes it."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)[:2000]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _onnx(folder: Path) -> Reader:
    summary = {"class_names": ["a", "b"], "metrics": {"test_accuracy": 0.5}, "preparation": {
        "size": [2, 2], "scale": 1 / 255, "mean": [0.1], "deviation": [0.5]}}  # fmt: skip
    described = described_by_summary(summary, InputExample((1, 2, 2), "float32", -1.0, 2.0))
    texts = described.as_properties()
    document = {name: text if name.endswith("version") else json.loads(text) for name, text in texts.items()}
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["input"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])],
        "network",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["batch", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def write(document: Any) -> bytes:
        made = onnx.ModelProto()
        made.CopyFrom(model)
        for name, value in document.items() if isinstance(document, dict) else ():
            entry = made.metadata_props.add()
            entry.key = str(name).encode("utf-8", "replace").decode()
            text = value if isinstance(value, str) else json.dumps(value)
            entry.value = text.encode("utf-8", "replace").decode()
        return made.SerializeToString()

    def read(path: Path) -> None:
        predictor = open_predictor(path)
        if np.prod(predictor.raw_shape, dtype=float) > 1e7:
            return
        for answer in predictor(np.zeros(predictor.raw_shape, np.uint8)):
            answer.top(3) if answer.class_names else answer.values.tolist()

    return Reader("predict: ONNX", "model.onnx", folder, [document], write, read, [b"", b"\x08" * 1000])


def _kit(folder: Path) -> Reader:
    example = InputExample((1, 8, 8), "float32", 0.0, 1.0)
    campaign = campaign_of(lambda: SnasCellSpace(**SMALL, in_channels=1, classes=2), example, LatencySettings())
    choices = campaign.strategy.distribution.choices
    plan: MeasurementPlan = campaign.plan

    def categories(samples: Any) -> list[Any]:
        return [{label: chosen_categories(choice, each) for label, choice in choices.items()} for each in samples]

    timing = {"milliseconds": 1.5, "spread": 0.1, "disturbed": 0}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "device": {"machine": "x"},
        "measurement": {"threads": 1},
        "files": {f"{number:04d}.onnx": timing for number in range(len(plan.samples))},
        "kit": {
            "space": {
                "class_path": SpaceReference.of(SnasCellSpace(**SMALL)).class_path,
                "arguments": {**SMALL, "in_channels": 1, "classes": 2},
            },
            "input": example.as_document(),
            "settings": LatencySettings().runtime,
            "int8": False,
            "fitted": categories(plan.fitted),
            "held_out": categories(plan.held_out),
        },
    }

    def read(path: Path) -> None:
        table, choices = read_kit(path)
        table.save(path.with_name("table.json"), choices)

    return Reader("latency kit", "latency.json", folder, [document], _json, read, _DEEP)
