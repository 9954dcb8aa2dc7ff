"""Pictures of cells: what is drawn, where, and that the bytes never change by themselves."""

import itertools
import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from exports import Architecture, ArchitectureFileError, SpaceReference
from exports.pictures.graph import CellGraph
from exports.pictures.layout import lay_out
from exports.pictures.palette import PALETTE, family_of
from exports.pictures.picture import cell_picture, pictures_of, save_pictures

GOLDEN = Path(__file__).parent / "golden_pictures"
SEP3, SEP5, DIL3, DIL5 = "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"
SKIP, POOL, ZERO = "skip_connect", "max_pool_3x3", "none"

# The cells of the paper for its three levels of the resource constraint; pairs that are not listed are zero.
PUBLISHED = {
    "mild": {
        "normal": {(0, 2): SEP3, (1, 2): SEP3, (0, 3): SKIP, (1, 3): DIL3, (0, 4): SKIP, (1, 4): SKIP, (0, 5): SKIP,
                   (1, 5): SEP3},
        "reduction": {(0, 2): POOL, (1, 2): POOL, (1, 3): POOL, (2, 3): SKIP, (1, 4): POOL, (2, 4): SKIP,
                      (0, 5): POOL, (2, 5): DIL5},
    },
    "moderate": {
        "normal": {(0, 2): DIL5, (1, 2): SKIP, (0, 3): SEP3, (1, 3): SKIP, (0, 4): SKIP, (1, 4): SKIP, (0, 5): SEP3,
                   (1, 5): DIL5},
        "reduction": {(0, 2): POOL, (1, 2): POOL, (0, 3): SEP5, (1, 3): DIL5, (0, 4): SEP5, (1, 4): SEP5,
                      (0, 5): SEP5, (1, 5): SEP5},
    },
    "aggressive": {
        "normal": {(0, 2): SEP5, (1, 2): SKIP, (0, 3): SKIP, (1, 3): SKIP, (0, 4): SKIP, (1, 4): DIL5, (0, 5): SKIP,
                   (1, 5): DIL5},
        "reduction": {(0, 2): SEP5, (0, 3): SEP5},
    },
}  # fmt: skip
PAIRS = [(source, target) for target in range(2, 6) for source in range(target)]
CASES = [(level, kind) for level in PUBLISHED for kind in ("normal", "reduction")]


def edges_of(level, kind):
    live = PUBLISHED[level][kind]
    return [{"from": a, "to": b, "op": live.get((a, b), ZERO)} for a, b in PAIRS]


def full_cell(seed=1):
    choose = random.Random(seed)
    return [
        {"from": a, "to": b, "op": choose.choice([SEP3, DIL5, SKIP, POOL]), "probability": choose.random()}
        for a, b in PAIRS
    ]


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize(("level", "kind"), CASES)
@pytest.mark.parametrize("narrow", [False, True])
def test_published_cells_have_the_bytes_they_always_had(level, kind, narrow):
    file = GOLDEN / f"{level}_{kind}{'_narrow' if narrow else ''}.svg"
    assert cell_picture(edges_of(level, kind), kind).svg(narrow).encode() == file.read_bytes()


@pytest.mark.parametrize(("level", "kind"), CASES)
def test_zero_edges_are_not_drawn_and_all_others_are(level, kind):
    picture = cell_picture(edges_of(level, kind), kind)
    for narrow in (False, True):
        drawn = sorted(text for text in texts(picture.svg(narrow)) if family_of(text) != "other")
        assert drawn == sorted(PUBLISHED[level][kind].values())


def test_dead_nodes_and_an_unused_input_are_grey():
    graph = CellGraph.of(edges_of("aggressive", "reduction"))
    assert graph.dead_nodes == (4, 5)
    assert graph.unused_inputs == (1,)
    assert not graph.output_is_dead
    svg = cell_picture(edges_of("aggressive", "reduction"), "reduction").svg()
    assert "<title>Node 4: dead</title>" in svg
    assert "<title>Input 1: unused</title>" in svg
    assert svg.count("f-faint s-faint") == 3


def test_a_node_that_only_dead_nodes_feed_is_dead():
    edges = [{"from": 0, "to": 2, "op": ZERO}, {"from": 2, "to": 3, "op": SKIP}, {"from": 1, "to": 3, "op": ZERO}]
    graph = CellGraph.of(edges)
    assert graph.dead_nodes == (2, 3)
    assert graph.output_is_dead


def test_a_cell_of_one_input_ends_in_its_last_node():
    edges = [{"from": 0, "to": 1, "op": SKIP}, {"from": 0, "to": 2, "op": ZERO}, {"from": 1, "to": 2, "op": ZERO}]
    edges += [{"from": 0, "to": 3, "op": "nor_conv_1x1"}, {"from": 1, "to": 3, "op": ZERO}]
    graph = CellGraph.of(edges)
    assert graph.outputs == (3,)
    assert graph.dead_nodes == (1, 2)


