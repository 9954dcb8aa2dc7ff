"""Which of torchvision's networks become spaces: measures the table of docs/from_model.md, and fails where it differs.

`python -m tests.search_spaces.from_model.test_torchvision_networks` (or `make from-model`) writes the page anew.
"""

import logging
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch

from exports.conformance import STEPS, check_space
from search_spaces import FromModel
from snas_nni import SNAS, derive_child
from snas_nni.resources import count_child

sys.path.append(str(Path(__file__).parent))  # as conftest.py does, for the page
from small_networks import from_torchvision

PAGE = Path(__file__).parents[3] / "docs" / "from_model.md"
MARK = "<!-- measured below -->\n"
SETTINGS = {"widths": (0.5, 1.0), "kernels": (3,)}

NETWORKS = {
    "resnet18": {},
    "mobilenet_v2": {},
    "efficientnet_b0": {},
    "regnet_y_400mf": {},
    "shufflenet_v2_x0_5": {},
    "convnext_tiny": {},
    "vit_b_16": {"image_size": 32},
}
QUICK = ("shufflenet_v2_x0_5",)


@pytest.fixture(autouse=True)
def _quiet():
    """What stays fixed is in the table; other tests listen to warnings again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    yield
    logging.disable(before)


def space_of(name):
    """The space of one network, with random weights."""
    size = NETWORKS[name].get("image_size", 64)
    arguments = {"name": name, **NETWORKS[name]}
    return FromModel("small_networks.from_torchvision", arguments, example=[2, 3, size, size], **SETTINGS), size


def measured(name):
    """One row of the table, and the reasons for what stays or fails."""
    space, size = space_of(name)
    images = torch.randn(2, 3, size, size)
    given = from_torchvision(name, **NETWORKS[name]).eval()
    with torch.no_grad():
        expected = given(images)
        assert expected.std() > 0, "an output that is the same for everything shows nothing"
        same = torch.allclose(space.eval()(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    kinds = [sum(label.endswith(f"/{kind}") for label in space.candidates) for kind in ("width", "block", "kernel")]
    supernet = SNAS(seed=0).mutate_model(space)
    smallest = derive_child(supernet, {label: values[-1] for label, values in space.candidates.items()})
    left = count_child(smallest, images[:1])["macs"] / count_child(given, images[:1])["macs"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_space(lambda: space_of(name)[0], lambda: images, samples=2, raise_on_failure=False)
    marks = ["yes" if step in report.passed else "no" if step in report.failed else "-" for step in STEPS]
    cells = [name, *map(str, kinds), f"{100 * left:.0f} %", "yes" if same else "no", *marks]
    failed = [
        f"{step}: {' '.join(re.sub(r'/tmp/[^ ]*', 'FILE', text).split())}" for step, text in report.failed.items()
    ]
    return f"| {' | '.join(cells)} |", [f"{name}: {text}" for text in [*reasons(space.fixed), *failed]]


def reasons(fixed):
    """Each reason once, with the first layer that has it and how many have."""
    by_reason = {}
    for path, reason in fixed.items():
        by_reason.setdefault(re.sub(r" (of|in) '[^']*'|'[^']*'", "", reason), []).append((path, reason))
    for found in by_reason.values():
        path, reason = found[0]
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        yield f"{path or 'the network'} {reason}{more}"


def table(rows):
    """What the page says below its mark, from ``{network: (row, reasons)}``."""
    head = ["network", "widths", "blocks", "kernels", "MACs of the smallest", "starts as given", *STEPS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(row for row, _ in rows.values())]
    lines += ["", "What stays in them, in the words of the space:", ""]
    lines += [f"* {reason}" for _, found in rows.values() for reason in found]
    return "\n".join(lines) + "\n"


def written():
    return PAGE.read_text(encoding="utf-8").split(MARK)[1]


def test_the_page_lists_every_network():
    assert re.findall(r"^\| (\w+) \| \d", written(), re.MULTILINE) == list(NETWORKS)
    found = {
        name: (re.search(rf"^\| {name} \|.*$", written(), re.MULTILINE)[0],
               re.findall(rf"^\* ({name}: .*)$", written(), re.MULTILINE))
        for name in NETWORKS
    }  # fmt: skip
    assert table(found) == written()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.hub) for name in NETWORKS]
)
def test_the_page_says_what_is_measured(name):
    row, found = measured(name)
    lines = written().splitlines()
    assert row in lines
    assert [line for line in lines if line.startswith(f"* {name}: ")] == [f"* {reason}" for reason in found]


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows = {}
    for network in NETWORKS:
        rows[network] = measured(network)
        print(rows[network][0], flush=True)
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    PAGE.write_text(text + MARK + table(rows), encoding="utf-8")
