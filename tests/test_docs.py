"""What README and docs/ say: their Python runs, their links lead somewhere, their verbs and settings exist."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from torch import nn

from trials.cli import _VERBS as VERBS
from trials.cli import main
from trials.settings.reader import _known_keys as known_keys
from trials.settings.retrain import RetrainSettings
from trials.settings.search import RunSettings

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Settings of `snas-nni bench` and options of commands, which are no settings of a search or a retraining.
OWN_OPTIONS = re.compile(r"--(config|help|output|pictures|set|input-shape|resume|space)$")

USER = """
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from torch.utils.data import TensorDataset

def loader(seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(32, 1, 8, 8, generator=generator)
    return DataLoader(TensorDataset(images, torch.arange(32) % 10), batch_size=16)

from tiny_space import TinySpace

space = TinySpace()
evaluator = Classification(
    num_classes=10, train_dataloaders=loader(0), val_dataloaders=loader(1), max_epochs=1, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
)
"""


def blocks(page):
    """The Python of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A user's folder after what the page on spaces says was done in it; Python runs in it."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "tiny_space.py").write_text(blocks("docs/your_own_space.md")[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        search = "--space.class_path tiny_space.TinySpace --search.epochs 1 --search.batch_size 256 --output runs/tiny"
        assert main(["search", *search.split(), "--quiet"]) == 0
        for name in ("architecture.json", "weights.safetensors", "model.onnx"):
            shutil.copy(folder / "runs" / "tiny" / name, folder)
        yield folder
    sys.modules.pop("tiny_space", None)


def run(*parts):
    """Run Python as a user's script would; return its names."""
    names = {"__name__": "__main__"}
    exec(compile("\n".join(parts), "a page", "exec"), names)
    return names


@pytest.mark.slow
def test_readme_deploys_the_file(workplace):
    assert run(blocks("README.md")[0])["logits"].shape == (1, 10)


@pytest.mark.slow
def test_readme_searches_in_python(workplace, capsys):
    _, _, plain, budget = blocks("README.md")
    found = run(USER, plain)
    assert set(found["sample"]) == {"middle"}
    assert isinstance(found["child"], nn.Module)
    assert budget.count("2.3e6") == 1  # made for the paper's space; the tiny one has at most 6,762 parameters
    found = run(USER, plain.splitlines()[0], budget.replace("2.3e6", "3000"))
    assert sum(p.numel() for p in found["child"].parameters()) <= 3000
    assert "3,000" in capsys.readouterr().out


@pytest.mark.slow
def test_your_own_space(workplace):
    _, check, load = blocks("docs/your_own_space.md")
    run(check)["test_tiny_space"]()
    assert not run(load)["child"].training


@pytest.mark.slow
def test_resources(workplace, capsys):
    costs, regularizer = blocks("docs/resources.md")
    run(costs)
    assert len(capsys.readouterr().out.splitlines()) == 2
    own = run(USER, blocks("README.md")[2].splitlines()[0], "from snas_nni import SNAS", regularizer)
    strategy = own["SNAS"](regularizers=[own["low_entropy"]])
    own["NasExperiment"](own["space"], own["evaluator"], strategy).run()


@pytest.mark.slow
def test_from_model(capsys):
    (code,) = blocks("docs/from_model.md")
    child = run(code)["child"]
    assert type(child).__name__ == "ResNet"
    assert "fc: is an output of the model" in capsys.readouterr().out


def test_deploy(workplace, capsys):
    ask, read = blocks("docs/deploy.md")
    found = run(ask)
    assert found["answer"].top(1)[0][0] in map(str, range(10))
    assert run(read)["names"] == list(map(str, range(10)))
    assert len(run(read)["preparation"]["mean"]) == 1


def test_report(workplace):
    (code,) = blocks("docs/report.md")
    found = run(code)
    assert found["svg"].startswith("<svg")
    assert found["png"].startswith(b"\x89PNG")
    assert list((workplace / "figures").glob("*.svg"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestEveryPage:
    def test_python_compiles(self, page):
        for block in blocks(page):
            compile(block, page.name, "exec")

    def test_links_lead_somewhere(self, page):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), target

    def test_verbs_exist(self, page):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        used = re.findall(r"^    snas-nni ([a-z]+)|`snas-nni ([a-z]+)", text, re.MULTILINE)
        assert {first or second for first, second in used} <= set(VERBS)

    def test_settings_exist(self, page):
        text = page.read_text(encoding="utf-8")
        known = {*known_keys(RunSettings), *known_keys(RetrainSettings)}
        for line in re.findall(r"snas-nni (?:search|retrain|evaluate)\b.*", text):
            for option in re.findall(r"--[a-z_.-]+[a-z]", line):
                name = option.removeprefix("--")
                assert (
                    name in known or name.startswith(("space.init_args.", "data.options.")) or OWN_OPTIONS.match(option)
                ), option


def test_readme_leads_to_the_pages():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in ("your_own_space", "settings", "resources", "report", "hub_spaces", "from_model", "deploy"):
        assert f"(docs/{page}.md)" in text


def test_readme_links_every_row_of_its_comparison():
    rows = re.findall(r"^\| .*\|$", (ROOT / "README.md").read_text().split("## What is different")[1], re.MULTILINE)
    assert len(rows) > 10
    for row in rows[1:]:
        assert re.search(r"\]\((tests|docs)[/)]", row), row
