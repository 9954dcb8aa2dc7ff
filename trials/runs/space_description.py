"""What a model space holds before any search: which modules share which choice, what each candidate costs.

Not in the verb that shows it, which starts without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from torch import nn

from exports import InputExample
from snas_nni import SNAS, SettingError, SnasError
from snas_nni.resources import CostModel, cost_range
from snas_nni.resources.solver.bounds import PEAK, peak_range
from snas_nni.supernet.base import SampledModule
from trials.runs.components import make_space
from trials.settings.search import SpaceSettings

__all__ = ["describe_space", "space_argument"]


def describe_space(class_path: str, arguments: Sequence[str], example: InputExample) -> str:
    """Describe a model space.

    Args:
        class_path: dotted path of the class.
        arguments: constructor arguments as ``name=value``, values in YAML.
        example: one input, that costs are counted on.

    Raises:
        SnasError: the space cannot be built or searched.
    """
    space = make_space(SpaceSettings(class_path=class_path, init_args=dict(map(space_argument, arguments))))
    strategy = SNAS(seed=0)
    supernet = strategy.mutate_model(space)
    lines = [f"{class_path}: {len(strategy.distribution.choices)} choices"]
    try:
        costs: CostModel | None = strategy.cost_model(example.batch())
    except (SnasError, RuntimeError, IndexError) as error:
        costs = None
        lines.append(
            f"costs were not counted on an input of {example} (--input-shape, --input-dtype, --input-range): "
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
        for name in costs.names:
            low, high = cost_range(costs, name)
            lines.append(f"  {name:<16}{low:>16,.0f}{high:>16,.0f}")
        if costs.peaks:
            lines.append(_peaks(costs))
    fixed: Mapping[str, str] = getattr(space, "fixed", {})  # a space from a network knows why
    if fixed:
        lines += ["", "fixed", *(f"  {path or '(the network)'}: {reason}" for path, reason in fixed.items())]
    return "\n".join(lines)


def space_argument(text: str) -> tuple[str, Any]:
    """Return name and value of an argument that is given as ``name=value``, the value in YAML.

    Raises:
        SettingError: it is not.
    """
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
    yield "  " + " " * width + "".join(f"{name:>16}" for name in costs.names)
    for candidate, cost in zip(candidates, costs.candidate_costs(label), strict=True):
        yield f"  {candidate!s:<{width}}" + "".join(f"{cost[name]:>16,.0f}" for name in costs.names)


def _peaks(costs: CostModel) -> str:
    try:
        low, high = peak_range(costs)
    except SettingError as error:
        return f"  {PEAK:<16}{error}"
    return f"  {PEAK:<16}{low:>16,.0f}{high:>16,.0f}"


def _users(supernet: nn.Module) -> Mapping[str, list[str]]:
    """Names of the modules that read each label."""
    users: dict[str, list[str]] = {}
    for name, module in supernet.named_modules():
        if isinstance(module, SampledModule):
            readers = module.readers
        else:  # a layer that a space of NNI's slices by itself asks a policy, which reads
            readers = getattr(getattr(module, "sampling_policy", None), "readers", {})
        for label in readers:
            users.setdefault(label, []).append(name)
    return users
