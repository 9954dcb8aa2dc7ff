"""Our packages are found beside ``snas_nni``, once they are needed and not before."""

import copy
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from snas_nni.errors import HiddenPackageError, SnasError
from snas_nni.importing.own_packages import OWN_PACKAGES, claim, own_module, own_name
from trials.data.loaders import BatchDataset

ROOT = Path(__file__).parents[3]


@pytest.fixture
def python(tmp_path):
    """Run code beside a user's own three packages, which come first on the path and say who they are."""
    for name in OWN_PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("mine = True\n")

    def run(code):
        program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; sys.path.append({str(ROOT)!r})\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    return run


def test_all_that_lies_beside_snas_nni_can_be_claimed():
    folders = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert set(OWN_PACKAGES) == folders - {"snas_nni"}


def test_importing_snas_nni_claims_nothing(python):
    assert python("import snas_nni, exports, trials, search_spaces\nprint(exports.mine, trials.mine)") == "True True"


def test_a_name_that_is_used_claims_its_package_alone(python):
    code = "import snas_nni; snas_nni.load\nimport exports, trials\nprint(exports.__name__, hasattr(trials, 'mine'))\n"
    assert python(code + "print(exports.__file__)") == f"exports True\n{ROOT}/exports/__init__.py"


def test_the_command_line_claims_all(python):
    code = "from snas_nni.importing.own_packages import own_module; own_module('trials.cli')\n"
    code += "import exports, search_spaces.stem"
    assert python(f"{code}\nprint(exports.__file__, search_spaces.stem.__name__)") == (
        f"{ROOT}/exports/__init__.py search_spaces.stem"
    )


def test_a_claimed_package_that_is_imported_again_is_still_ours(python):
    code = (
        "import importlib, snas_nni; snas_nni.load; import exports; importlib.reload(exports)\nprint(exports.__file__)"
    )
    assert python(code) == f"{ROOT}/exports/__init__.py"


def test_what_is_in_the_way_is_named_with_its_place(python, tmp_path):
    said = python("import exports, snas_nni; snas_nni.load")
    assert said == (
        f"snas_nni.errors.HiddenPackageError: snas_nni needs its own package 'exports', in {ROOT}, but this program "
        f"has already imported another one, {tmp_path}/exports. Rename that one, or use snas_nni in a program that "
        "does not import it"
    )


def test_the_error_is_one_of_ours_and_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "exports", type(sys)("exports"))
    with pytest.raises(ImportError, match="another one, exports") as caught:
        own_module("exports.errors")
    assert isinstance(caught.value, HiddenPackageError)
    assert isinstance(caught.value, SnasError)
    assert caught.value.name == "exports"


def test_only_our_packages_can_be_claimed():
    with pytest.raises(ValueError, match="'json' is none of exports, search_spaces, trials"):
        claim("json")
    assert own_name("exports.load") is importlib.import_module("exports").load


def test_a_dataset_is_the_same_after_pickling_and_copying():
    dataset = BatchDataset("split", seed=3)
    unpickled = pickle.loads(pickle.dumps(dataset))  # noqa: S301  of our own making
    for again in (unpickled, copy.copy(dataset)):
        assert type(again) is BatchDataset
        assert vars(again) == vars(dataset)
    names = pickle.dumps(dataset)
    assert names.index(b"own_packages") < names.index(b"trials.data.loaders")
