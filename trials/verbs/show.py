"""``snas-nni show``: an architecture file, or a model space before any search, in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from torch import nn

from snas_nni import SNAS, SettingError, SnasError
from snas_nni.resources import CostModel, cost_range
from trials.runs.components import make_space
from trials.settings.search import SpaceSettings

if TYPE_CHECKING:
    from exports import Architecture

__all__ = ["describe", "describe_space", "run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni show",
        description="Print an architecture file: space, cells or choices with their probabilities, metrics. "
        "Nothing is built or imported for it. Or print a model space, given by the dotted path of its class: "
        "which modules share which choice, and what each candidate costs.",
    )
    parser.add_argument("target", help="architecture.json, or a class such as search_spaces.SnasCellSpace")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="argument of the space's class"
    )
    parser.add_argument(
        "--input-shape", type=int, nargs="+", default=[3, 32, 32], metavar="N", help="of one example (3 32 32)"
    )
    options = parser.parse_args(arguments)
    if not options.target.endswith(".json") and not Path(options.target).exists():
        from trials.settings.user_code import add_current_folder_to_path

        add_current_folder_to_path()
        print(describe_space(options.target, options.set, options.input_shape))
        return 0

    from exports import load

    print(describe(load(Path(options.target))))
    return 0


def describe(architecture: Architecture) -> str:
    """Write an architecture as text of some lines."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in architecture.space.arguments.items())
    lines = [f"{architecture.space.class_path}({arguments})", f"{architecture.parameters:,} parameters"]
    for name, edges in architecture.cells.items():
        lines += ["", f"cell {name}", *map(_edge, edges)]
    others = {
        label: value
        for label, value in architecture.sample.items()
        if label.split("/")[0] not in architecture.cells  # a cell's labels start with its name
    }
    if others:
        lines += ["", "choices", *(_choice(label, value, architecture) for label, value in others.items())]
    if architecture.entropy:
        lines += ["", f"entropy left {sum(architecture.entropy.values()):.2f} nats"]
    if architecture.metrics:
        lines += ["", "metrics", *_table(architecture.metrics)]
    made_with = ", ".join(f"{name} {version}" for name, version in architecture.versions.items())
    return "\n".join([*lines, "", f"seed {architecture.seed}; {made_with}"])


def _edge(edge: Mapping[str, Any]) -> str:
    return f"  {edge['from']} -> {edge['to']}  {edge['op']:<14}{_probability(edge.get('probability'))}"


def _choice(label: str, value: Any, architecture: Architecture) -> str:
    probability = architecture.probabilities.get(label, {}).get(str(value))
    return f"  {label} = {value}{_probability(probability)}"


def _probability(value: float | None) -> str:
    return "" if value is None else f"  probability {value:.2f}"


def _table(metrics: Mapping[str, float]) -> list[str]:
    width = max(map(len, metrics))
    return [f"  {name:<{width}}  {value:.4g}" for name, value in metrics.items()]


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
