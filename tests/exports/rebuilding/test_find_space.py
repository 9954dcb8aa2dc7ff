"""A class path is followed only where somebody allowed it, and to a model space only."""

import sys

import pytest
from nni.nas.hub.pytorch import NasBench201
from small_export_spaces import EdgeSpace, Inherited, NotASpace

from exports import ArchitectureFileError
from exports.rebuilding.find_space import find_space
from search_spaces import SnasCellSpace

EDGE = "small_export_spaces.EdgeSpace"


@pytest.mark.parametrize("spaces", [[EdgeSpace], EdgeSpace, EDGE, ["small_export_spaces"], (name for name in [EDGE])])
def test_a_user_s_space_by_class_path_module_or_class(spaces):
    assert find_space(EDGE, {}, spaces) is EdgeSpace


def test_own_spaces_and_the_hub_s_need_nothing():
    assert find_space("search_spaces.snas.SnasCellSpace", {}) is SnasCellSpace
    assert find_space(f"{NasBench201.__module__}.NasBench201", {}) is NasBench201


def test_a_class_stands_for_its_name_in_a_script():
    assert find_space("__main__.EdgeSpace", {}, [Inherited, EdgeSpace]) is EdgeSpace
    assert find_space("__main__.EdgeSpace", {}, EDGE) is EdgeSpace
    for spaces in ([Inherited], None, "small_export_spaces"):
        with pytest.raises(ArchitectureFileError, match="written in a notebook or a script"):
            find_space("__main__.EdgeSpace", {}, spaces)


@pytest.mark.parametrize("class_path", ["harmful_module.Space", "search_spaces_of_others.X", "nni.nas.X", "Space", ""])
@pytest.mark.parametrize("spaces", [None, [EdgeSpace], ["harmful"], ["harmful_module.Other"]])
def test_what_nobody_allowed_is_not_imported(class_path, spaces, tmp_path, monkeypatch):
    (tmp_path / "harmful_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ArchitectureFileError, match="not in a package that may be imported") as caught:
        find_space(class_path, {}, spaces)
    assert caught.value.key == "space.class_path"
    assert "harmful_module" not in sys.modules


@pytest.mark.parametrize(
    ("class_path", "spaces", "problem"),
    [
        ("small_export_spaces.NotASpace", "small_export_spaces", "NotASpace is not an NNI ModelSpace"),
        ("small_export_spaces.Missing", "small_export_spaces", "defines no class 'Missing'"),
        ("small_export_spaces.ModelSpace", "small_export_spaces", "defines no class"),  # it only imports it
        ("small_export_spaces.conv", "small_export_spaces", "defines no class"),
        ("search_spaces.nothing.Space", None, "'search_spaces.nothing' cannot be imported"),
        (EDGE, [NotASpace], "NotASpace is not an NNI ModelSpace"),
        (EDGE, [3], "spaces holds 3"),
        (EDGE, ["not a name"], "spaces holds not a name"),
        (EDGE, [""], "spaces holds"),
    ],
)
def test_what_is_no_space_is_named(class_path, spaces, problem):
    with pytest.raises(ArchitectureFileError) as caught:
        find_space(class_path, {}, spaces)
    assert problem in caught.value.problem


def test_a_module_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "failing_space.py").write_text("raise ValueError('first\\nsecond')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ArchitectureFileError, match="cannot be imported: ") as caught:
        find_space("failing_space.Space", {}, "failing_space")
    assert len(str(caught.value).splitlines()) == 1
