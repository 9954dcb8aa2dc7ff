"""Which of timm's networks become spaces: measures the second table of docs/from_model.md, where timm is installed.

`python -m tests.search_spaces.from_model.test_timm_networks [NETWORK]...` writes the page anew. A small network of each
family, without the steps that take long.
"""

import logging
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))  # as conftest.py does, for the page
from table_of_networks import measured, read_table, table, write_table
from test_torchvision_networks import PAGE

MARK, END = "<!-- timm below -->\n", "<!-- timm above -->\n"

NETWORKS = {
    "resnet10t": {},
    "resnext26ts": {},
    "seresnet18": {},
    "mobilenetv2_050": {},
    "mobilenetv3_small_050": {},
    "efficientnet_lite0": {},
    "mnasnet_small": {},
    "fbnetc_100": {},
    "tinynet_e": {},
    "ghostnet_050": {},
    "regnetx_002": {},
    "rexnet_100": {},
    "densenet121": {},
    "dla34": {},
    "hrnet_w18_small": {},
    "vgg11_bn": {},
    "convnext_atto": {},
    "mobilevit_xxs": {},
    "vit_tiny_patch16_224": {"img_size": 64},
    "mixer_s16_224": {"img_size": 64},
}
QUICK = ("resnet10t",)


def measured_here(name):
    return measured("small_networks.from_timm", name, NETWORKS[name], steps=False)


def written():
    return PAGE.read_text(encoding="utf-8").split(MARK)[1].split(f"\n{END}")[0]


def test_the_page_lists_every_network():
    rows = read_table(written(), NETWORKS)
    assert list(rows) == list(NETWORKS)
    assert table(rows) == written()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.hub) for name in NETWORKS]
)
def test_the_page_says_what_is_measured(name, caplog):
    pytest.importorskip("timm")
    caplog.set_level(logging.ERROR)
    assert measured_here(name) == read_table(written(), NETWORKS)[name]


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    write_table(PAGE, MARK, END, NETWORKS, measured_here, sys.argv[1:])
