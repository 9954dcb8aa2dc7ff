"""What reads files starts without torch, and NNI is always imported in the order that leaves it whole."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "nni", "pytorch_lightning", "matplotlib")


@pytest.mark.parametrize(
    "code",
    [
        "import snas_nni, exports; dir(snas_nni)",
        "from snas_nni import SnasError",
        "from exports import load; load('exports/published/mild.json')",
        "from trials.cli import main; assert main(['--help']) == 0",
        "from trials.cli import main; assert main(['show', 'exports/published/mild.json']) == 0",
        "from trials.cli import main; assert main(['report', 'no such folder']) == 2",
    ],
)
def test_no_torch_where_only_files_are_read(code):
    check = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("package", ["snas_nni", "exports"])
def test_everything_that_is_offered_is_there_and_known_to_type_checkers(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: each.module for each in checked.body for alias in each.names}
    assert seen == {name: f"{package}.{home}" for name, home in module._HOMES.items()}
    assert set(module.__all__) == set(seen) <= set(dir(module))
    for name, home in seen.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def imports_of(path):
    """Names of the modules that a file imports at its top level, in order."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_nnis_strategies_come_before_its_oneshot_package():
    """The other way round a circular import is swallowed, and NNI's own strategies cannot be used any more."""
    found = 0
    for package in ("snas_nni", "search_spaces", "exports", "trials", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            names = list(imports_of(path))
            late = [index for index, name in enumerate(names) if name.startswith("nni.nas.oneshot")]
            if not late:
                continue
            found += 1
            above = [folder / "__init__.py" for folder in path.parents if (folder / "__init__.py").exists()]
            first = "nni.nas.strategy" in names[: late[0]]
            assert first or any("nni.nas.strategy" in imports_of(init) for init in above), path
    assert found > 5


@pytest.mark.slow
def test_nni_is_whole_whatever_is_imported_first():
    first = "import snas_nni.supernet.layer, snas_nni.search.lightning_module"
    code = f"{first}, nni.nas.strategy as s; print(s.DARTS.__module__)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "nni.nas.oneshot.pytorch.strategy", done.stderr
