import numpy
import onnxruntime
import pytest
import torch

from search_spaces import OPERATIONS, SnasCellSpace


@pytest.mark.slow
def test_cells_with_zeros_and_every_operation_export_with_a_dynamic_batch(tmp_path, build_child):
    """Odd map sizes, dead nodes and the padded reduction are where a graph could go wrong."""
    sample = dict.fromkeys(SnasCellSpace(channels=2, cells=3).simplify(), "none")
    for kind in ("normal", "reduction"):
        for label, operation in zip((x for x in sample if x.startswith(kind)), OPERATIONS, strict=False):
            sample[label] = operation
    child = build_child(SnasCellSpace, sample, cells=3, channels=2, in_channels=1).eval()
    file = tmp_path / "child.onnx"
    torch.onnx.export(
        child,
        (torch.randn(2, 1, 7, 7),),
        file,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = torch.randn(5, 1, 7, 7)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    numpy.testing.assert_allclose(logits, child(images).detach().numpy(), atol=1e-5)
