"""The conformance check that authors of spaces run: what it accepts, and what it says about what is wrong."""

import re
import sys
from pathlib import Path

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn

from exports.conformance import STEPS, check_space
from search_spaces import NasBench201Space, SnasCellSpace
from snas_nni import SnasError

EXAMPLES = Path(__file__).parents[2] / "examples"


def vectors():
    return torch.randn(4, 6)


class Fine(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"linear": nn.Linear(6, 6), "skip": nn.Identity()}, label="layer")

    def forward(self, x):
        return self.layer(x)


class Unequal(Fine):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice({"wide": nn.Linear(6, 8), "narrow": nn.Linear(6, 4)}, label="sizes")


class Deaf(Fine):
    """Its output does not depend on the choice."""

    def forward(self, x):
        self.layer(x)
        return x * torch.ones(6, requires_grad=True)


class HalfDeaf(Fine):
    def __init__(self):
        super().__init__()
        self.unheard = LayerChoice({"linear": nn.Linear(6, 6), "skip": nn.Identity()}, label="unheard")

    def forward(self, x):
        return self.layer(x) + self.unheard(x).detach()


class Infinite(Fine):
    def forward(self, x):
        return self.layer(x) / torch.zeros(())


class Sorts(Fine):
    def forward(self, x):
        return torch.linalg.svdvals(self.layer(x))


class NewEachTime(Fine):
    """Its child is another network whenever it is built."""

    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        self.extra = nn.Linear(6, 6 + type(self).made)

    def forward(self, x):
        return self.extra(self.layer(x)).mean(-1)


class Remembers(Fine):
    """Returns something else at every call, so that no child can equal the supernet."""

    calls = 0

    def forward(self, x):
        type(self).calls += 1
        return self.layer(x) + self.calls


def found(space, make_input=vectors, **options):
    return check_space(space, make_input, raise_on_failure=False, **{"export": False, "samples": 2, **options})


def test_a_space_that_conforms():
    report = check_space(Fine, vectors)
    assert (tuple(report.passed), report.failed, report.notes) == (STEPS, {}, [])
    assert str(report).splitlines() == [f"{step}: works" for step in STEPS]


def test_the_whole_report_is_raised():
    with pytest.raises(SnasError, match=r"does not conform:\nsearch: FAILS\. UnsupportedSpaceError: label 'sizes'"):
        check_space(Unequal, vectors)


@pytest.mark.parametrize(
    ("space", "step", "words"),
    [
        (Unequal, "search", r"label 'sizes' \(LayerChoice.*wide, narrow.*\(4, 8\), \(4, 4\)"),
        (Deaf, "search", "no logit gets a gradient: the output does not depend on any choice"),
        (Infinite, "search", "gradient of the logits of layer is not finite"),
        (lambda: nn.Linear(6, 6), "search", "make_space returned a Linear, not an nni.nas.nn.pytorch.ModelSpace"),
        (Sorts, "cost", "cannot be counted: .*svd.*register_operation"),
        (Remembers, "derive", r"the child of \{'layer': '\w+'\} differs by \d"),
        (NewEachTime, "rebuild", "ArchitectureFileError: .*parameters"),
    ],
)
def test_what_is_wrong_is_said(space, step, words):
    report = found(space)
    assert list(report.failed) == [step]
    assert re.search(words, report.failed[step]), report.failed[step]


def test_steps_that_build_on_a_failed_one_are_left_out():
    assert found(Unequal).passed == []
    assert found(Remembers).passed == ["search", "cost"]


def test_an_operation_that_onnx_lacks():
    report = found(Sorts, export=True)
    assert report.passed == ["search", "derive", "rebuild"]
    assert "svd" in report.failed["export"]


def test_two_inputs_are_not_exported():
    class Two(Fine):
        def forward(self, x, y):
            return self.layer(x) + y

    globals()["Two"] = Two  # a class in a function has no path that a file could name
    Two.__qualname__ = "Two"
    report = found(Two, lambda: (vectors(), vectors()), export=True)
    assert report.failed == {"export": "SnasError: only networks with one input tensor are exported."}


def test_a_label_without_a_gradient_is_a_note():
    report = found(HalfDeaf)
    assert not report.failed
    assert report.notes == ["label 'unheard' got no gradient in the step that was tried"]


def test_the_same_seed_gives_the_same_report():
    assert str(found(Remembers)) == str(found(Remembers))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "make_input"),
    [
        (lambda: SnasCellSpace(channels=2, cells=3, nodes=2), lambda: torch.randn(2, 3, 16, 16)),
        (lambda: NasBench201Space(channels=2, cells_per_stage=1), lambda: torch.randn(2, 3, 16, 16)),
    ],
    ids=["SnasCellSpace", "NasBench201Space"],
)
def test_the_projects_own_spaces(space, make_input):
    assert tuple(check_space(space, make_input, samples=2).passed) == STEPS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "name", "make_input"),
    [
        ("images", "ImageSpace", lambda: torch.randn(2, 1, 8, 8)),
        ("sequences", "SequenceSpace", lambda: torch.randn(2, 24, 8)),
        ("tabular", "TabularSpace", lambda: torch.randn(2, 30)),
    ],
)
def test_the_examples(folder, name, make_input, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))
    module = __import__(f"{folder.removesuffix('s') if folder != 'tabular' else folder}_space")
    try:
        assert tuple(check_space(getattr(module, name), make_input, samples=2).passed) == STEPS
    finally:
        sys.modules.pop(module.__name__)
