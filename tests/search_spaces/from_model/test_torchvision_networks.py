"""Which of torchvision's networks become spaces: measures the table of docs/from_model.md, and fails where it differs.

`python -m tests.search_spaces.from_model.test_torchvision_networks [NETWORK]...` (or `make from-model`) writes the page
anew.
"""

import logging
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))  # as conftest.py does, for the page
from table_of_networks import measured, read_table, table, write_table

PAGE = Path(__file__).parents[3] / "docs" / "from_model.md"
MARK, END = "<!-- measured below -->\n", "<!-- measured above -->\n"

NETWORKS = {
    "resnet18": {},
    "mobilenet_v2": {},
    "efficientnet_b0": {},
    "regnet_y_400mf": {},
    "shufflenet_v2_x0_5": {},
    "convnext_tiny": {},
    "vit_b_16": {"image_size": 32},
    "densenet121": {},
}
QUICK = ("shufflenet_v2_x0_5",)


@pytest.fixture(autouse=True)
def _quiet():
    """What stays fixed is in the table; other tests listen to warnings again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    yield
    logging.disable(before)


def measured_here(name):
    arguments = NETWORKS[name]
    return measured("small_networks.from_torchvision", name, arguments, arguments.get("image_size", 64))


def written():
    return PAGE.read_text(encoding="utf-8").split(MARK)[1].split(f"\n{END}")[0]


def test_the_page_lists_every_network():
    rows = read_table(written(), NETWORKS)
    assert list(rows) == list(NETWORKS)
    assert table(rows) == written()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.hub) for name in NETWORKS]
)
def test_the_page_says_what_is_measured(name):
    assert measured_here(name) == read_table(written(), NETWORKS)[name]


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    write_table(PAGE, MARK, END, NETWORKS, measured_here, sys.argv[1:])
