"""Folders of runs and experiments, written without searching."""

import csv
import json

import yaml

from exports import Architecture, SpaceReference, save

OPERATIONS = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")
SETTINGS = {
    "space": {"class_path": "search_spaces.SnasCellSpace", "init_args": {"channels": 8}},
    "search": {"epochs": 4, "logits_learning_rate": 0.125},
    "resources": {"max_params": 5000.0, "max_macs": None},
    "seed": 7,
}
METRICS = {
    "validation_accuracy": 0.875,
    "test_accuracy": 0.8125,
    "macs": 123456.0,
    "memory_access": 7890.0,
    "latency_ms": 1.75,
    "seconds": 61.5,
    "params": 4321.0,
}


def architecture(cells=None, **changes):
    cells = cells or {
        "normal": [
            {"from": 0, "to": 2, "op": "sep_conv_3x3", "probability": 0.61},
            {"from": 1, "to": 2, "op": "none", "probability": 0.52},
        ]
    }
    labels = {f"{cell}/edge_{e['from']}_{e['to']}": e for cell, edges in cells.items() for e in edges}
    values = {
        "space": SpaceReference(class_path="search_spaces.SnasCellSpace", arguments={"channels": 8}),
        "sample": {label: edge["op"] for label, edge in labels.items()},
        "cells": cells,
        "probabilities": {
            label: {name: edge.get("probability", 0.4) if name == edge["op"] else 0.1 for name in OPERATIONS}
            for label, edge in labels.items()
        },
        "entropy": dict.fromkeys(labels, 0.25),
        "settings": SETTINGS,
        "versions": {"torch": "2.9.1", "nni": "3.0"},
        "metrics": METRICS,
        "seed": 7,
        "parameters": 4321,
    }
    return Architecture(**{**values, **changes})


def columns(record, epochs=4, **changes):
    """Columns of metrics.csv, ``{name: [value of each epoch]}``."""
    made = {
        "val_acc": [0.3 + 0.15 * epoch for epoch in range(epochs)],
        "sampled/val_acc": [0.25 + 0.15 * epoch for epoch in range(epochs)],
        "train_acc": [0.2 + 0.15 * epoch for epoch in range(epochs)],
        "search/temperature": [1 - 0.25 * epoch for epoch in range(epochs)],
        "search/entropy": [2.5 - 0.5 * epoch for epoch in range(epochs)],
        "search/entropy_share": [0.9 - 0.2 * epoch for epoch in range(epochs)],
        "search/logit_movement": [0.4] * epochs,
        "search/loss": [2.0 - 0.4 * epoch for epoch in range(epochs)],
        "penalty/budget": [0.5] * epochs,
        "budget/params/multiplier": [0.1 * epoch for epoch in range(epochs)],
        "budget/params/expected": [6000.0 - 400 * epoch for epoch in range(epochs)],
        "budget/params/mode": [6500.0 - 700 * epoch for epoch in range(epochs)],
    }
    for label, candidates in record.probabilities.items():
        made[f"credit/task/{label}"] = [0.0625] * epochs
        for candidate, probability in candidates.items():
            made[f"probability/{label}/{candidate}"] = [0.25] * (epochs - 2) + [probability] * 2
    return {**made, **changes}


def write_metrics(path, made):
    """Sparse rows, as Lightning writes them: what training logged stands in a row of its own."""
    names = ["epoch", "step", *made]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for epoch in range(max(map(len, made.values()))):
            row = {name: values[epoch] for name, values in made.items() if epoch < len(values)}
            train = {name: row.pop(name) for name in list(row) if name.startswith("train")}
            writer.writerow({"epoch": epoch, "step": 10 * epoch, **row})
            writer.writerow({"epoch": epoch, "step": 10 * epoch, **train})


def share(right, count, predicted=None):
    return {"right": right, "count": count, "interval": [0.5, 0.75], "predicted": predicted}


