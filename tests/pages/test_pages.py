"""Every command and Python block of README and docs is run, from the wheel in an empty folder, and keeps its word."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from steps import NOT_HERE, PAGES, SHORTER, STEPS, found_in

HERE = Path(__file__).parent
FOUND = {each.key: each for page in PAGES for each in found_in(page)}

pytestmark = pytest.mark.slow


def shorter(text):
    for long, short in SHORTER:
        text = text.replace(long, short)
    return text


def test_every_block_is_known():
    assert set(FOUND) == set(STEPS) | set(NOT_HERE)
    assert not set(STEPS) & set(NOT_HERE)


def steps():
    """What the driver runs, in order."""
    for key, step in STEPS.items():
        each = FOUND[key]
        text = shorter(each.text)
        if each.kind == "python":
            budget = text.replace("2.3e6", "3000")  # of the paper's space; the tiny one has at most 6,746 parameters
            yield {"name": key, "kind": "python", "text": "\n".join((step.before, budget, step.after))}
            continue
        yield {"name": key, "kind": "command", "text": text + step.add}
        if step.after:
            yield {"name": f"after {key}", "kind": "python", "text": step.after}


@pytest.fixture(scope="module")
def results(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    (folder / "tiny_space.py").write_text(FOUND["docs/your_own_space.md 1"].text)
    plan = tmp_path_factory.mktemp("plan") / "steps.json"
    plan.write_text(json.dumps(list(steps())))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [installed / "python", HERE / "driver.py", plan],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert (folder / "results.json").exists(), done.stderr
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("key", STEPS)
def test_it_keeps_its_word(results, key):
    assert key in results, f"not reached; the last was {list(results)[-1]}"
    for name in (key, f"after {key}"):
        if name in results:
            assert results[name]["code"] == 0, results[name]["said"]
    for wanted in STEPS[key].shows:
        assert re.search(wanted, results[key]["said"]), results[key]["said"]
