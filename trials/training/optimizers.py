"""The optimizer of the weights: one of PyTorch's by its name, or a user's own by its dotted path."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from snas_nni.errors import SettingError
from trials.settings.suggestions import did_you_mean
from trials.settings.user_code import import_dotted

__all__ = ["make_optimizer", "optimizer_class"]

_KEY = "training.optimizer"
_OTHERS = ("Optimizer", "LBFGS", "SparseAdam")  # the base; one that needs a closure; one of sparse gradients alone
_IN_TORCH = tuple(
    name
    for name, each in vars(torch.optim).items()
    if inspect.isclass(each) and issubclass(each, torch.optim.Optimizer) and name not in _OTHERS
)


def optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    """Return the class that a setting names, in capitals or not; one with a dot in its name is imported.

    Raises:
        SettingError: there is none of that name, or it is no optimizer that steps without a closure.
    """
    if "." not in name:
        known = {each.lower(): each for each in _IN_TORCH}
        if name.lower() not in known:
            raise SettingError(
                f"{_KEY}: PyTorch has no optimizer {name!r} that steps by itself{did_you_mean(name, _IN_TORCH)}; it "
                f"has {', '.join(_IN_TORCH)}. One of your own is a dotted path like my_module.MyOptimizer"
            )
        found: Any = getattr(torch.optim, known[name.lower()])
    else:
        found = import_dotted(name, _KEY)
    if not (inspect.isclass(found) and issubclass(found, torch.optim.Optimizer)):
        raise SettingError(f"{_KEY}: {name!r} is not a class of torch.optim.Optimizer")
    return found


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    arguments: Mapping[str, Any],
) -> torch.optim.Optimizer:
    """Make the optimizer.

    Args:
        name: see :func:`optimizer_class`.
        parameters: of the network.
        learning_rate: of the first epoch.
        momentum: of SGD; others have their own.
        weight_decay: of every optimizer that has one.
        arguments: of the class, which win.

    Raises:
        SettingError: there is none of that name, or it does not take the arguments.
    """
    kind = optimizer_class(name)
    known = inspect.signature(kind).parameters
    offered = {
        "lr": learning_rate,
        "weight_decay": weight_decay,
        **({"momentum": momentum} if kind is torch.optim.SGD else {}),
    }
    chosen = {**{key: value for key, value in offered.items() if key in known}, **arguments}
    try:
        return kind(list(parameters), **chosen)
    except (TypeError, ValueError) as error:
        raise SettingError(f"training.optimizer_args: {name} refuses them: {error}") from error
