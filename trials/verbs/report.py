"""``snas-nni report``: one HTML page about a search run or an experiment."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code.

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    parser = argparse.ArgumentParser(
        prog="snas-nni report",
        description="Write one HTML page about a search run or an experiment. It opens from disk, without a network.",
    )
    parser.add_argument(
        "folder", type=Path, help="folder of a search, runs/EXPERIMENT of a launch, or an experiment's folder of nnictl"
    )
    parser.add_argument(
        "--output", type=Path, help="where the result goes, a file (default: report.html in the folder)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="also write the cells as SVG and PNG (of a search only)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(arguments)

    from exports import load
    from exports.pictures.picture import save_pictures
    from exports.report import write_report
    from trials.experiments.nni_database import DATABASE, experiment_document
    from trials.progress import Progress
    from trials.state.failures import write_result

    progress = Progress(options.quiet)
    if (options.folder / DATABASE).is_file():  # of nnictl, which leaves no record that the report reads
        document = json.dumps(experiment_document(options.folder), indent=2) + "\n"
        write_result(options.folder / "experiment.json", document.encode())
    progress.say(str(write_report(options.folder, options.output)))
    if options.pictures is not None:
        folder = options.folder.parent if options.folder.is_file() else options.folder
        for path in save_pictures(load(folder / "architecture.json"), options.pictures):
            progress.say(str(path))
    return 0
