"""From the settings of the data to its three splits, by the source that the settings name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

from snas_nni.errors import SettingError
from trials.data.augmentation import CentralCrop, ResizedCrop, given_normalization
from trials.data.own_data import task_data
from trials.data.types import TaskData
from trials.progress import Progress
from trials.settings.evaluator import EvaluatorSettings
from trials.settings.retrain import AugmentationSettings
from trials.settings.search import DataSettings
from trials.settings.sources import SOURCES
from trials.settings.user_code import import_dotted
from trials.tasks import TASKS, Classification, Task
from trials.tasks.own import OwnTask

__all__ = ["load_data", "with_augmentation", "with_given_normalization"]


def load_data(
    settings: DataSettings, progress: Progress, task: str = "classification", evaluator: EvaluatorSettings | None = None
) -> TaskData:
    """Load the data that ``settings.source`` names: one of ``trials.settings.sources.SOURCES``, or a user's function.

    A user's own may be like a built-in one, or take its own keyword arguments (``data.options``) and return a tensor
    of inputs and a tensor of targets, of which validation and test parts are held out.

    Args:
        settings: of the data.
        progress: told when loading takes long.
        task: what a network is to be trained for.
        evaluator: names a module of the user's own that trains in place of the task.

    Raises:
        SettingError: the source is unknown, or its settings do not fit the data, or the data not the task.
    """
    own = evaluator is not None and evaluator.class_path is not None
    kind: type[Task] = OwnTask if own else TASKS[task]
    of_classes = settings.source in SOURCES and SOURCES[settings.source].of_classes
    if of_classes and kind not in (Classification, OwnTask):
        raise SettingError(
            f"training.task is {task}, but data.source {settings.source!r} has a class for each input; give a function "
            "of your own that returns inputs and targets, such as --data.source my_data.load"
        )
    data = task_data(_loaded(_function_of(settings.source), settings, progress), settings, kind)
    data = with_given_normalization(data, settings)
    if own and evaluator is not None:
        channels = data.input_shape[0] if data.input_shape else 1
        data = replace(data, task=OwnTask(data.classes, evaluator, channels))
    if not isinstance(data.task, Classification):
        progress.say(f"task: {data.task.title}; {data.task.metric.in_words} decides")
    return data


def _loaded(source: Callable[..., object], settings: DataSettings, progress: Progress) -> object:
    required = [
        parameter
        for parameter in inspect.signature(source).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if [parameter.name for parameter in required[:2]] == ["settings", "progress"]:
        return source(settings, progress)
    try:
        inspect.signature(source).bind(**settings.options)
    except TypeError as error:
        raise SettingError(f"data.options do not fit {settings.source}: {error}") from error
    return source(**settings.options)


def _function_of(source: str) -> Callable[..., object]:
    # Imported on demand: torchvision and scikit-learn each cost about a second.
    built_in = SOURCES.get(source)
    return import_dotted(built_in.function if built_in else source, "data.source", tuple(SOURCES))


def with_augmentation(data: TaskData, settings: AugmentationSettings) -> TaskData:
    """Return the data with the augmentation that the settings add.

    Raises:
        SettingError: the data are not images, have no augmentation of their own, or are smaller than the crop.
    """
    side = settings.random_resized_crop
    if side is None and not any(settings.colour_jitter):
        return data
    if len(data.input_shape) != 3 or data.augmentation is None or data.normalisation is None:
        raise SettingError("augmentation: the data source gives no images that could be cropped and coloured")
    augmentation = ResizedCrop(**vars(data.augmentation), side=side, colour_jitter=settings.colour_jitter)
    if side is None:
        return replace(data, augmentation=augmentation)
    if min(data.input_shape[1:]) < side:
        raise SettingError(
            f"augmentation.random_resized_crop is {side}, but images are {data.input_shape[1]} x "
            f"{data.input_shape[2]} pixels; give a larger data.image_size"
        )
    return replace(data, augmentation=augmentation, normalisation=CentralCrop(**vars(data.normalisation), side=side))


def with_given_normalization(data: TaskData, settings: DataSettings) -> TaskData:
    """Return the data with what is given in place of what its source says, if anything is.

    Raises:
        SettingError: it does not fit the inputs.
    """
    given = given_normalization(settings, data.input_shape)
    return data if given is None else replace(data, normalisation=given)
