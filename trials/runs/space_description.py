"""What a model space holds before any search: which modules share which choice, what each candidate costs.

Not in the verb that shows it, which starts without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import yaml
from torch import nn

from snas_nni import SNAS, SettingError, SnasError
from snas_nni.resources import CostModel, cost_range
from trials.runs.components import make_space
from trials.settings.search import SpaceSettings

__all__ = ["describe_space"]

_COLUMNS = ("params", "macs", "memory_access")


def describe_space(class_path: str, arguments: Sequence[str], input_shape: Sequence[int]) -> str:
    """Describe a model space.

    Args:
        class_path: dotted path of the class.
        arguments: constructor arguments as ``name=value``, values in YAML.
        input_shape: of one example, that costs are counted on.

    Raises:
        SnasError: the space cannot be built or searched.
    """
    space = make_space(SpaceSettings(class_path=class_path, init_args=dict(map(_argument, arguments))))
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(space)
    lines = [f"{class_path}: {len(strategy.distribution.choices)} choices"]
    try:
        costs: CostModel | None = strategy.cost_model(torch.zeros(1, *input_shape))
    except (SnasError, RuntimeError) as error:
        costs = None
        lines.append(
            f"costs were not counted on an input of shape {tuple(input_shape)} (--input-shape): "
            f"{str(error).splitlines()[0]}"
        )
    users = _users(supernet)
    for label, choice in strategy.distribution.choices.items():
        names = users.get(label, [])
        shown = ", ".join(names[:4]) + (f", ... {len(names)} in all" if len(names) > 4 else "")
        lines += ["", f"{label}  ({shown})", *_candidates(label, choice.candidates, costs)]
    if costs is not None:
        lines += ["", "costs of nested choices are means over the choices around and inside them, each uniform"]
        lines += ["", "cheapest and dearest child"]
        for name in _COLUMNS:
            low, high = cost_range(costs, name)
            lines.append(f"  {name:<14}{low:>16,.0f}{high:>16,.0f}")
    fixed: Mapping[str, str] = getattr(space, "fixed", {})  # a space from a network knows why
    if fixed:
        lines += ["", "fixed", *(f"  {path or '(the network)'}: {reason}" for path, reason in fixed.items())]
    return "\n".join(lines)


def _argument(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise SettingError(f"--set: {text!r} must look like name=value")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingError(f"--set: the value of {name} is not YAML: {error}") from error


def _candidates(label: str, candidates: Sequence[Any], costs: CostModel | None) -> Iterator[str]:
    width = max(16, *(len(str(candidate)) + 2 for candidate in candidates))
    if costs is None:
        yield from (f"  {candidate}" for candidate in candidates)
        return
    yield "  " + " " * width + "".join(f"{name:>16}" for name in _COLUMNS)
    for candidate, cost in zip(candidates, costs.candidate_costs(label), strict=True):
        yield f"  {candidate!s:<{width}}" + "".join(f"{cost[name]:>16,.0f}" for name in _COLUMNS)


def _users(supernet: nn.Module) -> Mapping[str, list[str]]:
    """Names of the modules that read each label."""
    users: dict[str, list[str]] = {}
    for name, module in supernet.named_modules():
        policy = getattr(module, "sampling_policy", None)
        readers = [getattr(module, "reader", None)]
        readers += list({**getattr(module, "readers", {}), **getattr(policy, "readers", {})}.values())
        for reader in readers:
            if reader is not None:
                users.setdefault(reader.choice.label, []).append(name)
    return users
