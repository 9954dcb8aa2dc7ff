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
        "from snas_nni import SnasError, Regularizer, RegularizerTerm",
        "import snas_nni; snas_nni.load('exports/published/mild.json')",
        "from snas_nni import cell_picture; cell_picture([{'from': 0, 'to': 1, 'op': 'skip'}], 'my').svg()",
        "import sys; sys.argv[1:] = ['--help']; from snas_nni.command import main; assert main() == 0",
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


def names_in(statements):
    """Names that ``from module import name`` gives, each with its module."""
    return {alias.name: each.module for each in statements if isinstance(each, ast.ImportFrom) for alias in each.names}


def seen_by_type_checkers(package):
    """What a type checker finds in a package: in its stub, or where it alone looks in the code."""
    init = Path(importlib.import_module(package).__file__)
    stub = init.with_suffix(".pyi")
    if stub.exists():
        return names_in(ast.parse(stub.read_text(encoding="utf-8")).body)
    (checked,) = [node for node in ast.parse(init.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    return names_in(checked.body)


@pytest.mark.parametrize("package", ["snas_nni", "exports"])
def test_everything_that_is_offered_is_there_and_known_to_type_checkers(package):
    module = importlib.import_module(package)
    seen = seen_by_type_checkers(package)
    handed_on = getattr(module, "_HANDED_ON", {})
    assert seen == {**{name: f"{package}.{home}" for name, home in module._HOMES.items()}, **handed_on}
    assert set(module.__all__) == set(seen) <= set(dir(module))
    for name, home in seen.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing


def test_the_stub_lists_what_the_package_offers():
    stub = ROOT / "snas_nni" / "__init__.pyi"
    (listed,) = [node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    assert set(ast.literal_eval(listed.value)) == set(importlib.import_module("snas_nni").__all__)


def test_snas_nni_offers_all_of_exports_and_no_name_of_a_module_of_its_own():
    offered = set(importlib.import_module("snas_nni").__all__)
    assert set(importlib.import_module("exports").__all__) <= offered
    modules = {path.stem for path in (ROOT / "snas_nni").iterdir()}
    assert not offered & modules  # importing such a module would put it in the place of the name


def imports_of(path):
    """Names of the modules that a file imports anywhere, inside functions too, by their place in it."""
    for node in sorted(ast.walk(ast.parse(path.read_text(encoding="utf-8"))), key=lambda n: getattr(n, "lineno", 0)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_one_file_imports_nnis_oneshot_package_after_its_strategies():
    """The other way round a circular import is swallowed, and NNI's own strategies cannot be used any more."""
    importing = {}
    for package in ("snas_nni", "search_spaces", "exports", "trials", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            names = list(imports_of(path))
            if any(name.startswith("nni.nas.oneshot") for name in names):
                importing[path.relative_to(ROOT).as_posix()] = names
    assert list(importing) == ["snas_nni/nni_compat.py"]
    (names,) = importing.values()
    first = next(index for index, name in enumerate(names) if name.startswith("nni.nas.oneshot"))
    assert "nni.nas.strategy" in names[:first]


def test_private_names_of_nni_stand_in_one_file():
    """Also those that NNI keeps in a module whose name begins with an underscore."""
    for path in (ROOT / "snas_nni").rglob("*.py"):
        names = [name for name in imports_of(path) if name.startswith("nni.")]
        private = [name for name in names if any(part.startswith("_") for part in name.split("."))]
        assert not private or path.name == "nni_compat.py", (path, private)
        assert "_bound_type" not in path.read_text(encoding="utf-8") or path.name == "nni_compat.py", path


def test_private_names_of_lightning_stand_in_one_file():
    for path in (ROOT / "snas_nni").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = [name for name in ("fit_loop", "_results", "_combined_loader", "_update_count") if f".{name}" in text]
        assert not found or path.name == "lightning_compat.py", (path, found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", ["import snas_nni.supernet.layer, snas_nni.one_shot.lightning_module", "import snas_nni.resources"]
)
def test_nni_is_whole_whatever_is_imported_first(first):
    code = f"{first}, nni.nas.strategy as s; print(s.DARTS.__module__)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "nni.nas.oneshot.pytorch.strategy", done.stderr
