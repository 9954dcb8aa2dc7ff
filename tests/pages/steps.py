"""What is done with each command line and each Python block of README and docs: run, with what it promises, or why not.

Commands run as they are printed, but for :data:`SHORTER`. What a page leaves to its reader (a photo, a space, data) is
made by :data:`SETUP`. docs/tutorial.md and docs/tasks.md have tests of their own, which do them word by word.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (ROOT / "docs" / "your_own_space.md", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name not in ("tutorial.md", "tasks.md", "architecture.md")
]

SHORTER = [
    ("--sweep params:8", "--sweep params:2"),
    ("epochs=30, training", "epochs=6, training"),
    ("epochs=20", "epochs=8"),
    ("--recipe cifar10", "--recipe cifar10 --training.epochs 1 --training.batch_size 16 --data.cutout 2"),
]
"""Fewer epochs, smaller sizes: the only changes to what a page prints."""
TINY = " --set channels=2 --set cells=1 --set nodes=1 --search.epochs 1 --search.batch_size 16"

SETUP = """
import pathlib, shutil, numpy
from PIL import Image

for file in pathlib.Path("my_project").iterdir():
    shutil.copy(file, ".") if file.is_file() else None
text = pathlib.Path("search.yml").read_text()
pathlib.Path("search.yml").write_text(text.replace("epochs: 12", "epochs: 1"))
draw = numpy.random.default_rng(0)
for name in ("cat", "dog", "owl"):
    pathlib.Path("my_images", name).mkdir(parents=True)
    for index in range(60):
        Image.fromarray(draw.integers(0, 255, (8, 8, 3), numpy.uint8)).save(f"my_images/{name}/{index}.png")
for name in ("photo.png", "photo.jpg", "other.png"):
    Image.fromarray(draw.integers(0, 255, (8, 8, 3), numpy.uint8)).save(name)
numpy.save("inputs.npy", draw.integers(0, 255, (2, 3, 8, 8), numpy.uint8))
"""
RUN = """
import pathlib, shutil

for name in ("20260101-120000-000", "photos"):
    shutil.copytree("runs/NAME", f"runs/{name}")
pathlib.Path("runs/photos/summary.json").unlink()  # a run that was cut off
shutil.copytree("runs/NAME", "RUN")
for name in ("architecture.json", "weights.safetensors", "model.onnx"):
    shutil.copy(f"runs/NAME/{name}", ".")
"""
DIGITS = """
import shutil
for name in ("architecture.json", "weights.safetensors", "model.onnx"):
    shutil.copy(f"runs/tiny/{name}", ".")
"""
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
LOADERS = """
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

digits = load_digits()
x, y = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32), torch.tensor(digits.target)
train = DataLoader(TensorDataset(x[:1400], y[:1400]), batch_size=64, shuffle=True)
held_out = DataLoader(TensorDataset(x[1400:], y[1400:]), batch_size=64)
"""


@dataclass(frozen=True)
class Step:
    """How a step is run.

    Attributes:
        add: to a command line, of sizes and where the result goes.
        before: Python that runs before.
        after: Python that runs afterwards, with the names of the block, and asserts what it promises.
        shows: expressions of which a command prints each.
    """

    add: str = ""
    before: str = ""
    after: str = ""
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A command line or a Python block of a page.

    Attributes:
        key: the command line, or the page's name with the number of its block.
        kind: "command" or "python".
        text: of it.
    """

    key: str
    kind: str
    text: str


