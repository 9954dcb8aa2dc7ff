"""``snas_nni.search``: a whole search as one function."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from nni.nas.nn.pytorch import ModelSpace
from torch.utils.data import DataLoader

from exports.architecture.space_reference import SpaceReference, constructor_of
from snas_nni.errors import SettingError
from snas_nni.resources import Budget
from trials.in_python.folder import make_whole, refuse_unkept
from trials.in_python.given_data import DATA_FILE, GivenData
from trials.in_python.manners import libraries_quiet
from trials.in_python.run import SearchRun
from trials.runs.components import DECIDED_BY_DATA
from trials.runs.search import run_search
from trials.settings.guard import merged
from trials.settings.reader import given_in, made_of
from trials.settings.search import RunSettings
from trials.settings.user_code import import_dotted
from trials.state.checkpoint_files import checkpoints_in
from trials.state.nni_trial import NniTrial

__all__ = ["search"]


def search(
    space: type[ModelSpace] | ModelSpace | str,
    train: Any,
    validation: Any = None,
    *,
    test: Any = None,
    budget: Budget | Mapping[str, Any] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    task: str | None = None,
    space_arguments: Mapping[str, Any] | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> SearchRun:
    """Search a network for your data: what ``snas-nni search`` does, on data that the program has.

    Progress, defaults, seeds, findings and files are those of the command; so are all other settings, by group.

    Args:
        space: class of a model space, its dotted path, or one instance (which is made anew from its arguments, and
            starts from the instance's weights). Arguments such as ``in_channels`` and ``classes`` come from the data
            where a class is given.
        train: a pair of inputs and targets (tensors or numpy arrays), a torch ``Dataset`` of such pairs (read once,
            so that random transforms in it are drawn once), a ``DataLoader`` of one, or the name of a data source
            such as ``"digits"`` or ``"my_data.load"``.
        validation: the same, to compare children on; None to hold a part of ``train`` out.
        test: the same, looked at once after the search; None to hold a part of ``train`` out.
        budget: upper bounds on what the child costs: ``{"params": 2e6, "macs": "60%"}`` or a ``snas_nni.Budget``.
        epochs: of the search; None for the command's default.
        batch_size: None for that of a ``DataLoader``, or the command's default.
        task: what the network is trained for; None for classification.
        space_arguments: of the constructor, where ``space`` is a class.
        seed: of weights, samples, batches and all else that is drawn.
        output: folder to write into, new or empty; None for a temporary one, of which ``.save(folder)`` makes one that
            stays.
        resume: folder of a search of the same settings that was cut off, to go on in it.
        quiet: print nothing but errors.
        settings: groups as in a settings file: ``training={"learning_rate": 0.2}``, ``search={"candidates": 4}``,
            ``data={"augmentation": "none"}``, ... (see ``docs/settings.md``).

    Returns:
        The finished search: ``.child``, ``.sample``, ``.accuracy``, ``.metrics``, ``.derive(budget)``, ``.report()``,
        ``.save(folder)``, ``.export_onnx(path)``.

    Raises:
        SettingError: a setting is unknown or out of its range, or the data or the space is not what it must be.
        SnasError: the space cannot be searched, the loss is not finite, or a file cannot be written.
        KeyboardInterrupt: Ctrl-C; at the end of its step the search wrote a checkpoint, and said where.

    Examples:
        >>> import torch
        >>> from snas_nni import SnasCellSpace, search
        >>> images, classes = torch.randn(64, 3, 8, 8), torch.arange(64) % 4
        >>> space = SnasCellSpace(channels=2, cells=1, nodes=1, classes=4)
        >>> found = search(space, (images, classes), epochs=1, batch_size=16, quiet=True)
        >>> found.child(images).shape
        torch.Size([64, 4])
    """
    space_class, document = _space(space, space_arguments or {})
    data = None if isinstance(train, str) else GivenData(train, validation, test)
    if isinstance(train, str) and (validation is not None or test is not None):
        raise SettingError("validation and test: the data source that train names gives them itself")
    if batch_size is None and isinstance(train, DataLoader):
        batch_size = train.batch_size
    folder, temporary = _folder(output, resume)
    named = {"source": train} if isinstance(train, str) else {"source": "tensors", "path": str(folder / DATA_FILE)}
    own = {
        "search": _without_none(epochs=epochs, batch_size=batch_size),
        "training": _without_none(task=task),
        "resources": _budget(budget),
        "data": named,
        **_without_none(seed=seed, output=str(folder), resume=None if resume is None else str(folder)),
    }
    document = {"devices": 1, "quiet": quiet, **merged(settings, merged(document, own))}
    try:
        made = made_of(given_in(document, RunSettings, "search(...)"), RunSettings)
        if not temporary:
            refuse_unkept(space_class, data)  # now, not after a long search
        with libraries_quiet(), _held(data, made):
            start = space if isinstance(space, ModelSpace) else None
            run_search(made, NniTrial.current(), start.state_dict() if start is not None else None)
        if not temporary:
            make_whole(folder, made, space_class, data)
    except BaseException:
        if temporary and not checkpoints_in(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return SearchRun(folder, made, space_class, data, keeps=not temporary)


def _space(space: Any, given: Mapping[str, Any]) -> tuple[type[ModelSpace], dict[str, Any]]:
    """Return the class and the settings that name it."""
    arguments = dict(given)
    if isinstance(space, str):
        found: Any = import_dotted(space, "space")
    elif isinstance(space, ModelSpace):
        found, arguments = type(space), {**_arguments_of(space), **arguments}
    else:
        found = space
    if not (inspect.isclass(found) and issubclass(found, ModelSpace)):
        raise SettingError(f"space: {space!r} is not a class of model spaces, nor one of them, nor the path of one")
    if "." in found.__qualname__:
        raise SettingError(
            f"space: {found.__qualname__} is defined inside a function or another class, where nothing finds it again. "
            "Define it at the top level"
        )
    return found, {"space": {"class_path": f"{found.__module__}.{found.__qualname__}", "init_args": arguments}}


def _arguments_of(space: ModelSpace) -> dict[str, Any]:
    """Return what an instance was made with; the data must not decide again what it left at its default."""
    parameters = inspect.signature(constructor_of(type(space))).parameters
    defaults = {name: parameters[name].default for name in DECIDED_BY_DATA if name in parameters}
    return {
        **{name: value for name, value in defaults.items() if isinstance(value, int)},
        **SpaceReference.of(space).arguments,
    }


def _budget(budget: Budget | Mapping[str, Any] | None) -> dict[str, Any]:
    if budget is None:
        return {}
    if not isinstance(budget, Budget):
        return {f"max_{cost}": bound for cost, bound in budget.items()}
    shares = {cost: bound if isinstance(bound, float | int) else str(bound) for cost, bound in budget.bounds.items()}
    bounds = {f"max_{cost}": bound for cost, bound in shares.items()}
    return {**bounds, **{name: getattr(budget, name) for name in ("target", "tolerance", "exclude", "pull")}}


def _folder(output: str | Path | None, resume: str | Path | None) -> tuple[Path, bool]:
    given = output if resume is None else resume
    if given is None:
        return Path(tempfile.mkdtemp(prefix="snas-nni-")), True
    return Path(given).expanduser().absolute(), False


def _held(data: GivenData | None, settings: RunSettings) -> AbstractContextManager[None]:
    return nullcontext() if data is None else data.held_as(Path(settings.data.path or ""))


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
