"""The picture of a network without cells: lanes beside rows, candidates that were not chosen pale and dashed."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports import Architecture, SpaceReference, save
from exports.network import Network, Node, write_network
from exports.pictures import network_picture, pictures_of, save_pictures
from exports.pictures.lanes import MOST_LANES, lanes_of

EVIL = '"><script>alert(1)</script>'
NODES = (
    Node("input", "input"),
    Node("layer", "stem", "Conv2d 3×3, 1 → 4", (), ((0, True),)),
    Node("repeat", "blocks", "1 of up to 2", ("depth",)),
    Node("choice", "blocks.0", "Conv2d 1×1, 4 → 4", ("op",), ((1, True),), 2),
    Node("choice", "blocks.0.1", "", ("inner",), (), 3, EVIL, active=False),
    Node("choice", "blocks.1", "", ("op",), ((3, False),), 2, active=False),
    Node("join", "add", "", (), ((3, True), (1, True))),
    Node("output", "output", "", (), ((6, True),)),
)


def record():
    return Architecture(
        space=SpaceReference(class_path="my.Space", arguments={}),
        sample={"depth": 1, "op": "conv", "inner": 0},
        probabilities={
            "depth": {"1": 0.75, "2": 0.25},
            "op": {"conv": 0.5, EVIL: 0.5},
            "inner": {"0": 0.5, "1": 0.5},
        },
        parameters=7,
    )


def boxes(svg, family):
    return len(re.findall(rf'<rect class="f-{family} s-{family}"', svg))


def test_what_the_child_has_stands_out_and_the_rest_is_dashed():
    svg = network_picture(record(), Network(NODES)).svg()
    # Chosen in the child: the depth and one operation. The same label in a block beyond the depth is pale.
    assert boxes(svg, "convolution") == 1
    assert boxes(svg, "faint") == svg.count('stroke-dasharray="4 3"')
    for words in (
        "stem",
        "Conv2d 3×3, 1 → 4",
        "blocks: 1 of up to 2 blocks",
        "depth: 1, probability 0.75, in the child",
    ):
        assert words in svg, words
    assert "op = conv, as above" not in svg.split("blocks.0")[0]
    assert EVIL not in svg
    assert "Not in the child: 2 more" in svg


@pytest.mark.parametrize("narrow", [False, True])
def test_every_text_is_inside_of_the_drawing(narrow):
    svg = network_picture(record(), Network(NODES)).svg(narrow)
    width = float(re.search(r'viewBox="0 0 (\S+)', svg)[1])
    assert width == (350 if narrow else 720)
    for x, size, anchor, text in re.findall(
        r'x="(\S+)" y="\S+" font-size="(\S+)"( text-anchor="end")?[^>]*>([^<]*)<', svg
    ):
        assert float(x) + (0 if anchor else 0.602 * float(size) * len(unescape(text))) <= width


def test_it_is_found_beside_the_architecture_and_written(tmp_path):
    saved = save(record(), tmp_path / "architecture.json")
    assert [picture.name for picture in pictures_of(saved)] == ["choices"]
    write_network(tmp_path, Network(NODES))
    assert [picture.name for picture in pictures_of(saved)] == ["network"]
    assert pictures_of(saved)[0].svg() == network_picture(record(), Network(NODES)).svg()
    assert [path.name for path in save_pictures(saved, tmp_path / "pictures")] == ["network.svg", "network.png"]


EDGES = st.lists(st.integers(0, 2**12), max_size=14).map(
    lambda bits: [
        {source: True for source in range(target) if value >> source & 1} for target, value in enumerate(bits)
    ]
)


@given(EDGES)
def test_no_two_lines_share_a_lane_beside_the_same_rows(edges):
    lanes = lanes_of(edges)
    drawn = {(lane.source, target) for lane in lanes for target, _ in lane.targets}
    assert drawn == {(s, t) for t, sources in enumerate(edges) for s in sources if s != t - 1}
    for index, lane in enumerate(lanes):
        for other in lanes[:index]:
            if lane.place == other.place < MOST_LANES:
                assert other.last <= lane.source or lane.last <= other.source
