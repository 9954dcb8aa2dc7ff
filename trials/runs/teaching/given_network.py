"""Whether a network that was given as trained answers as if it was, on the data at hand."""

from __future__ import annotations

from typing import Final

import torch

from snas_nni.files import readable
from trials.data.loaders import evaluation_loader
from trials.data.types import TaskData
from trials.progress import Progress
from trials.runs.teaching.teachers import original_network
from trials.settings.search import SpaceSettings
from trials.training.evaluation import evaluate, torch_predictor

__all__ = ["MOST_EXAMPLES", "chance_warning", "warn_of_chance"]

MOST_EXAMPLES: Final = 2_000
"""Held-out examples that a given network is asked about."""


def chance_warning(accuracy: float, most_frequent: float, classes: tuple[str, ...]) -> str | None:
    """Return one line on a given network that does little better than chance; None for a better one.

    Little better is below twice the share of one class of equal ones, or, where that says nothing because there are
    fewer than five, not above what the most frequent class alone would reach.

    Args:
        accuracy: of the network, in [0, 1].
        most_frequent: share of the most frequent class, in (0, 1].
        classes: names in the order of the outputs.
    """
    bound = 2 / len(classes) if len(classes) > 4 else 0.0
    if accuracy >= bound and accuracy > most_frequent:
        return None
    order = readable(", ".join(classes[:3]) + ", ..." * (len(classes) > 3))
    return (
        f"warning: the given network names the class of {accuracy:.1%} of held-out inputs, little better than chance. "
        "It may have been trained with another normalization (data.mean, data.std) or another order of the classes "
        f"(here {order})"
    )


def warn_of_chance(settings: SpaceSettings, data: TaskData, progress: Progress) -> None:
    """Say so if the network that a space is made from, with weights from a file, does little better than chance.

    Args:
        settings: of the space; nothing is looked at where they name no file of weights.
        data: of which some held-out inputs are looked at, spread over the whole split.
        progress: told.
    """
    if not settings.init_args.get("weights") or data.task.name != "classification":
        return
    rows = torch.arange(0, len(data.validation), -(-len(data.validation) // MOST_EXAMPLES))
    few = data.validation.select(rows)
    found = evaluate(torch_predictor(original_network(settings, data)), evaluation_loader(data, few), data.task)
    share = float(few.labels.bincount(minlength=data.classes).max()) / len(few)
    line = chance_warning(found.top1.value, share, data.class_names)
    if line is not None:
        progress.say(line)
