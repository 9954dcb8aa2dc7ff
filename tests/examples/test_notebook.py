"""The notebook of examples/ runs from its first cell to its last, and its cells show what they promise."""

from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
import nbformat  # noqa: E402, comes with nbclient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "search.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells after a run in an empty folder, by their source."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # The kernel of this interpreter, whatever kernels this machine has besides.
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return folder, [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cells, source, kind="text/plain"):
    (cell,) = (each for each in cells if each.source.rstrip().endswith(source))
    results = [output.data for output in cell.outputs if output.output_type == "execute_result"]
    return results[-1][kind]


@pytest.mark.slow
def test_every_cell_shows_what_it_promises(cells):
    folder, ran = cells
    html = shown(ran, "run", "text/html")
    assert html.startswith("<table>")
    sample = eval(shown(ran, "run.sample"))  # noqa: S307, of our own notebook
    assert set(sample) >= {"depth", "block0"}
    assert 0.5 < float(shown(ran, "run.accuracy")) <= 1
    assert shown(ran, "run.child").startswith("DigitSpace(")
    html = shown(ran, "run.architecture", "text/html")
    assert "__main__.DigitSpace(" in html
    assert "<svg" in html
    assert "validation_accuracy" in html
    assert shown(ran, "pictures_of(run.architecture)[0]", "image/svg+xml").startswith("<svg")
    assert "<iframe" in shown(ran, "show_report(run.folder)", "text/html")
    parameters, accuracy = eval(shown(ran, "cheaper.accuracy"))  # noqa: S307
    assert parameters <= 700
    assert 0 < accuracy <= 1
    assert set(eval(shown(ran, "(images[:3])]"))) <= {str(digit) for digit in range(10)}  # noqa: S307
    assert shown(ran, "equal") == "True"
    left = {each.name for each in (folder / "digits-run").iterdir()}
    assert left >= {"digit_space.py", "architecture.json", "model.onnx", "data.safetensors"}


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