SPACE = "docs/your_own_space.md"
STEPS = {
    # from nothing to ONNX
    f"{SPACE} 1": Step(),  # saved as tiny_space.py
    "snas-nni show tiny_space.TinySpace --input-shape 1,8,8": Step(
        shows=(r"conv5 +6,416 +409,600", r"params +330 +6,746")
    ),
    f"{SPACE} 2": Step(after="test_tiny_space()"),
    "snas-nni search --space tiny_space.TinySpace --search.epochs 30 --training.learning_rate 0.2 "
    "--output runs/tiny": Step(shows=(r"epoch 30/30", r"child: 9\d\.\d% validation and 9\d\.\d% test accuracy")),
    f"{SPACE} 3": Step(after="assert not child.training"),
    # README
    "snas-nni init my_project": Step(after=SETUP),
    "README.md 1": Step(before=DIGITS, after="assert logits.shape == (1, 10)"),
    "snas-nni show my_space.MySpace": Step(shows=(r"depth  \(blocks\)", r"conv5 +\d", "cheapest and dearest child")),
    "snas-nni search --space.class_path my_space.MySpace": Step(
        " --search.epochs 1 --search.batch_size 256", shows=("child: .* test accuracy",)
    ),
    "snas-nni search --data.source folder --data.path my_images": Step(
        f"{TINY} --output runs/NAME", after=RUN, shows=("3 classes", "child: .* test accuracy")
    ),
    "snas-nni search --data.source my_data.load": Step(TINY.replace(" 16", " 256"), shows=("data: my_data.load",)),
    "README.md 2": Step(
        before="from my_space import MySpace as space\nfrom my_data import load\nimages, classes = load()",
        after="assert sum(each.numel() for each in child.parameters()) <= 5000 and accuracy > 0.3\n"
        "import shutil\nshutil.rmtree('run')",
    ),
    "README.md 3": Step(before=USER, after='assert set(sample) == {"middle"} and isinstance(child, torch.nn.Module)'),
    "README.md 4": Step(
        before=f"{USER}\nfrom nni.nas.experiment import NasExperiment",
        after="assert sum(each.numel() for each in child.parameters()) <= 3000",
    ),
    "snas-nni search --config search.yml": Step(shows=("child: .* parameters",)),
    "snas-nni show architecture.json": Step(shows=("search_spaces.snas.SnasCellSpace", "entropy left")),
    "snas-nni report runs/NAME": Step(shows=("report.html",)),
    "snas-nni runs": Step(shows=(r"NAME +finished",)),
    "snas-nni derive runs/NAME --max-params 2k": Step(shows=("parameters",)),
    "snas-nni retrain architecture.json --recipe cifar10 --data.source folder --data.path my_images": Step(
        shows=("retrained child",)
    ),
    "snas-nni evaluate runs/NAME": Step(shows=("PyTorch +top-1", "ONNX Runtime +top-1")),
    "snas-nni predict runs/NAME photo.png": Step(shows=("cat", "dog", "owl")),
    "snas-nni export architecture.json": Step(shows=("ONNX Runtime differs from PyTorch by",)),
    "snas-nni quantize runs/NAME": Step(shows=("int8",)),
    "snas-nni card runs/NAME": Step(shows=("README.md",)),
    "snas-nni bench --help": Step(shows=("usage: snas-nni bench",)),
    # docs
    "snas-nni predict runs/NAME photo.jpg other.png": Step(shows=("photo.jpg", "other.png")),
    "snas-nni predict runs/NAME photo.jpg --top 1 --json": Step(shows=(r'"probability"|"top"|\{',)),
    "snas-nni predict runs/NAME --input inputs.npy": Step(shows=("cat|dog|owl",)),
    "snas-nni predict runs/NAME/model.int8.onnx photo.jpg": Step(shows=("cat|dog|owl",)),
    "docs/deploy.md 1": Step(before=DIGITS, after="assert answer.top(1)[0][0] in map(str, range(10))"),
    "snas-nni export runs/NAME --with-preprocessing": Step(shows=("model.uint8.onnx",)),
    "snas-nni export runs/NAME --with-preprocessing --layout NHWC": Step(shows=("model.uint8.onnx",)),
    "docs/deploy.md 2": Step(after='assert names == list(map(str, range(10))) and len(preparation["mean"]) == 1'),
    "docs/from_model.md 1": Step(after='assert type(child).__name__ == "ResNet"'),
    "docs/python.md 1": Step(
        after="assert run.accuracy == run.metrics['test_accuracy']\n"
        "assert sum(each.numel() for each in child.parameters()) <= 6072",
    ),
    "snas-nni evaluate run --space tiny_space.TinySpace": Step(shows=("PyTorch +top-1", "ONNX Runtime +top-1")),
    "docs/python.md 2": Step(
        before=LOADERS,
        after="assert sum(each.numel() for each in child.parameters()) <= 3000\n"
        "right = (child.eval()(x[1400:]).argmax(-1) == y[1400:]).float().mean()\nassert right > 0.5",
    ),
    "docs/python.md 3": Step(
        before=f"{LOADERS}\nfrom snas_nni import SNAS\nfrom tiny_space import TinySpace\nstrategy = SNAS(seed=0)\n"
        "supernet = strategy.mutate_model(TinySpace())\noptimizer = torch.optim.SGD(supernet.parameters(), lr=0.2)",
        after="assert 0 <= accuracy((x, y)) <= 1 and len(search.held_out_batches()) == 1",
    ),
    "docs/python.md 4": Step(
        before=f"{LOADERS}\nfrom snas_nni import SNAS\nfrom tiny_space import TinySpace\nstrategy = SNAS(seed=0)\n"
        "supernet = strategy.mutate_model(TinySpace())\noptimizer = torch.optim.SGD(supernet.parameters(), lr=0.2)",
        after="assert Path('search.pt').is_file()",
    ),
    "snas-nni search --resume runs/photos": Step(shows=("going on from", "child: .* parameters")),
    "snas-nni report runs/20260101-120000-000": Step(shows=("report.html",)),
    "snas-nni report RUN --output page.html --pictures figures": Step(shows=("page.html",)),
    "docs/report.md 1": Step(after='assert svg.startswith("<svg") and png.startswith(b"\\x89PNG")'),
    "docs/resources.md 1": Step(),
    "docs/resources.md 2": Step(
        before=f"{USER}\nfrom nni.nas.experiment import NasExperiment\nfrom snas_nni import SNAS",
        after="NasExperiment(space, evaluator, SNAS(regularizers=[low_entropy])).run()",
    ),
    "snas-nni derive runs/NAME --sweep params:8": Step(" --tune-epochs 1 --output front", shows=("front",)),
    "snas-nni search --resources.sweep params": Step(
        " --data.source folder --data.path my_images" + TINY, shows=("child: .* parameters",)
    ),
}

