import json
import resource

import pytest
from torch import nn

from exports import ArchitectureFileError, build, load
from exports.rebuilding import size_limits as size_guard
from exports.rebuilding.size_limits import bounded_size
from search_spaces import SnasCellSpace


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cells": 10**9}, "more than 500 modules"),
        ({"nodes": 10**9}, "more than 500 modules"),
        ({"channels": 10**8}, "more than 1073741824 parameters"),
        ({"classes": 10**12}, "more than 1073741824 parameters"),
        ({"channels": 10**18}, "refused them"),
    ],
)
def test_giant_arguments_of_a_file_are_refused_before_they_cost_memory(tmp_path, monkeypatch, arguments, words):
    monkeypatch.setattr(size_guard, "MAX_MODULES", 500)
    small = {"channels": 2, "cells": 1, "nodes": 1}
    document = {
        "format": "snas-nni/architecture",
        "version": 1,
        "space": {"class_path": "search_spaces.snas.SnasCellSpace", "arguments": {**small, **arguments}},
        "sample": {"normal/edge_0_2": "none", "normal/edge_1_2": "none"},
        "parameters": 100,
    }
    path = tmp_path / "giant.json"
    path.write_text(json.dumps(document))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchitectureFileError, match=words) as refused:
        build(load(path), weights=False)
    assert refused.value.key == "space.arguments"
    assert str(path) in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_what_is_within_bounds_is_not_touched_and_nothing_stays_behind():
    with bounded_size("x"):
        inside = SnasCellSpace(channels=2, cells=1, nodes=1)
    assert sum(p.numel() for p in inside.parameters()) > 0
    size_guard_hooks = nn.modules.module._global_module_registration_hooks
    assert not size_guard_hooks
    nn.LazyLinear(3)
