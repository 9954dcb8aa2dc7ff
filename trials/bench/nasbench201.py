"""Search quality against ground truth: the derived cells of the NAS-Bench-201 space, looked up in its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_spaces import NasBench201Space, to_arch_string
from snas_nni.errors import SettingError
from trials.bench.lookup import read_table
from trials.bench.rows import Row
from trials.bench.running import run_rows
from trials.bench.searching import search_with
from trials.bench.settings import NasBench201Settings
from trials.bench.subset import load_part
from trials.bench.summary import by_method, in_order, markdown_table, mean_and_deviation
from trials.progress import Progress
from trials.state.failures import write_result

__all__ = ["nasbench201_tables", "run_nasbench201"]


def run_nasbench201(settings: NasBench201Settings, command: str) -> str:
    """Run what is missing, look up, write the files, return the table.

    The table is read before the searches, so that a mistake shows at once, and asked after them: nothing of it
    reaches a search. Rows of a run without a table are looked up when the command is given one.

    Raises:
        SnasError: a setting, the data, the table or the output file is not as it must be.
    """
    progress = Progress(settings.quiet)
    table = None if settings.table is None else read_table(Path(settings.table).expanduser())
    data = load_part(settings, progress)

    def make() -> NasBench201Space:
        return NasBench201Space(
            channels=settings.channels,
            cells_per_stage=settings.cells_per_stage,
            in_channels=data.input_shape[0],
            classes=data.classes,
            affine=settings.affine,
        )

    def measure(method: str, seed: int) -> Row:
        found = search_with(
            method, make, data, settings.search, settings.training, seed, settings.random_candidates, progress
        )
        return {
            "arch": to_arch_string(found.sample),
            "held_out_accuracy": found.child_accuracy,
            "table_test": None,
            "held_out_accuracy_bn_recalibrated": found.child_accuracy_bn_recalibrated,
            "search_accuracy": found.search_accuracy,
            "entropy": found.entropy,
            "images": found.images,
            "seconds": round(found.seconds, 1),
            "candidates": [to_arch_string(sample) for sample, _ in found.candidates],
        }

    rows, asked = run_rows(settings, command, progress, measure)
    if table is not None:
        for row in rows.rows:
            row["table_test"] = _looked_up(table, row["arch"], settings.table)
        rows.write()
    means, each = nasbench201_tables(in_order(rows.rows))
    text = (
        "# NAS-Bench-201: what the found cells reach\n\n"
        f"`{rows.command}`\n\n"
        "Mean ± standard deviation over seeds, in percent. `table` is the 200-epoch CIFAR-10 test accuracy of the "
        "found cell in the benchmark's table; held-out accuracies are those of the small search network, with "
        f"inherited weights.\n\n{means}\n\n{each}\n"
    )
    write_result(rows.path.with_suffix(".md"), text.encode())
    return nasbench201_tables(in_order(asked))[0]


def _looked_up(table: dict[str, float], arch: str, path: str | None) -> float:
    if arch not in table:
        raise SettingError(f"table: {path} has no row for {arch}")
    return table[arch]


def nasbench201_tables(rows: list[Row]) -> tuple[str, str]:
    """Return the table of means with deviations over seeds, and the table of all rows."""
    keys = {
        "table_test": "table",
        "held_out_accuracy": "held out",
        "held_out_accuracy_bn_recalibrated": "held out, BatchNorm recalibrated",
        "search_accuracy": "supernet",
    }

    def form(key: str) -> Any:
        return (lambda value: f"{value:.2f}") if key == "table_test" else (lambda share: f"{100 * share:.2f}")

    means = [
        [method, str(len(group)), *(mean_and_deviation(group, key, form(key)) for key in keys)]
        for method, group in by_method(rows).items()
    ]
    each = [
        [row["method"], str(row["seed"]), *(mean_and_deviation([row], key, form(key)) for key in keys), _cell(row)]
        for row in rows
    ]
    return (
        markdown_table(["method", "seeds", *keys.values()], means),
        markdown_table(["method", "seed", *keys.values(), "cell"], each),
    )


def _cell(row: Row) -> str:
    return f"`{row['arch']}`".replace("|", r"\|")
