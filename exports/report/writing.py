"""From a folder to its report file."""

from __future__ import annotations

from pathlib import Path

from exports.errors import ArchitectureFileError
from exports.files import write_atomically
from exports.report.experiment import EXPERIMENT_FILE, read_experiment
from exports.report.page import experiment_page, run_page
from exports.report.run import RUN_FILES, read_run

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE = "report.html"


def write_report(path: str | Path, output: str | Path | None = None) -> Path:
    """Write the report on a run or an experiment.

    Args:
        path: its folder, or a file in it.
        output: the file to write; ``report.html`` in the folder where it is not given.

    Returns:
        The path of the report.

    Raises:
        ArchitectureFileError: the folder is neither, its experiment.json is broken, or the report cannot be written.
    """
    path = Path(path).expanduser()
    folder = path.parent if path.is_file() else path
    target = Path(output).expanduser() if output is not None else folder / REPORT_FILE
    if (folder / EXPERIMENT_FILE).is_file():
        try:
            content = experiment_page(read_experiment(folder))
        except (OSError, ValueError) as error:
            raise ArchitectureFileError(
                "(file)",
                f"cannot be read: {error}",
                "Run the experiment again, or report on one run",
                folder / EXPERIMENT_FILE,
            ) from error
    elif any((folder / name).is_file() for name in RUN_FILES):
        content = run_page(read_run(folder), title=f"Run {folder.resolve().name}")
    else:
        raise ArchitectureFileError(
            "(file)",
            "is neither the folder of a search nor of an experiment",
            f"Give a folder with one of {', '.join((EXPERIMENT_FILE, *RUN_FILES))}",
            path,
        )
    # Half of a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
    write_atomically(target, content.encode("utf-8", "replace"))
    return target
