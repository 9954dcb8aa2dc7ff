"""What a package index, a citation tool and a contributor read: one version, one address, links that lead somewhere."""

import email
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import snas_nni
from trials.cli import main

ROOT = Path(__file__).parents[1]
READ_BY_SETUPTOOLS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "snas_nni/__init__.py")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    """The package's metadata as setuptools builds it."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("snas_nni", "built"):
        (folder / name).mkdir()
    for name in READ_BY_SETUPTOOLS:
        shutil.copy(ROOT / name, folder / name)
    build = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('built'))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", build], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = folder / "built" / done.stdout.splitlines()[-1] / "METADATA"
    return email.message_from_string(written.read_text(encoding="utf-8"))


def repository(metadata):
    (url,) = [url.partition(", ")[2] for url in metadata.get_all("Project-URL") if url.startswith("Repository, ")]
    return url


def test_the_packaged_readme_has_no_relative_link_and_its_links_lead_to_files(metadata):
    readme = metadata.get_payload()
    assert "# snas_nni" in readme
    targets = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert len(targets) > 30
    for target in targets:
        assert target.startswith("https://"), target
        inside = re.fullmatch(re.escape(repository(metadata)) + r"/(?:blob|raw)/HEAD/([^#]*)(?:#.*)?", target)
        if inside is not None:
            assert (ROOT / inside[1]).exists(), target
    assert f"![A derived cell as a graph]({repository(metadata)}/raw/HEAD/docs/images/cell.png)" in readme


def test_one_version(metadata):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert metadata["Version"] == citation["version"] == released[0] == snas_nni.__version__


@pytest.mark.parametrize("command", [["-m", "snas_nni"], ["-m", "trials.cli"]])
def test_modules_are_the_command(command, capsys):
    done = subprocess.run([sys.executable, *command, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"snas-nni {snas_nni.__version__}\n"), done.stderr
    done = subprocess.run([sys.executable, *command, "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"snas-nni {snas_nni.__version__}\n"


def test_the_version_costs_no_import():
    heavy = ("torch", "nni", "importlib.metadata", "exports", "trials")
    check = f"import snas_nni, sys; snas_nni.__version__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_address_of_the_project_stands_in_one_place(metadata):
    address = repository(metadata).removeprefix("https://")
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    holders = [
        name
        for name in files.stdout.splitlines()
        if Path(name).suffix in {"", ".py", ".md", ".yml", ".yaml", ".toml", ".cff", ".html", ".json"}
        and (ROOT / name).is_file()
        and address in (ROOT / name).read_text(encoding="utf-8")
    ]
    assert holders == ["pyproject.toml"]


def test_license(metadata):
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert "the snas_nni authors" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_hook_runs_a_target_that_exists():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    ((hook,),) = [repo["hooks"] for repo in config["repos"]]
    assert (hook["entry"], hook["language"]) == ("make check", "system")
    assert re.search(r"^check:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
