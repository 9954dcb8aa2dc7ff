"""A run inside somebody else's program: it leaves no warnings filtered, no loggers silenced, no generators seeded.

A command has the process to itself and need not put anything back; a notebook goes on afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

from snas_nni.one_shot.resume_state import random_state, set_random_state
from trials.state.signals import StoppedError

__all__ = ["libraries_quiet"]

_LOGGERS = ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric", "nni")
_SEED = "PL_GLOBAL_SEED", "PL_SEED_WORKERS"


@contextlib.contextmanager
def libraries_quiet() -> Iterator[None]:
    """Do a run inside a ``with`` block, and go on as if there had been none.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped the run.
        SystemExit: another signal did.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    seeds = {name: os.environ.get(name) for name in _SEED}
    states = random_state()
    try:
        with warnings.catch_warnings():
            yield
    except StoppedError as error:
        if error.exit_code == 130:
            raise KeyboardInterrupt from error
        raise SystemExit(error.exit_code) from error
    finally:
        set_random_state(states)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in seeds.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
