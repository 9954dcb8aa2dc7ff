"""``snas-nni derive``: other children of a finished search, within other budgets, without another search."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.settings.amounts import amount
from trials.settings.costs.bounds import MEASURED_BOUNDS
from trials.verbs.shared.options import with_plain_options

if TYPE_CHECKING:
    from snas_nni.resources import Bound
    from trials.runs.derive import Restored

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: there is no such search, no child meets the bounds, or an option is wrong.
    """
    from snas_nni.resources import COSTS

    parser = argparse.ArgumentParser(
        prog="snas-nni derive",
        description="Derive another child of a finished search from the checkpoint that it left: the best of the most "
        "probable children within the bounds, compared on held-out data. It gets a folder of its own, which every "
        "verb takes. With --sweep, one child for each of several budgets.",
    )
    parser.add_argument("folder", type=Path, help="folder of the search, with its checkpoints")
    for cost, info in COSTS.items():
        parser.add_argument(
            f"--max-{cost.replace('_', '-')}",
            metavar="N",
            dest=f"max_{cost}",
            help=f"bound on {info.meaning}, a number or 60%% of the dearest child's",
        )
    for name, meaning in MEASURED_BOUNDS.items():
        parser.add_argument(
            f"--max-{name.replace('_', '-')}", metavar="N", dest=f"max_{name}", help=f"bound on {meaning}"
        )
    parser.add_argument("--space", help="your own space's file, or dotted path, where it is not in this folder")
    parser.add_argument("--sweep", metavar="COST:COUNT", help="so many budgets from the cheapest child to the dearest")
    parser.add_argument(
        "--candidates",
        type=int,
        help="how many children are compared (the search's setting, half of it for each budget of --sweep)",
    )
    parser.add_argument(
        "--tune-epochs",
        type=int,
        help="epochs that the child is trained on by itself (0); with --sweep the dearest one, and cheaper ones for "
        "as many MACs (a quarter of the search's epochs)",
    )
    parser.add_argument("--output", type=Path, help="where the result goes (default: derived-... beside the search)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(with_plain_options(arguments))
    given = {cost: _number(options, f"max_{cost}") for cost in COSTS if getattr(options, f"max_{cost}", None)}

    measured = {
        name: _plain_number(options, f"max_{name}") for name in MEASURED_BOUNDS if getattr(options, f"max_{name}", None)
    }

    from trials.progress import Progress
    from trials.runs.derive import derive_child_of, restore
    from trials.settings.user_code import add_current_folder_to_path
    from trials.verbs.search import read_search_settings

    progress = Progress(options.quiet)
    settings = read_search_settings([f"--resume={options.folder}"])
    add_current_folder_to_path()
    search = restore(options.folder, settings, progress)
    bounds = {cost: search.bound(cost, bound) for cost, bound in given.items()}
    if options.sweep is not None:
        _sweep(options, search, bounds, measured, progress)
        return 0
    name = "-".join(f"{cost}-{bound:g}" for cost, bound in {**bounds, **measured}.items()) or "best"
    result = derive_child_of(
        search, bounds, options.output or options.folder.parent / f"{options.folder.name}-{name}",
        measured=measured, candidates=options.candidates, tune_epochs=options.tune_epochs or 0, progress=progress,
    )  # fmt: skip
    progress.say(
        f"child: {result.metric.text(result.metrics[result.metric.validation])} validation {result.metric.title}, "
        f"{result.parameters:,} parameters; "
        f"written to {result.output}"
    )
    return 0


def _sweep(
    options: argparse.Namespace, search: Restored, bounds: dict[str, float], measured: dict[str, float], progress: Any
) -> None:
    from exports.report import write_report
    from snas_nni.errors import SettingError
    from snas_nni.resources import COSTS
    from trials.runs.derive import budgets_between
    from trials.runs.front.children import default_tune_epochs
    from trials.runs.front.document import write_front
    from trials.runs.front.writing import derive_front

    cost, _, count = options.sweep.partition(":")
    if cost not in COSTS or COSTS[cost].measured or not count.isdecimal():
        known = ", ".join(name for name, info in COSTS.items() if not info.measured)
        raise SettingError(f"--sweep: {options.sweep!r} must look like params:8, with one of {known}")
    budgets = budgets_between(*search.cost_range(cost), int(count))
    epochs = default_tune_epochs(search.trained_epochs) if options.tune_epochs is None else options.tune_epochs
    output = options.output or options.folder.parent / f"{options.folder.name}-sweep-{cost}"
    front = derive_front(
        search, cost, budgets, output,
        bounds=bounds, measured=measured, candidates=options.candidates, tune_epochs=epochs, progress=progress,
    )  # fmt: skip
    progress.say(str(write_front(output, front)))
    progress.say(str(write_report(output)))


def _plain_number(options: argparse.Namespace, name: str) -> float:
    from snas_nni.errors import SettingError

    number = _number(options, name)
    if not isinstance(number, float):
        raise SettingError(f"--{name.replace('_', '-')}: {number} must be a number, because no dearest child is known")
    return number


def _number(options: argparse.Namespace, name: str) -> Bound:
    from snas_nni.errors import SettingError
    from snas_nni.resources.share import checked_bound

    text, option = getattr(options, name), f"--{name.replace('_', '-')}"
    if "%" in text:
        return checked_bound(option, text)
    try:
        return float(amount(text))
    except ValueError as error:
        raise SettingError(
            f"{option}: {text!r} is not a number such as 2000 or 2.3M, or a share such as 60%"
        ) from error