@pytest.mark.parametrize("seed", range(12))
def test_no_two_things_overlap_in_a_column(seed):
    layout = lay_out(CellGraph.of(full_cell(seed)))
    for column in layout.columns:
        for above, below in itertools.pairwise(column):
            assert below.y - above.y >= (above.height + below.height) / 2
    named = [item for chain in layout.chains for item in chain.items if item.kind == "operation"]
    assert len(named) == len(set(map(id, named))) == 14


def test_probabilities_are_written_beside_the_operations():
    svg = cell_picture(full_cell(), "normal").svg()
    assert [text for text in texts(svg) if re.fullmatch(r"[01]\.\d\d", text)]
    assert svg.count("probability") >= 14


@pytest.mark.parametrize("narrow", [False, True])
def test_svg_is_well_formed_follows_dark_mode_and_refers_to_nothing(narrow):
    svg = cell_picture(full_cell(), '<script>alert("1")</script>').svg(narrow)
    ElementTree.fromstring(svg)
    assert "prefers-color-scheme:dark" in svg
    assert "<script" not in svg
    assert "href" not in svg
    assert "url(" not in svg


def test_a_narrow_picture_fits_a_phone_whatever_the_cell():
    assert cell_picture(full_cell()).narrow.width <= 360


def test_png_is_the_same_every_time_and_has_the_size_asked_for():
    picture = cell_picture(edges_of("mild", "normal"), "normal")
    png = picture.png(scale=2)
    assert png == picture.png(scale=2)
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert abs(width - 2 * picture.drawing.width) <= 2
    assert abs(height - 2 * picture.drawing.height) <= 2
    assert b"Software" not in png


def test_dollar_signs_in_names_are_no_formulas():
    edges = [{"from": 0, "to": 1, "op": "$\\bad{"}]
    assert cell_picture(edges).png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "edges",
    [
        [],
        [{"from": 3, "to": 2, "op": SKIP}],
        [{"from": 2, "to": 2, "op": SKIP}],
        [{"from": 0, "to": 1, "op": SKIP}] * 500,
    ],
)
def test_what_is_no_cell_is_refused(edges):
    with pytest.raises(ArchitectureFileError):
        cell_picture(edges)


def test_huge_node_numbers_cost_nothing():
    svg = cell_picture([{"from": 10**9, "to": 10**12, "op": SKIP}]).svg()
    assert len(svg) < 10_000


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [name for name in PALETTE if name not in ("paper", "faint")])
@pytest.mark.parametrize("mode", [0, 1])
def test_colours_stand_out_from_the_page(name, mode):
    assert contrast(PALETTE[name][mode], PALETTE["paper"][mode]) >= 4.5


def architecture(**changes):
    values = {
        "space": SpaceReference(class_path="search_spaces.SnasCellSpace", arguments={"channels": 4}),
        "sample": {"depth": 3, "stem/op": "none", "width": [16, 32]},
        "probabilities": {"depth": {"2": 0.25, "3": 0.75}},
        "parameters": 10,
    }
    return Architecture(**{**values, **changes})


def test_a_space_without_cells_gets_a_list_of_its_choices():
    (picture,) = pictures_of(architecture())
    assert picture.name == "choices"
    written = texts(picture.svg())
    assert {"depth", "3", "0.75", "stem/op", "none", "[16, 32]"} <= set(written)
    assert picture.png().startswith(b"\x89PNG")


def test_many_choices_are_cut_and_counted():
    svg = pictures_of(architecture(sample={f"label_{i}": i for i in range(200)}))[0].svg()
    assert "and 140 more" in texts(svg)


def test_pictures_are_saved_under_names_a_disk_can_have(tmp_path):
    cells = {"normal": full_cell(), "../evil<1>": full_cell(2), ".._evil_1_": full_cell(3), "empty": []}
    paths = save_pictures(architecture(cells=cells), tmp_path / "new" / "folder")
    assert {path.parent for path in paths} == {tmp_path / "new" / "folder"}
    assert len(set(paths)) == 6
    assert all(path.stat().st_size > 500 for path in paths)


def test_a_notebook_shows_pictures_and_architectures():
    picture = cell_picture([{"from": 0, "to": 1, "op": SKIP}], "normal")
    assert picture._repr_svg_() == picture.svg()
    cells = {"normal": [{"from": 0, "to": 1, "op": SKIP}]}
    space = SpaceReference(class_path="a.b.Space", arguments={"name": "<script>"})
    architecture = Architecture(
        space=space, sample={}, cells=cells, parameters=1234, metrics={"test_accuracy": 0.5}, entropy={"x": 0.25}
    )
    html = architecture._repr_html_()
    for part in (
        "a.b.Space(name=",
        "&lt;script&gt;",
        "1,234",
        "test_accuracy",
        "0.25 nats",
        pictures_of(architecture)[0].svg(),
    ):
        assert part in html
    assert "<script" not in html
    backwards = Architecture(space=space, sample={}, cells={"normal": [{"from": 2, "to": 1, "op": SKIP}]}, parameters=1)
    assert "forward" in backwards._repr_html_()
