import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import from_arch_string, to_arch_string
from search_spaces.edges import edge_pairs
from search_spaces.nasbench201 import NASBENCH201_OPERATIONS

EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
LABELS = [f"cell/edge_{source}_{target}" for source, target in edge_pairs(1, 3)]


def test_example_is_read_edge_by_edge():
    assert from_arch_string(EXAMPLE) == {
        "cell/edge_0_1": "nor_conv_3x3",
        "cell/edge_0_2": "nor_conv_1x1",
        "cell/edge_1_2": "avg_pool_3x3",
        "cell/edge_0_3": "skip_connect",
        "cell/edge_1_3": "none",
        "cell/edge_2_3": "nor_conv_3x3",
    }


@given(st.fixed_dictionaries({label: st.sampled_from(list(NASBENCH201_OPERATIONS)) for label in LABELS}))
def test_writing_can_be_undone(sample):
    assert from_arch_string(to_arch_string(sample)) == sample


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 nodes joined by '\\+', expected 3"),
        ("|none~0|+|none~0|none~1|", "2 nodes joined by '\\+', expected 3"),
        (
            EXAMPLE.replace("|nor_conv_3x3~0|+", "nor_conv_3x3~0|+"),
            "at character 0: node 1 is .* expected bars",
        ),
        (EXAMPLE.replace("avg_pool_3x3~1|", ""), "at character 17: node 2 has 1 edges, expected 2"),
        (EXAMPLE.replace("none~1", "none~2"), "at character 65: node 3, edge 1 is 'none~2', expected .*~1"),
        (EXAMPLE.replace("none~1", "none"), "at character 65: node 3, edge 1 is 'none'"),
        (
            EXAMPLE.replace("none~1", "jump~1"),
            "at character 65: node 3, edge 1 has the unknown operation 'jump'",
        ),
        (EXAMPLE + " ", "node 3 is .*expected bars around it"),
    ],
)
def test_malformed_text_says_what_and_where(text, message):
    with pytest.raises(ValueError, match=message):
        from_arch_string(text)
