"""What works with NNI's own spaces: measures the table of docs/hub_spaces.md, and fails where the page says otherwise.

`python -m tests.snas_nni.test_hub_spaces` (or `make hub-spaces`) writes the page anew.
"""

import logging
import re
import warnings
from pathlib import Path

import pytest
import torch
from nni.nas.hub.pytorch import (
    DARTS,
    ENAS,
    PNAS,
    AmoebaNet,
    AutoFormer,
    MobileNetV3Space,
    NasBench101,
    NasBench201,
    NASNet,
    ProxylessNAS,
    ShuffleNetSpace,
)

from exports.conformance import STEPS, check_space

PAGE = Path(__file__).parents[2] / "docs" / "hub_spaces.md"
NARROW = (8, 8, 8, 8, 8, 8, 8, 8, 16)
CELLS = {"width": 4, "num_cells": 3, "dataset": "cifar"}

SPACES = {
    "DARTS": (DARTS, CELLS),
    "DARTS, width and depth chosen": (DARTS, {"width": (4, 8), "num_cells": (3, 5), "dataset": "cifar"}),
    "NASNet": (NASNet, CELLS),
    "ENAS": (ENAS, CELLS),
    "ENAS, depth chosen": (ENAS, {"width": 4, "num_cells": (3, 4), "dataset": "cifar"}),
    "AmoebaNet": (AmoebaNet, CELLS),
    "PNAS": (PNAS, CELLS),
    "NasBench101": (NasBench101, {"stem_out_channels": 8, "num_stacks": 1, "num_modules_per_stack": 1}),
    "NasBench201": (NasBench201, {"stem_out_channels": 4, "num_modules_per_stack": 1}),
    "ProxylessNAS": (ProxylessNAS, {"num_labels": 4, "base_widths": NARROW}),
    "MobileNetV3Space": (
        MobileNetV3Space,
        {
            "base_widths": (8, 8, 16, 16, 16),
            "width_multipliers": (0.5, 1.0),
            "expand_ratios": (1.0, 2.0),
            "squeeze_excite": ("none", "optional"),
            "depth_range": [(1, 2)],
            "stride": (2, 1, 2, 1, 1),
            "activation": ("hswish", "relu", "hswish", "relu", "hswish"),
        },
    ),
    "ShuffleNetSpace": (ShuffleNetSpace, {"num_labels": 4, "channel_search": False}),
    "AutoFormer": (
        AutoFormer,
        {
            "search_embed_dim": (64, 128),
            "search_mlp_ratio": (2.0, 3.0),
            "search_num_heads": (1, 2),
            "search_depth": (1, 2),
            "img_size": 32,
            "patch_size": 8,
            "num_labels": 4,
        },
    ),
}
QUICK = ("DARTS", "NasBench101", "NasBench201", "ENAS")

HEAD = """\
# NNI's hub spaces

Which of NNI's ready-made spaces can be searched and what works with them. The table is measured by
`tests/snas_nni/test_hub_spaces.py`, which fails where this page says something else; `make hub-spaces` writes it anew.

* search: steps of the search; every logit moves, everything stays finite.
* cost: `strategy.cost_model` gives the parameters, MACs, memory access and largest activation of every child exactly.
* derive: the child with inherited weights gives the supernet's outputs.
* rebuild: `architecture.json` and `weights.safetensors` give the child again.
* export: its ONNX file gives the same outputs in ONNX Runtime.

| space | search | cost | derive | rebuild | export |
|---|---|---|---|---|---|
"""

NOTES = """
Measured on two random images of 32 x 32 with small arguments, two random children each. The arguments:

"""

ABOUT = """
## Worth knowing

* **Loose ends** (NASNet, ENAS, AmoebaNet). A cell outputs only the nodes that no other node uses, so the layers behind
  it are narrower in the child. They inherit the columns that they read, and costs count just those. Which columns these
  are is found by running the supernet; a supernet that has never run has nothing worth inheriting.
* **Depth.** Where a stage may be a single cell, the next stage reads another cell, of another size. The supernet has a
  layer of its own for that case. NNI's own supernet of such a stage stops with an error (3 to 5 cells) or derives
  children with new weights there.
* **NAS-Bench-101** couples its choices: which edges are legal depends on all the other edges and on the number of
  nodes, and so does the width of every layer. SNAS draws independent choices, so that its samples would mostly be
  no legal cells. `snas_nni.NasBench201Space` is the benchmark that fits.
* **DropPath** in AutoFormer is random in training and off in evaluation; the table compares in evaluation.
"""


def measured(name):
    """One row of the table, and the reason of what fails."""
    make, arguments = SPACES[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_space(
            lambda: make(**arguments), lambda: torch.randn(2, 3, 32, 32), samples=2, raise_on_failure=False
        )
    marks = ["yes" if step in report.passed else "no" if step in report.failed else "-" for step in STEPS]
    # Addresses and file names in a message would change from run to run.
    reasons = [f"{step}: {re.sub(r'/tmp/[^ ]*', 'FILE', text)}" for step, text in report.failed.items()]
    return f"| {name} | {' | '.join(marks)} |", [f"**{name}**: {' '.join(reason.split())}" for reason in reasons]


def page(rows):
    """The whole page from ``{space: (row, reasons)}``."""
    arguments = [
        f"    {cls.__name__}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
        for cls, given in SPACES.values()
    ]
    reasons = [f"* {reason}" for _, lines in rows.values() for reason in lines]
    failed = "\n## What does not work, in the words of the check\n\n" + "\n".join(reasons) + "\n" if reasons else ""
    return (
        HEAD + "\n".join(row for row, _ in rows.values()) + "\n" + failed + NOTES + "\n".join(arguments) + "\n" + ABOUT
    )


def test_the_page_lists_every_space():
    written = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| ([A-Z][^|]*) \| (?:yes|no)", written, re.MULTILINE) == list(SPACES)
    found = {
        name: (re.search(rf"^\| {re.escape(name)} \|.*$", written, re.MULTILINE)[0],
               re.findall(rf"^\* (\*\*{re.escape(name)}\*\*: .*)$", written, re.MULTILINE))
        for name in SPACES
    }  # fmt: skip
    assert page(found) == written


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.hub) for name in SPACES]
)
def test_the_page_says_what_is_measured(name):
    row, reasons = measured(name)
    written = PAGE.read_text(encoding="utf-8").splitlines()
    assert row in written
    assert all(f"* {reason}" in written for reason in reasons)
    assert sum(line.startswith(f"* **{name}**") for line in written) == len(reasons)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows = {}
    for space in SPACES:
        rows[space] = measured(space)
        print(rows[space][0], flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")
