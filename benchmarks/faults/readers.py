"""What reads files of unknown origin: for each, valid files, how it is read, and how what was read is written again."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.faults.mutations import damaged_bytes, damaged_document, yaml_bombs
from exports import Architecture, ArchitectureFileError, build, load, load_weights, save, save_weights
from exports.architecture.files import as_text
from search_spaces import NasBench201Space, SnasCellSpace
from snas_nni import SNAS
from snas_nni.derivation.child import build_child
from snas_nni.distribution.architecture_distribution import ArchitectureDistribution
from snas_nni.resources import LatencyTable, measure_latency
from trials.experiments.experiment_file import read_experiment_file
from trials.progress import Progress
from trials.runs.trained_run import load_trained
from trials.settings.reader import made_of, read_given
from trials.settings.retrain import RetrainSettings
from trials.settings.search import RunSettings

__all__ = ["Reader", "RoundTripError", "all_readers"]

ROOT = Path(__file__).parents[2]
SMALL = {"channels": 2, "cells": 1, "nodes": 1}


class RoundTripError(Exception):
    """What was read, written and read again is not what it was."""


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        name: of the kind.
        file: name of the file.
        folder: where the file belongs; what lies beside it is there.
        documents: parsed valid files.
        write: a document to bytes.
        read: reads the file at a path, and again what it wrote of it; an error of this project's refuses it.
        bombs: files that are hostile as a whole.
    """

    name: str
    file: str
    folder: Path
    documents: list[Any]
    write: Callable[[Any], bytes]
    read: Callable[[Path], None]
    bombs: list[bytes] = field(default_factory=list)

    def damaged(self, chance: random.Random) -> bytes:
        """Return a damaged copy of one of the valid files."""
        document = chance.choice(self.documents)
        if chance.random() < 0.4:
            return damaged_bytes(self.write(document), chance)
        try:
            content = self.write(damaged_document(document, chance))
        except RecursionError:  # nested too deeply to be written by this program, which is not what is tested
            return damaged_bytes(self.write(document), chance)
        return damaged_bytes(content, chance) if chance.random() < 0.1 else content


def all_readers(folder: Path) -> list[Reader]:
    """Make valid files in ``folder`` and return the readers of their kinds."""
    for name in ("records", "weights", "yaml", "results"):
        (folder / name).mkdir()
    return [
        _architectures(folder / "records"),
        *_results(folder / "results"),
        _weights(folder / "weights"),
        *_yaml_files(folder / "yaml"),
        _latency(folder),
    ]


def _json(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "replace")


def _yaml(document: Any) -> bytes:
    return yaml.dump(document, allow_unicode=True, sort_keys=False).encode("utf-8", "replace")


def _record(space: Any, settings: dict[str, Any]) -> tuple[Architecture, Any]:
    sample = {label: mutable.values[-1] for label, mutable in space.simplify().items()}
    child = build_child(type(space), dict(space.trace_kwargs), sample)
    shares = {label: {str(v): 1 / len(m.values) for v in m.values} for label, m in space.simplify().items()}
    architecture = Architecture.create(
        space=space,
        sample=sample,
        child=child,
        probabilities=shares,
        entropy=dict.fromkeys(sample, 1.5),
        seed=3,
        settings=settings,
        metrics={"accuracy": 0.5, "seconds": 12.0},
    )
    return architecture, child


def _architectures(folder: Path) -> Reader:
    documents = []
    for number, space in enumerate((SnasCellSpace(**SMALL), NasBench201Space(channels=2, cells_per_stage=1))):
        architecture, child = _record(space, {"data": {"source": "digits"}, "search": {"epochs": 3}})
        digest = save_weights(child, folder / f"{number}.safetensors")
        documents.append(json.loads(as_text(architecture.with_weights(f"{number}.safetensors", digest))))

    def read(path: Path) -> None:
        architecture = load(path)
        again = load(save(architecture, path.with_name("again.json")).file or "")
        if again != architecture or as_text(again) != as_text(architecture):
            raise RoundTripError(path.name)
        try:
            build(architecture)
        except ArchitectureFileError as error:
            _say(error)

    deep = [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"[" + b"[]," * 700_000 + b"[]]", b" " * (2**22 + 1)]
    valid = _json(documents[0])[:-1]
    many = b", ".join(b'"k%d": 0' % n for n in range(100_000))
    deep += [valid + b', "settings": {' + many + b', "k99999": 1}}', valid.replace(b'"epochs": 3', b'"e": ' + deep[3])]
    return Reader("architecture.json", "architecture.json", folder, documents, _json, read, deep)


def _say(error: Exception) -> None:
    """A refusal to build counts as accepted by the reader; its message must be as good as the reader's."""
    text = str(error)
    if not text.isprintable() or len(text) > 1500:
        raise RoundTripError(f"message {text!r:.300}")


def _results(folder: Path) -> list[Reader]:
    data = {"source": "digits", "path": None, "image_size": None, "validation_fraction": 0.2, "cache": None}
    augmentation = {"random_resized_crop": None, "colour_jitter": [0.0, 0.0, 0.0, 0.0]}
    space = SnasCellSpace(**SMALL, in_channels=1)
    architecture, child = _record(space, {"data": data, "augmentation": augmentation})
    digest = save_weights(child, folder / "weights.safetensors")
    record = json.loads(as_text(architecture.with_weights("weights.safetensors", digest)))
    summary = {
        "class_names": [str(n) for n in range(10)],
        "normalisation": {"mean": [0.3], "deviation": [0.2]},
        "input_shape": [1, 8, 8],
    }

    (folder / "architecture.json").write_bytes(_json(record))
    (folder / "summary.json").write_bytes(_json(summary))

    def write(settings: Any) -> bytes:
        return _json({**record, "settings": settings})

    def read_record(path: Path) -> None:
        (folder / "summary.json").write_bytes(_json(summary))
        load_trained(str(folder), None, {}, Progress(quiet=True))

    def read_summary(path: Path) -> None:
        (folder / "architecture.json").write_bytes(_json(record))
        load_trained(str(folder), None, {}, Progress(quiet=True))

    deep = [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b" " * (2**23 + 1)]
    return [
        Reader("recorded settings", "architecture.json", folder, [record["settings"]], write, read_record),
        Reader("summary.json", "summary.json", folder, [summary], _json, read_summary, deep),
    ]