EVIDENCE = {
    "metric": "accuracy",
    "class_names": ["cat", "dog"],
    "splits": {
        "validation": {
            **share(14, 16),
            "classes": [share(7, 8, 8), share(7, 8, 8)],
            "confused": [[0, 1, 1], [1, 0, 1]],
            "complete": True,
        },
        "test": {
            **share(13, 16),
            "classes": [share(6, 8, 7), share(7, 8, 9)],
            "confused": [[0, 1, 2], [1, 0, 1]],
            "complete": True,
        },
    },
    "random": {
        "moment": "settling",
        "child": {"accuracy": 0.8, "interval": [0.7, 0.85]},
        "children": [
            {"accuracy": 0.5, "interval": [0.4, 0.6], "params": 3000},
            {"accuracy": 0.3, "interval": [0.2, 0.4], "params": 5000},
        ],
    },
}


def write_run(folder, record=None, made=None, evidence=None, **summary):
    record = record or architecture()
    folder.mkdir(parents=True, exist_ok=True)
    save(record, folder / "architecture.json")
    write_metrics(folder / "metrics.csv", columns(record) if made is None else made)
    (folder / "settings.yml").write_text(yaml.safe_dump(record.settings))
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "model.onnx").write_bytes(b"")
    if evidence is not None:
        (folder / "evidence.json").write_text(json.dumps(evidence))
    document = {
        "settings": record.settings,
        "tuned": {"search.logits_learning_rate": 0.125},
        "input_shape": [1, 8, 8],
        "normalisation": {"mean": [0.306], "deviation": [0.377]},
        "metrics": record.metrics,
        "parameters": record.parameters,
        **summary,
    }
    (folder / "summary.json").write_text(json.dumps(document))
    return folder


def trial(number, accuracy, size, folder=None, **changes):
    made = {
        "id": f"id{number}",
        "number": number,
        "status": "SUCCEEDED",
        "parameters": {"search.logits_learning_rate": 0.1 * (number + 1), "seed": number},
        "latest": {"default": accuracy},
        "final": {
            "default": accuracy,
            "test_accuracy": accuracy - 0.01,
            "parameters": size,
            "macs": None if size is None else 10 * size,
            "entropy": 1.5,
            "output": None if folder is None else str(folder),
        },
        "start": 100.0,
        "finish": 142.0,
        "folder": "/nowhere",
    }
    return {**made, **changes}


def write_experiment(folder, trials, best="id0"):
    folder.mkdir(parents=True, exist_ok=True)
    document = {"id": "abc", "name": "digits", "status": "DONE", "seconds": 300.0, "best": best, "trials": trials}
    (folder / "experiment.json").write_text(json.dumps(document))
    return folder


def point(budget, cost, accuracy, folder, half=0.05):
    return {
        "budget": budget,
        "cost": cost,
        "accuracy": accuracy,
        "interval": [accuracy - half, accuracy + half],
        "folder": folder,
        "parameters": cost,
    }


FRONT = {
    "cost": "macs",
    "title": "MACs",
    "unit": "",
    "search": "runs/one",
    "tune_epochs": 2,
    "points": [
        point(1000, 900, 0.5, "01"),
        point(2000, 1800, 0.8, "02"),
        point(3000, 2500, 0.78, "03"),
        point(4000, 3900, 0.84, "04"),
    ],
    "chosen": {"cost": 2100, "accuracy": 0.82, "interval": [0.77, 0.87]},
    "random": [
        {"cost": 2000, "accuracy": 0.4, "interval": [0.3, 0.5]},
        {"cost": 1000, "accuracy": 0.6, "interval": [0.5, 0.7]},
    ],
}


def write_sweep(folder, front=FRONT, runs=("01", "02", "03", "04")):
    folder.mkdir(parents=True, exist_ok=True)
    for name in runs:
        write_run(folder / name)
    (folder / "front.json").write_text(json.dumps(front))
    return folder
