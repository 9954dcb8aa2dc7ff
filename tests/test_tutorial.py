"""docs/tutorial.md is done as it is written, in an empty folder, and keeps what it promises."""

import contextlib
import importlib
import io
import json
import math
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from exports import build, load
from snas_nni.resources import count_child

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
FENCED = re.compile(r"^```(\w+)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.slow


def shell(commands, folder):
    """Run the lines of a shell block as a user would, with this environment's commands."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python(code):
    """Run a Python block; return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, PAGE.name, "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def processor_seconds():
    """What this process and those it waited for have used."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What each block printed, in order, with its text; the folder; the processor's seconds that all of it took."""
    folder = tmp_path_factory.mktemp("empty")
    printed, start = [], processor_seconds()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for language, title, text in FENCED.findall(PAGE.read_text(encoding="utf-8")):
            if title:
                (folder / title).write_text(text)
            elif language == "sh":
                printed.append((text, shell(text, folder)))
            elif language == "python":
                printed.append((text, python(text)))
            else:
                assert language == "text"
                printed.append(("shown", text))
        yield printed, folder, processor_seconds() - start
    sys.modules.pop("digit_space", None)


def without_numbers(text):
    """Lines of a text with every number replaced: numbers differ between machines, words do not."""
    return [re.sub(r"\d[\d,.]*(?: %|%|s)?", "N", " ".join(line.split())) for line in text.splitlines()]


def test_what_the_page_shows_is_what_is_printed(done):
    printed, _, _ = done
    shown = [(printed[index - 1][1], text) for index, (kind, text) in enumerate(printed) if kind == "shown"]
    assert len(shown) == 2
    for real, text in shown:
        lines = without_numbers(real)
        for line in without_numbers(text):
            assert line == "..." or line in lines, (line, real)
    assert "\n".join(shown[0][1].splitlines()[-3:]) in shown[0][0]  # costs are exact on every machine


def test_what_the_page_promises_is_kept(done):
    printed, folder, seconds = done
    found = folder / "runs" / "digits"
    summary = json.loads((found / "summary.json").read_text())
    assert summary["metrics"]["test_accuracy"] >= 0.9
    assert summary["parameters"] <= 5000
    for name in ("architecture.json", "weights.safetensors", "model.onnx", "report.html"):
        assert (found / name).is_file(), name
    (right,) = re.findall(r"(\d+) of 100 digits", printed[-1][1])
    assert int(right) >= 90
    assert f"{summary['parameters']} parameters" in printed[-2][1]
    assert seconds < 60  # of the processor: a machine that does other work too takes no more of these


def test_the_space_has_as_many_children_as_the_page_says(done):
    _, folder, _ = done
    space = importlib.import_module("digit_space").DigitSpace()
    values = {label: choice.values for label, choice in space.simplify().items()}
    children = sum(math.prod(len(values[f"block{index}"]) for index in range(depth)) for depth in values["depth"])
    assert f"That makes {children} networks" in PAGE.read_text(encoding="utf-8")
    child = build(load(folder / "runs" / "digits" / "architecture.json"), spaces="digit_space.DigitSpace")
    assert count_child(child, torch.zeros(1, 1, 8, 8))["params"] <= 5000
