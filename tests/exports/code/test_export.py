"""A network's source makes the network again: the same names, the same outputs to the bit, without snas_nni."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from exports import export_code
from exports.errors import CodeExportError
from search_spaces import NasBench201Space, SnasCellSpace, space_from
from snas_nni import SNAS, derive_child

CHECK = """
import sys, runpy, torch
from safetensors.torch import load_file
made = runpy.run_path(sys.argv[1])["network"]()
made.load_state_dict(load_file(sys.argv[2]))
assert not {"snas_nni", "exports", "search_spaces", "nni"} & {name.split(".")[0] for name in sys.modules}
torch.save(made.eval()(torch.load(sys.argv[3])), sys.argv[4])
"""


class Block(nn.Module):
    """A gate, a choice by size, and a loop: what a forward of one's own may have."""

    def __init__(self, width, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.scale = nn.Parameter(torch.rand(width, 1, 1))
        self.register_buffer("shift", torch.rand(width, 1, 1))
        self.stride = stride

    def forward(self, input):
        inner = self.norm(self.conv(input)) * self.scale + self.shift
        if input.shape[-1] != inner.shape[-1]:
            input = functional.avg_pool2d(input, self.stride)
        return functional.relu(inner + input, inplace=True)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(0.3))
        self.blocks = nn.ModuleList([Block(8), Block(8, 2), Block(8)])
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        images = self.stem(images)
        for block in self.blocks:
            images = block(images)
        first, second = images.chunk(2, 1)
        pooled = torch.cat([first.mean((2, 3)), second.amax((2, 3)), images.mean((2, 3))], 1)
        return self.head(pooled)


class Branches(nn.Sequential):
    """As in timm's HRNet: a list whose forward takes and gives lists, which no tracer enters from outside."""

    def forward(self, images):
        return [branch(each) for branch, each in zip(self, images, strict=True)]


class Branched(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.branches = Branches(nn.Conv2d(4, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))

    def forward(self, images):
        images = self.stem(images)
        return sum(self.branches([images, -images])).mean((2, 3))


def child_of(kind, **arguments):
    strategy = SNAS(seed=0, initial_logits_std=1.0)
    supernet = strategy.mutate_model(kind(**arguments))
    return derive_child(supernet, strategy.distribution.mode())


def shrunk():
    strategy = SNAS(seed=0, initial_logits_std=1.0)
    supernet = strategy.mutate_model(space_from(Network(), (1, 3, 8, 8), min_channels=2))
    return derive_child(supernet, strategy.distribution.mode())


def with_statistics(network, shape):
    """Weights and BatchNorm statistics on which outputs depend."""
    with torch.no_grad():
        network.train()(torch.randn(4, *shape))
    return network.eval()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Network, (3, 8, 8)),
        (shrunk, (3, 8, 8)),
        (Branched, (3, 8, 8)),
        (lambda: child_of(SnasCellSpace, channels=2, cells=3, classes=10), (3, 16, 16)),
        (lambda: child_of(NasBench201Space, channels=2, cells_per_stage=1, classes=10), (3, 16, 16)),
    ],
    ids=["network", "shrunk", "branches", "cells", "nasbench201"],
)
def test_logits_are_equal(make, shape, tmp_path):
    torch.manual_seed(0)
    network = with_statistics(make(), shape)
    report = export_code(network, tmp_path / "child.py", shape)
    assert report.max_difference == 0
    assert report.lines == (tmp_path / "child.py").read_text().count("\n")
    space = {}
    exec(report.path.read_text(), space)  # the file just written
    made = space["network"]()
    made.load_state_dict(network.state_dict())
    inputs = torch.randn(5, *shape)
    torch.testing.assert_close(made.eval()(inputs), network(inputs), rtol=0, atol=0)


def test_the_file_needs_torch_alone(tmp_path):
    torch.manual_seed(0)
    network, inputs = with_statistics(Network(), (3, 8, 8)), torch.randn(2, 3, 8, 8)
    files = [tmp_path / name for name in ("child.py", "weights.safetensors", "inputs.pt", "outputs.pt")]
    export_code(network, files[0], (3, 8, 8))
    save_file(network.state_dict(), files[1])
    torch.save(inputs, files[2])
    (tmp_path / "check.py").write_text(CHECK)
    subprocess.run([sys.executable, "-W", "ignore", "check.py", *files], check=True, cwd=tmp_path)
    torch.testing.assert_close(torch.load(files[3]), network(inputs), rtol=0, atol=0)


def test_the_text_can_be_read(tmp_path):
    text = export_code(Network(), tmp_path / "child.py", (3, 8, 8)).path.read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("class Block") == 2  # with a smaller image, and without: two forwards
    assert "            nn.Conv2d(3, 8, kernel_size=(3, 3), padding=(1, 1)),\n" in text
    assert "        for " not in text  # the loop over the blocks is their calls
    assert "= None" not in text


class ByValue(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Unsaved(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.rand(4), persistent=False)

    def forward(self, x):
        return x + self.table


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (ByValue(), "by values in a tensor"),
        (Unsaved(), "the buffer table"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))), "0 is of type ParametrizedLinear"),
        (nn.Linear(5, 4), "does not run on inputs of that shape"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(network, reason, tmp_path):
    with pytest.raises(CodeExportError, match=reason):
        export_code(network, tmp_path / "child.py", (4,))
    assert not list(tmp_path.iterdir())


def test_source_that_computes_something_else_is_refused(tmp_path):
    class Once(nn.Module):
        """Its second call is another network."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return self.layer(x) * min(self.calls, 3)

    with pytest.raises(CodeExportError, match="computes something else"):
        export_code(Once(), tmp_path / "child.py", (4,))
    assert not list(tmp_path.iterdir())
