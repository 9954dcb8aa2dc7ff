"""The table of means and the plot of entropies of the retention comparison."""

from __future__ import annotations

import io
from collections.abc import Sequence

from trials.bench.rows import Row, Rows
from trials.bench.summary import by_method, in_order, markdown_table, mean_and_deviation
from trials.state.failures import write_result

__all__ = ["retention_tables", "write_report"]

_ACCURACIES = {
    "search_accuracy": "supernet",
    "child_accuracy": "child",
    "child_accuracy_bn_recalibrated": "child, BatchNorm recalibrated",
    "retrained_accuracy": "after retraining",
}


def retention_tables(rows: Sequence[Row]) -> tuple[str, str]:
    """Return the table of means with deviations over seeds, and the table of all rows."""
    means = [
        [
            method,
            str(len(group)),
            *(mean_and_deviation(group, key, _points) for key in _ACCURACIES),
            mean_and_deviation(_with_kept(group), "kept", _points),
            mean_and_deviation(group, "params", lambda value: f"{value:,.0f}"),
        ]
        for method, group in by_method(rows).items()
    ]
    each = [
        [
            row["method"],
            str(row["seed"]),
            *(mean_and_deviation([row], key, _points) for key in _ACCURACIES),
            f"{row['params']:,}",
            ", ".join(f"{count} {name}" for name, count in row.get("operations", {}).items()),
        ]
        for row in rows
    ]
    return (
        markdown_table(["method", "seeds", *_ACCURACIES.values(), "child - supernet", "parameters"], means),
        markdown_table(["method", "seed", *_ACCURACIES.values(), "parameters", "operations"], each),
    )


def write_report(rows: Rows, asked: Sequence[Row]) -> str:
    """Write ``.md`` and ``.png`` beside the JSON file, of all its rows; return the table of those asked for."""
    everything = in_order(rows.rows)
    means, each = retention_tables(everything)
    text = (
        "# Does the child keep the accuracy of the search?\n\n"
        f"`{rows.command}`\n\n"
        "Held-out accuracy in percent; mean ± standard deviation over seeds. The child has the supernet's weights; "
        "it is evaluated as it is, then with BatchNorm statistics of its own, then after a short training of the "
        "child by itself, which goes on from the inherited weights.\n\n"
        f"{means}\n\n![entropy of the architecture distribution]({rows.path.with_suffix('.png').name})\n\n{each}\n"
    )
    write_result(rows.path.with_suffix(".md"), text.encode())
    write_result(rows.path.with_suffix(".png"), _plot(everything))
    return retention_tables(in_order(asked))[0]


def _with_kept(rows: Sequence[Row]) -> list[Row]:
    return [{"kept": row["child_accuracy"] - row["search_accuracy"]} for row in rows]


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _plot(rows: Sequence[Row]) -> bytes:
    from matplotlib.figure import Figure  # on demand: it costs a second

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="entropy (nats)")
    for number, (method, group) in enumerate(by_method(rows).items()):
        for index, row in enumerate(group):
            epochs = range(1, len(row["entropy"]) + 1)
            axes.plot(epochs, row["entropy"], color=f"C{number}", alpha=0.8, label=method if index == 0 else None)
    axes.set_ylim(bottom=0)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
