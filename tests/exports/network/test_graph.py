"""``network.json``: written and read again, and refused where it is damaged."""

import json

import pytest

from exports import ArchitectureFileError
from exports.network import NETWORK_FILE, Network, Node, read_network, write_network

NODES = (
    Node("input", "input"),
    Node("repeat", "blocks", "1 of up to 2", ("depth",)),
    Node("choice", "blocks.0", "", ("op",), ((0, True),), 1),
    Node("choice", "blocks.0.inner", "", ("inner",), (), 2, "pair", active=False),
    Node("output", "output", "", (), ((2, True),)),
)


def test_what_is_written_is_read_again(tmp_path):
    assert read_network(tmp_path) is None
    write_network(tmp_path, Network(NODES))
    assert read_network(tmp_path) == Network(NODES)
    assert Network(NODES).groups_of(3) == [2, 1]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"kind": "script"}, "nodes[4].kind"),
        ({"kind": 3}, "nodes[4].kind"),
        ({"inputs": [[4, True]]}, "nodes[4].inputs"),
        ({"inputs": [[-1, True]]}, "nodes[4].inputs"),
        ({"inputs": [[1.0, True]]}, "nodes[4].inputs"),
        ({"inputs": "x"}, "nodes[4].inputs"),
        ({"group": 4}, "nodes[4].group"),
        ({"group": True}, "nodes[4].group"),
        ({"labels": [1]}, "nodes[4].labels"),
    ],
)
def test_a_damaged_node_is_named(tmp_path, change, key):
    path = write_network(tmp_path, Network(NODES))
    document = json.loads(path.read_text())
    document["nodes"][4] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(ArchitectureFileError) as raised:
        read_network(tmp_path)
    assert raised.value.key == key
    assert NETWORK_FILE in str(raised.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"nodes": [3]}', json.dumps({"nodes": [{}] * 2001}), "[" * 100_000]
)
def test_a_broken_file_is_one_readable_error(tmp_path, content):
    (tmp_path / NETWORK_FILE).write_text(content)
    with pytest.raises(ArchitectureFileError, match=NETWORK_FILE):
        read_network(tmp_path)
