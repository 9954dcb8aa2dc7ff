import pytest

from search_spaces.edges import describe_edges, edge_pairs, sample_from_edges

OPERATIONS = ("none", "skip")


def edge(source, target, operation="skip"):
    return {"from": source, "to": target, "op": operation}


def test_pairs_are_sorted_by_target_then_source():
    assert edge_pairs(2, 2) == [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert len(edge_pairs(2, 4)) == 14


def test_edges_may_come_in_any_order():
    sample = sample_from_edges([edge(1, 2), edge(0, 2, "none"), edge(0, 1)], "cell", 1, OPERATIONS)
    assert list(sample) == ["cell/edge_0_1", "cell/edge_0_2", "cell/edge_1_2"]
    backwards = dict(reversed(sample.items()))
    assert describe_edges(backwards, "cell", 1, OPERATIONS) == [edge(0, 1), edge(0, 2, "none"), edge(1, 2)]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([edge(0, 2)], r"normal cell with 1 nodes: no operation given for edge 1 -> 2"),
        ([edge(0, 2), edge(1, 2), edge(0, 2)], r"edge 0 -> 2: is given twice"),
        ([edge(0, 2), edge(1, 2, "jump")], r"edge 1 -> 2: unknown operation 'jump'; known are none, skip"),
        ([edge(0, 2), edge(1, 2, ["skip"])], r"edge 1 -> 2: unknown operation \['skip'\]"),
        ([edge(0, 1)], r"edge 0 -> 1: node 1 is an input"),
        ([edge(2, 2)], r"edge 2 -> 2: from and to must be"),
        ([edge("0", 2)], r"edge '0' -> 2: from and to must be"),
        ([edge(True, 2)], r"edge True -> 2: from and to must be"),
        ([edge(0, 10**12)], r"1 edges do not reach all of its"),
        ([{"from": 0, "to": 2}], r"exactly the keys from, to, op"),
        (["0 -> 2"], r"exactly the keys from, to, op; this one is '0 -> 2'"),
    ],
)
def test_a_wrong_list_says_what_and_where(edges, message):
    with pytest.raises(ValueError, match=message):
        sample_from_edges(edges, "normal", 2, OPERATIONS)


def test_a_sample_without_an_edge_is_named():
    with pytest.raises(ValueError, match="no operation given for edge 0 -> 2"):
        describe_edges({"cell/edge_0_1": "skip", "cell/edge_1_2": "skip"}, "cell", 1, OPERATIONS)