NOT_HERE = {
    "snas-nni search --config search.yml --logger mlflow": "test_loggers.py runs it",
    "snas-nni retrain architecture.json --logger csv,tensorboard,wandb": "test_loggers.py runs it",
    "nnictl create --config snas.yml": "an experiment of minutes; tests/trials/experiments run one",
    "snas-nni launch snas.yml": "an experiment of minutes; tests/trials/experiments run one",
    "snas-nni bench retention": "half an hour; tests/trials/bench run a small one",
    "snas-nni bench retention --data.source folder --data.path DIR --data.image_size 16 --images 3000": "hours",
    "snas-nni bench nasbench201 --data.path DIR --table FILE": "needs a published table and CIFAR-10",
    "snas-nni search --devices 2 --accelerator gpu --output runs/two": "needs two GPUs",
    "snas-nni launch remote.yml --listen-everywhere": "needs a second machine",
    "snas-nni search --resume /tmp/nni-experiments/ID/trials/TRIAL/nnioutput/search": "needs a second machine",
    "snas-nni report runs/EXPERIMENT": "needs an experiment; tests/exports/report reports on one",
    "snas-nni show search_spaces.FromModel --set model=torchvision.models.resnet18 --set 'arguments={num_classes: 10}' "
    "--set 'example=[1, 3, 32, 32]' --input-shape 3 32 32": "a minute; tests/search_spaces show a smaller one",
    "snas-nni latency measure search_spaces.SnasCellSpace --set channels=8 --set cells=3 --output table.json": (
        "times for minutes; tests/trials/verbs measure a smaller space"
    ),
    "snas-nni latency measure my_space.MySpace --input-shape 3,64,64 --threads 2 --batch 8 --output table.json": (
        "times for minutes; tests/trials/verbs measure a smaller space"
    ),
    "snas-nni latency kit search_spaces.SnasCellSpace --output kit/": "for minutes; tests/trials/verbs write one",
    "snas-nni latency read latency.json --output table.json": "needs what another device measured",
    "docs/latency.md 1": "needs ExecuTorch; tests/trials/latency write a format of their own",
    "snas-nni latency kit my_space.MySpace --writer phone.write --output kit/": "needs ExecuTorch",
    "snas-nni search --resources.max_latency_ms 5": "times this machine for minutes; tests/trials/runs do",
    "snas-nni search --resources.max_latency_ms 5 --resources.latency_table table.json": "needs such a table",
    "snas-nni report runs/NAME-sweep-params": "needs a sweep by that name; tests/exports/report report on one",
    "docs/shrink.md 1": "needs the file that the command above it writes; tests/trials/runs write one",
}
"""Steps that do not run here, each with the reason. What has an ellipsis or ``my.module`` in it is no command."""


_BLOCK = re.compile(r"^```(\w+)?[^\n]*\n(.*?)^```$|^    ((?:snas-nni|nnictl) [^\n]*)$", re.MULTILINE | re.DOTALL)


def found_in(page):
    """Command lines and Python blocks of a page, in order."""
    name = page.relative_to(ROOT).as_posix()
    text = page.read_text(encoding="utf-8").replace("\\\n       ", "")
    count = 0
    for match in _BLOCK.finditer(text):
        if match[1] == "python":
            count += 1
            yield Found(f"{name} {count}", "python", match[2])
        elif match[3]:
            command = " ".join(re.sub(r"\s#\s.*", "", match[3]).split())
            if "..." not in command and "my.module" not in command:
                yield Found(command, "command", command)
