"""``snas-nni card``: a model card beside what a run left."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: there is no finished run in the folder, the file exists, or a package is missing.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni card",
        description="Write a model card (Markdown, with the header that the Hugging Face hub reads): what was found, "
        "what it reaches and costs, what to know before using it, and the code to use it.",
    )
    parser.add_argument("folder", type=Path, help="folder of a finished search or retraining")
    parser.add_argument("--name", help="name of the model (default: the folder's)")
    parser.add_argument("--output", type=Path, help="file to write (default: README.md in the folder); - prints it")
    options = parser.parse_args(arguments)

    from exports.model_card import CARD_FILE, model_card
    from snas_nni.errors import SettingError
    from snas_nni.files import replacing

    try:
        card = model_card(options.folder, options.name)
    except ImportError as error:
        raise SettingError(str(error)) from error
    if str(options.output) == "-":
        print(card, end="")
        return 0
    path = options.output or options.folder / CARD_FILE
    if path.exists():
        raise SettingError(f"{str(path)!r} exists already; give another --output, or move it away")
    try:
        with replacing(path) as stream:
            stream.write(card.encode("utf-8", "replace"))
    except OSError as error:
        raise SettingError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
    print(path)
    return 0
