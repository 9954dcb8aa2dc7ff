import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import model_context
from torch import nn

from search_spaces import OPERATIONS, SnasCellSpace
from search_spaces.cell import SnasCell, sum_of_edges
from search_spaces.edges import edge_pairs
from search_spaces.operations import FactorizedReduce, Zero


def build_cell(operation, *, reduction, nodes=4, channels=4):
    kind = "reduction" if reduction else "normal"
    sample = {f"{kind}/edge_{source}_{target}": operation for source, target in edge_pairs(2, nodes)}
    with model_context(sample):
        return SnasCell(6, 5, channels, reduction=reduction, after_reduction=False, nodes=nodes)


@pytest.mark.parametrize("reduction", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_output_is_all_nodes_at_the_right_size(operation, reduction):
    cell = build_cell(operation, reduction=reduction, nodes=3)
    output = cell(torch.randn(2, 6, 8, 8), torch.randn(2, 5, 8, 8))
    side = 4 if reduction else 8
    assert output.shape == (2, 12, side, side)
    assert cell.out_channels == 12


def test_an_edge_has_stride_two_only_from_the_inputs_of_a_reduction_cell():
    cell = build_cell("none", reduction=True)
    for name, operation in cell.edges.items():
        source = int(name.split("_")[1])
        assert operation.stride == (2 if source < 2 else 1)
    assert all(operation.stride == 1 for operation in build_cell("none", reduction=False).edges.values())


def test_preprocessing_halves_the_older_input_after_a_reduction():
    with model_context({f"normal/edge_{i}_{j}": "skip_connect" for i, j in edge_pairs(2, 4)}):
        cell = SnasCell(6, 5, 4, reduction=False, after_reduction=True)
    assert isinstance(cell.preprocess0, FactorizedReduce)
    assert cell(torch.randn(2, 6, 16, 16), torch.randn(2, 5, 8, 8)).shape == (2, 16, 8, 8)


def test_a_node_is_the_sum_of_its_edges():
    cell = build_cell("skip_connect", reduction=False)
    before_last, last = torch.randn(2, 6, 8, 8), torch.randn(2, 5, 8, 8)
    inputs = cell.preprocess0(before_last) + cell.preprocess1(last)
    # Every node adds all earlier ones: a + b, then 2 (a + b), 4 (a + b), 8 (a + b).
    expected = torch.cat([inputs, 2 * inputs, 4 * inputs, 8 * inputs], dim=1)
    assert torch.allclose(cell(before_last, last), expected, atol=1e-5)


def test_the_sum_skips_zero_operations_and_keeps_their_shape():
    calls = []

    class Watched(Zero):
        def forward(self, x):
            calls.append(x.shape)
            return super().forward(x)

    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(sum_of_edges([Watched(1), nn.Identity()], [x, x]), x)
    assert calls == []
    assert torch.equal(sum_of_edges([Watched(2), Watched(2)], [x, x]), torch.zeros(1, 2, 2, 2))
    assert len(calls) == 1


def test_no_sum_without_edges():
    with pytest.raises(ValueError, match="at least one incoming edge"):
        sum_of_edges([], [])


def test_every_edge_is_a_choice_among_the_named_operations():
    space = SnasCellSpace(channels=2, cells=3)
    for cell in space.cells:
        assert len(cell.edges) == 14
        for name, choice in cell.edges.items():
            assert isinstance(choice, LayerChoice)
            assert choice.label == f"{cell.cell_type}/{name}"
            assert choice.names == list(OPERATIONS)
