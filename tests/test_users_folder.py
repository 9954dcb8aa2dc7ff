"""The built wheel in a user's folder whose own folders are called like this project's packages.

Each of these folders raises when it is imported, so what works here has found this project's own.
"""

import json
import os
import subprocess
import textwrap

import pytest

pytestmark = pytest.mark.slow  # every test starts Python, most of them torch

NAMES = ("exports", "search_spaces", "trials")
SPACE = """
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

class TinySpace(ModelSpace):
    def __init__(self, in_channels=1, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.middle = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "skip": nn.Identity()}, label="middle")
        self.head = nn.Linear(4, classes)

    def forward(self, images):
        return self.head(self.middle(self.stem(images)).relu().mean((2, 3)))
"""
TINY = (
    *("--space.init_args.channels", "2", "--space.init_args.cells", "1", "--space.init_args.nodes", "1"),
    *("--search.epochs", "1", "--search.batch_size", "256"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A user's folder, with one space and three folders in the way."""
    folder = tmp_path_factory.mktemp("users_folder")
    (folder / "tiny_space.py").write_text(SPACE)
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('this is the user\\'s own {name}')\n")
    return folder


@pytest.fixture(scope="module")
def run(installed):
    """Run a program of the environment in a folder; return what it printed."""

    def run(folder, program, *words, code=0, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **variables}
        done = subprocess.run(
            [installed / program, *words],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr[-3000:]
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture(scope="module")
def found(place, run):
    """Output of a search in ``search_spaces.SnasCellSpace``, below the user's folder."""
    run(place, "snas-nni", "search", *TINY, "--output", "found")
    record = json.loads((place / "found" / "architecture.json").read_text())
    assert record["space"]["class_path"] == "search_spaces.snas.SnasCellSpace"
    return place / "found"


class TestCommand:
    def test_help(self, place, run):
        assert "usage: snas-nni VERB" in run(place, "snas-nni", "--help")

    def test_with_the_folder_in_front_of_everything(self, place, run):
        assert "usage: snas-nni search" in run(place, "snas-nni", "search", "--help", PYTHONPATH=str(place))

    def test_as_a_module(self, place, run):
        assert "usage: snas-nni VERB" in run(place, "python", "-m", "snas_nni", "--help")

    def test_search_in_a_space_of_the_users_own(self, place, run):
        words = ("--space.class_path", "tiny_space.TinySpace", *TINY[6:], "--output", "own")
        run(place, "snas-nni", "search", *words, PYTHONPATH=str(place))
        record = json.loads((place / "own" / "architecture.json").read_text())
        assert record["space"]["class_path"] == "tiny_space.TinySpace"
        assert (place / "own" / "model.onnx").is_file()

    def test_what_a_search_left(self, place, found, run):
        assert "search_spaces.snas.SnasCellSpace" in run(place, "snas-nni", "show", "found/architecture.json")
        run(place, "snas-nni", "report", "found")
        assert (found / "report.html").is_file()
        run(place, "snas-nni", "export", "found/architecture.json", "--output", "again.onnx")
        assert (place / "again.onnx").is_file()
        assert "ONNX Runtime  top-1" in run(place, "snas-nni", "evaluate", "found")

    def test_a_package_of_the_users_that_is_asked_for_is_told_from_ours(self, place, run):
        said = run(place, "snas-nni", "search", "--data.source", "trials.my_data.load", code=2)
        assert "No module named 'trials.my_data'" in said
        assert (
            "'trials' is snas_nni's own package: give a folder or file of yours that is called so another name" in said
        )
        assert "Traceback" not in said

    def test_nni_trial(self, place, run):
        command = " ".join(("snas-nni", "search", *TINY))
        (place / "experiment.yml").write_text(
            f"trialCommand: {command}\ntrialConcurrency: 1\nmaxTrialNumber: 1\nmaxExperimentDuration: 5m\n"
            "searchSpace: {seed: {_type: choice, _value: [1]}}\nexperimentWorkingDirectory: ./nni-experiments\n"
            "tuner: {name: Random}\ntrainingService: {platform: local}\n"
        )
        run(place, "snas-nni", "launch", "experiment.yml", PYTHONPATH=str(place))
        (best,) = (place / "runs").glob("*/best/architecture.json")
        assert json.loads(best.read_text())["space"]["class_path"] == "search_spaces.snas.SnasCellSpace"


class TestPython:
    def test_one_line(self, place, found, run):
        code = "import snas_nni; print(snas_nni.load('found/architecture.json').parameters)"
        assert int(run(place, "python", "-c", code)) > 0

    def test_a_script_in_the_folder(self, place, found, run):
        script = """
            import torch
            import snas_nni
            from snas_nni import build, load
            from snas_nni.testing import check_space
            from tiny_space import TinySpace

            def images():
                return torch.randn(2, 1, 8, 8)

            record = load("found/architecture.json")
            child = build(record).eval()
            snas_nni.save_weights(child, "child.safetensors")
            snas_nni.load_weights(child, "child.safetensors")
            snas_nni.export_onnx(child, "script.onnx", images())
            snas_nni.save_pictures(record, "figures")
            snas_nni.write_report("found", "script.html")
            snas_nni.save(snas_nni.published("mild"), "mild.json")
            assert isinstance(snas_nni.SnasCellSpace(channels=2, cells=1, nodes=1), torch.nn.Module)
            print(check_space(TinySpace, images, samples=1))
        """
        (place / "script.py").write_text(textwrap.dedent(script))
        steps = run(place, "python", "script.py").splitlines()[-5:]
        assert steps == [f"{step}: works" for step in ("search", "cost", "derive", "rebuild", "export")]
        assert all((place / name).exists() for name in ("script.onnx", "script.html", "figures", "mild.json"))

    def test_tests_of_the_users_own(self, place, run):
        (place / "test_tiny.py").write_text(
            "import torch\nfrom snas_nni.testing import check_space\nfrom tiny_space import TinySpace\n\n"
            "def test_tiny():\n    check_space(TinySpace, lambda: torch.randn(2, 1, 8, 8), samples=1, export=False)\n"
        )
        assert "1 passed" in run(place, "python", "-m", "pytest", "-p", "no:cacheprovider", "test_tiny.py")

    def test_workers_that_are_started_anew(self, place, run):
        """They get the script's path, with the user's folder first, and unpickle the data before anything else."""
        script = """
            import multiprocessing

            if __name__ == "__main__":
                import torch
                from snas_nni import ClassificationData, LabelledTensors
                from snas_nni.importing.own_packages import own_name

                multiprocessing.set_start_method("spawn")
                split = LabelledTensors(torch.rand(8, 1, 4, 4), torch.arange(8))
                data = ClassificationData(split, split, split, tuple("abcdefgh"))
                loader = own_name("trials.data.loaders.training_loader")(data, 8, seed=0, workers=1)
                print([labels.sum().item() for images, labels in loader])
        """
        (place / "spawning.py").write_text(textwrap.dedent(script))
        assert run(place, "python", "spawning.py") == "[28]\n"


class TestInTheWay:
    """Two packages of one name have no room in one process: one line says which folder to look at."""

    @pytest.fixture
    def harmless(self, tmp_path):
        """A folder of the user's that can be imported, and has been."""
        (tmp_path / "exports").mkdir()
        (tmp_path / "exports" / "__init__.py").write_text("mine = 1\n")
        return tmp_path

    @pytest.mark.parametrize(
        "use", ["snas_nni.load", "from snas_nni.testing import check_space", "snas_nni.check_space"]
    )
    def test_the_folder_is_named(self, harmless, run, use):
        said = run(harmless, "python", "-c", f"import exports, snas_nni; {use}", code=1).splitlines()[-1]
        assert said.startswith("snas_nni.errors.HiddenPackageError: snas_nni needs its own package 'exports', in ")
        assert f"has already imported another one, {harmless}/exports. Rename that one" in said

    def test_the_command_says_so_without_a_traceback(self, harmless, run):
        code = "import exports, sys; from snas_nni.command import main; sys.exit(main())"
        said = run(harmless, "python", "-c", code, "--help", code=2)
        assert said.startswith("error: snas_nni needs its own package 'exports'")
        assert len(said.splitlines()) == 1

    def test_a_file_of_that_name(self, tmp_path, run):
        (tmp_path / "search_spaces.py").write_text("mine = 1\n")
        code = "import snas_nni, sys; import search_spaces; snas_nni.build(snas_nni.published('mild'))"
        assert f"another one, {tmp_path}/search_spaces.py. Rename" in run(tmp_path, "python", "-c", code, code=1)

    def test_a_folder_without_init(self, tmp_path, run):
        (tmp_path / "exports").mkdir()
        code = "import snas_nni; print(len(snas_nni.published('mild').cells))"
        assert run(tmp_path, "python", "-c", code) == "2\n"
        said = run(tmp_path, "python", "-c", "import sys; sys.path[0] = '.'; "
                   "import snas_nni.importing.own_packages as own; "
                   "sys.modules['exports'] = type(sys)('exports'); own.claim('exports')", code=1)  # fmt: skip
        assert "another one, exports." in said

    def test_what_does_not_need_ours_keeps_the_users(self, harmless, run):
        code = "import snas_nni; snas_nni.SNAS; import exports; print(exports.mine)"
        assert run(harmless, "python", "-c", code) == "1\n"

    def test_the_users_name_after_ours_is_told_where_ours_is(self, harmless, run):
        code = "import snas_nni; snas_nni.load; import exports; exports.mine"
        said = run(harmless, "python", "-c", code, code=1).splitlines()[-1]
        assert "has no attribute 'mine'; it is the one of snas_nni, " in said
