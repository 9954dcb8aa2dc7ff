import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_spaces.nasbench201 import NASBENCH201_OPERATIONS
from trials.bench import retention
from trials.cli import main

KEYS = {"method", "seed", "search_accuracy", "child_accuracy", "child_accuracy_bn_recalibrated", "retrained_accuracy"}


@pytest.mark.slow
def test_retention_writes_rows_table_and_plot_and_goes_on_where_it_was_cut(tmp_path, capsys, monkeypatch):
    output = tmp_path / "r.json"
    words = ["bench", "retention", "--images", "160", "--held_out_images", "50", "--search.epochs", "1"]
    words += ["--space.init_args.channels", "2", "--space.init_args.nodes", "1", "--space.init_args.cells", "2"]
    words += ["--retrain_epochs", "1", "--output", str(output)]
    assert main([*words, "--seeds", "0", "--methods", "snas,random"]) == 0
    first = json.loads(output.read_text())
    assert [(row["method"], row["seed"]) for row in first["rows"]] == [("snas", 0), ("random", 0)]
    capsys.readouterr()

    ran = []
    search = retention.search_with
    monkeypatch.setattr(retention, "search_with", lambda name, *rest: ran.append(name) or search(name, *rest))
    assert main([*words, "--seeds", "0", "--quiet"]) == 0
    assert ran == ["darts", "gumbel_darts"]
    document = json.loads(output.read_text())
    assert document["rows"][:2] == first["rows"]
    assert document["command"].startswith("snas-nni bench retention --images 160 ")
    for row in document["rows"]:
        assert row.keys() >= {*KEYS, "params"}
        assert all(0 <= row[key] <= 1 for key in KEYS - {"method", "seed"})
        assert row["params"] > 0
    assert {row["images"] for row in document["rows"]} == {128}  # whole batches of 64, two of them or a pair
    table = capsys.readouterr().out
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [
        "| snas",
        "| darts",
        "| gumbel_darts",
        "| random",
    ]
    assert table.strip() in output.with_suffix(".md").read_text()
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--images", "100"]) == 2
    assert "holds results of other settings (images)" in capsys.readouterr().err


def write_images(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for split, name, number in itertools.product(("train", "test"), ("dark", "light"), range(40)):
        path = folder / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 128, (8, 8, 3)) + (127 if name == "light" else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_table(path: Path) -> None:
    edges = [(source, target) for target in (1, 2, 3) for source in range(target)]
    lines = ["arch,cifar10_test"]
    for number, names in enumerate(itertools.product(NASBENCH201_OPERATIONS, repeat=6)):
        parts = [
            "|" + "|".join(f"{op}~{i}" for op, (i, j) in zip(names, edges, strict=True) if j == node) + "|"
            for node in (1, 2, 3)
        ]
        lines.append(f"{'+'.join(parts)},{number / 200}")
    path.write_text("\n".join(lines))


@pytest.mark.slow
def test_nasbench201_looks_up_what_was_found(tmp_path, capsys):
    write_images(tmp_path / "images")
    write_table(tmp_path / "table.csv")
    output = tmp_path / "n.json"
    words = ["bench", "nasbench201", "--data.path", str(tmp_path / "images"), "--data.cache", str(tmp_path / "cache")]
    words += ["--data.image_size", "8", "--images", "48", "--held_out_images", "16", "--channels", "2"]
    words += ["--search.epochs", "2", "--search.warmup_epochs", "1", "--search.batch_size", "12"]
    words += ["--seeds", "0", "--random_candidates", "2", "--output", str(output)]
    assert main(words) == 0
    without = json.loads(output.read_text())
    assert [row["table_test"] for row in without["rows"]] == [None] * 4
    assert main([*words, "--table", str(tmp_path / "table.csv")]) == 0
    document = json.loads(output.read_text())
    table = dict(line.rsplit(",", 1) for line in (tmp_path / "table.csv").read_text().splitlines()[1:])
    for before, row in zip(without["rows"], document["rows"], strict=True):
        assert row == {**before, "table_test": float(table[row["arch"]])}
    assert "| snas | 1 |" in capsys.readouterr().out
    assert "| random | 0 |" in output.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["speed"], "there is no comparison 'speed'"),
        (["retention", "--methods", "enas"], "methods is 'enas'"),
        (["nasbench201", "--table", "none.csv"], "cannot read none.csv"),
        (["nasbench201", "--colour", "1"], "there is no setting colour"),
    ],
)
def test_mistakes_are_two(words, message, capsys):
    assert main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


def test_help(capsys):
    assert main(["bench", "--help"]) == 0
    assert main(["bench", "retention", "--help"]) == 0
    assert "--retrain_epochs" in capsys.readouterr().out
    assert main(["bench"]) == 2