def _weights(folder: Path) -> Reader:
    torch.manual_seed(0)
    child = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    save_weights(child, folder / "seed.safetensors")
    content = (folder / "seed.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    document = {"header": json.loads(content[8 : 8 + length]), "body": content[8 + length :].hex()}

    def write(document: Any) -> bytes:
        if not isinstance(document, dict) or not isinstance(document.get("body"), str):
            return _json(document)
        header = _json(document.get("header"))
        try:
            body = bytes.fromhex(document["body"])
        except ValueError:
            body = b""
        return struct.pack("<Q", len(header)) + header + body

    def read(path: Path) -> None:
        load_weights(child, path)
        save_weights(child, path.with_name("again.safetensors"))
        before = {name: value.clone() for name, value in child.state_dict().items()}
        load_weights(child, path.with_name("again.safetensors"))
        if any(value.numpy().tobytes() != before[name].numpy().tobytes() for name, value in child.state_dict().items()):
            raise RoundTripError(path.name)

    bombs = [struct.pack("<Q", size) + b"{}" for size in (2**63, 2**40, 2**64 - 1, 99_999_999)]
    for shape in ([2**62, 4], [10**12], [-1], [2**63], [0, 2**63], [1] * 100_000):
        header = _json({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}})
        bombs.append(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    bombs.append(b"\x80\x04cos\nsystem\n(S'touch attacked'\ntR.")  # a pickle
    return Reader("weights", "weights.safetensors", folder, [document], write, read, bombs)


def _yaml_files(folder: Path) -> list[Reader]:
    run = json.loads(json.dumps(asdict(RunSettings())))  # without tuples
    run["space"]["init_args"] = {"channels": 8, "cells": 3}
    short = {"seed": 1, "search": {"epochs": 7, "logits_betas": [0.5, 0.9]}, "resources": {"penalty": "mild"}}
    retrain = json.loads(json.dumps(asdict(RetrainSettings())))
    experiment = yaml.safe_load((ROOT / "snas.yml").read_text(encoding="utf-8"))
    experiment["trialCodeDirectory"] = str(folder)
    remote = {
        **experiment,
        "maxExperimentDuration": "2h",
        "trainingService": {
            "platform": "remote",
            "machineList": [{"host": "192.0.2.1", "user": "u", "password": "p", "port": 22}],
        },
    }
    (folder / "space.json").write_text('{"x": {"_type": "choice", "_value": [1]}}')
    by_file = {name: value for name, value in experiment.items() if name != "searchSpace"}
    by_file["searchSpaceFile"] = str(folder / "space.json")

    def settings_reader(kind: type) -> Callable[[Path], None]:
        def read(path: Path) -> None:
            settings: Any = made_of(read_given([f"--config={path}"], None, kind), kind)
            again = path.with_name("again.yml")
            again.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(settings))), sort_keys=False))
            if made_of(read_given([f"--config={again}"], None, kind), kind) != settings:
                raise RoundTripError(path.name)

        return read

    def read_experiment(path: Path) -> None:
        file = asdict(read_experiment_file(path))
        again = path.with_name("again.yml")
        again.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8-sig")), sort_keys=False))
        second = asdict(read_experiment_file(again))
        if {**file, "path": 0, "name": 0} != {**second, "path": 0, "name": 0}:
            raise RoundTripError(path.name)

    bombs = yaml_bombs()
    return [
        Reader("search settings", "run.yml", folder, [run, short], _yaml, settings_reader(RunSettings), bombs),
        Reader("retrain settings", "again_run.yml", folder, [retrain], _yaml, settings_reader(RetrainSettings), bombs),
        Reader("snas.yml", "snas.yml", folder, [experiment, remote, by_file], _yaml, read_experiment, bombs),
    ]


def _latency(folder: Path) -> Reader:
    strategy = SNAS(seed=1)
    supernet = strategy.mutate_model(SnasCellSpace(**SMALL))
    distribution: ArchitectureDistribution = strategy.distribution
    table = measure_latency(supernet, distribution, torch.zeros(1, 3, 8, 8), warmup=1, repeats=1)
    table.save(folder / "seed.json", distribution.choices)

    def read(path: Path) -> None:
        found = LatencyTable.load(path, distribution.choices)
        found.save(path.with_name("again.json"), distribution.choices)
        again = LatencyTable.load(path.with_name("again.json"), distribution.choices)
        if {o: p for o, p in again.parts.items() if p.terms} != {o: p for o, p in found.parts.items() if p.terms}:
            raise RoundTripError(path.name)

    entry = b'{"when": {}, "layer": null, "milliseconds": 1},'
    head = b'{"format": "snas-nni/latency", "version": 1, "entries": ['
    bombs = [b"[" * 100_000, head + entry * 150_000 + entry[:-1] + b"]}", b" " * (2**23 + 1), b'{"a":' * 50_000]
    document = json.loads((folder / "seed.json").read_text())
    return Reader("latency table", "latency.json", folder, [document], _json, read, bombs)
