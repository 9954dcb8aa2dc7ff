"""The supernet that a search left as the teacher of its child."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from torch import nn

from exports import Architecture
from snas_nni.errors import SettingError
from snas_nni.one_shot.children import ChildrenOfSearch
from trials.data.loaders import training_loader
from trials.data.types import TaskData
from trials.progress import Progress
from trials.runs.components import restored_strategy
from trials.runs.teaching.teachers import SUPERNET, TEACHER, distillation_from
from trials.settings.reader import read_settings
from trials.settings.search import RunSettings, SpaceSettings
from trials.state.checkpoint_files import newest_usable
from trials.state.output_folder import SETTINGS_NAME
from trials.training.distillation import Distillation

__all__ = ["supernet_distillation", "supernet_of", "supernet_of_folder"]

_BATCHES = 20


def supernet_of(search: ChildrenOfSearch, settings: RunSettings, data: TaskData) -> nn.Module:
    """Return the supernet at its probabilities, with BatchNorm statistics of some training batches.

    Args:
        search: that was run, or restored.
        settings: of the search.
        data: the splits.
    """
    loader = training_loader(data, settings.search.batch_size, settings.seed, settings.data.workers)
    return search.expected_network(inputs for inputs, _ in islice(loader, _BATCHES))


def supernet_distillation(search: ChildrenOfSearch, settings: RunSettings, data: TaskData) -> Distillation | None:
    """Return the supernet as the teacher of a child that is tuned; None where the settings name another or none.

    Args:
        search: that was run, or restored.
        settings: of the search.
        data: the splits.
    """
    if settings.distillation.teacher != SUPERNET:
        return None
    return distillation_from(supernet_of(search, settings, data), settings.distillation, data)


def supernet_of_folder(architecture: Architecture, data: TaskData, progress: Progress) -> nn.Module:
    """Return the supernet that the search of an architecture file left in its folder.

    Args:
        architecture: of a search's folder; its space may be imported, which whoever built the child has seen to.
        data: the splits that the child is trained on.
        progress: told which checkpoints cannot be used.

    Raises:
        SettingError: there is no checkpoint beside the file, or it is not of this space.
    """
    folder = architecture.file.parent if architecture.file is not None else Path()
    path = newest_usable(folder, progress.say) if architecture.file is not None else None
    if path is None:
        raise SettingError(
            f"{TEACHER} is {SUPERNET}, but {str(folder)!r} has no checkpoint of a search that can be used; give the "
            "folder of a search as the architecture, or name another teacher"
        )
    recorded = read_settings([f"--config={folder / SETTINGS_NAME}"], None, RunSettings.before)
    space = SpaceSettings(class_path=architecture.space.class_path, init_args=dict(architecture.space.arguments))
    settings = replace(recorded, space=space)
    return supernet_of(restored_strategy(settings, data, path), settings, data)
