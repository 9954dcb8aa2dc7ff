"""``snas-nni init``: a folder with a space, a data function, a search file and a test to begin with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

__all__ = ["STARTER_FILES", "run", "write_starter"]

STARTER_FILES = ("my_space.py", "my_data.py", "search.yml", "test_my_space.py")


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SettingError: a file is there already, or the folder cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni init",
        description="Write a small model space, a function that loads data, a search file and a test, which work as "
        "they are. Files that exist are never changed.",
    )
    parser.add_argument("folder", type=Path, help="folder to write them into; made if it is not there")
    options = parser.parse_args(arguments)
    write_starter(options.folder)
    print(f"wrote {', '.join(STARTER_FILES)} in {options.folder}. Next:\n")
    print(f"  cd {options.folder}")
    print("  python -m pytest                        # does the space work? (pip install pytest)")
    print("  snas-nni show my_space.MySpace --input-shape 1 8 8")
    print("  snas-nni search --config search.yml     # about a minute")
    print("  snas-nni report runs/first")
    return 0


def write_starter(folder: Path) -> list[Path]:
    """Write the starter files into ``folder`` and return their paths.

    Raises:
        SettingError: names the file that exists already or the folder that cannot be written; nothing is written then.
    """
    from snas_nni.errors import SettingError

    paths = [folder / name for name in STARTER_FILES]
    existing = [path for path in paths if path.exists() or path.is_symlink()]
    if existing:
        raise SettingError(f"{str(existing[0])!r} exists already; give another folder, or move the file away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            template = resources.files("trials").joinpath("starter", f"{path.name}.template")
            path.write_bytes(template.read_bytes())
    except OSError as error:
        raise SettingError(f"{str(folder)!r} cannot be written: {error.strerror or error}") from error
    return paths
