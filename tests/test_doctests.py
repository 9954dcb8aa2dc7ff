"""The examples in docstrings of what users meet first are run."""

import doctest
import importlib

import pytest

EXAMPLES = (
    "snas_nni.SNAS",
    "snas_nni.Budget",
    "snas_nni.ResourcePenalty",
    "snas_nni.Regularizer",
    "snas_nni.TemperatureSchedule",
    "snas_nni.resources.register_operation",
    "exports.load",
    "exports.build",
    "exports.export_onnx",
    "snas_nni.testing.check_space",
    "search_spaces.space_from",
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_example(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    home = importlib.import_module(thing.__module__)
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, name, module=home)
    assert example.examples, "there is no example"
    said = []
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    assert results.failed == 0, "".join(said)
