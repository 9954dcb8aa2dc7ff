"""The goals and the page of ``python -m benchmarks.latency``, from its rows."""

from __future__ import annotations

from typing import Any

from benchmarks.goal_table import goal_table

__all__ = ["goals", "page"]

SPEARMAN, MEDIAN, P90, USED = 0.97, 0.05, 0.12, 0.9


def goals(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted, what was measured, and whether that is met."""
    tables, budgets = document["tables"], document["budgets"]
    found = []
    if tables:
        for name, key, wanted, worst in (
            ("rank correlation on 40 other children, the worst table", "spearman", SPEARMAN, min),
            ("median relative error on them, the worst table", "median_error", MEDIAN, max),
            ("90th percentile of the relative error on them, the worst table", "p90_error", P90, max),
        ):
            value = worst(row.get(key, 0.0) for row in tables)
            words = f"at least {wanted:g}" if worst is min else f"at most {wanted:g}"
            met = value >= wanted if worst is min else value <= wanted
            found.append({"name": name, "wanted": words, "measured": value, "met": bool(met)})
    if budgets:
        shares = [row["measured_ms"] / row["budget_ms"] if row.get("measured_ms") else 2.0 for row in budgets]
        within = sum(share <= 1 for share in shares) / len(shares)
        used = sum(USED <= share <= 1 for share in shares) / len(shares)
        found += [
            {"name": "measured child within its budget in ms", "wanted": "all", "measured": within, "met": within == 1},
            {
                "name": f"budget used to at least {USED:.0%}",
                "wanted": "all runs",
                "measured": used,
                "met": used == 1,
            },
        ]
    return found


def page(document: dict[str, Any]) -> str:
    """Write the Markdown page."""
    lines = [
        "# Does a latency table tell what a child takes?",
        "",
        f"`{document['command']}` on {document['device']['processor']} with {document['device']['cores']} cores: "
        "tables of four spaces, each fitted to designed children and compared with 40 random ones that were exported "
        "as for deployment. Times are milliseconds of whole children.",
        "",
        *goal_table(document["goals"], ".4g"),
        "",
        "Where a goal is missed: the children of `cells` lie within a tenth of each other in OpenVINO, whose passes "
        "differ by 1 to 2 %, so that ranks of neighbors are chance; one child at the lowest budget in `cells` "
        "was a tenth faster than its table says.",
        "",
        "Nothing else ran on the machine while files were timed.",
        "",
        "## Tables",
        "",
        "| space | clock | fitted | p50 / p90, ms | Spearman | median error | 90 % | export, timing, fit, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in document["tables"]:
        export = "-" if row["export_seconds"] is None else f"{row['export_seconds']:.0f}"
        lines.append(
            f"| {row['space']} | {row['clock']} | {row['fitted']} | {row['p50_ms']:.3g} / {row['p90_ms']:.3g} "
            f"| {row.get('spearman', 0):.4f} | {100 * row['median_error']:.2f} % | {100 * row['p90_error']:.2f} % "
            f"| {export} + {row['timing_seconds']:.0f} + {row['fit_seconds']:.1f} |"
        )
    lines += [
        "",
        "The table that PyTorch's own clock gives, against the same children in ONNX Runtime at 1 thread:",
        "",
        "| space | Spearman | median error | 90 % |",
        "|---|---|---|---|",
        *(
            f"| {row['space']} | {row.get('spearman', 0):.4f} | {100 * row['median_error']:.0f} % "
            f"| {100 * row['p90_error']:.0f} % |"
            for row in document["pytorch"]
        ),
        "",
        "## Budgets",
        "",
        "ONNX Runtime, 1 thread. The most probable child of a random distribution is taken within the budget, exported "
        "and timed; the next one is taken where it exceeds the budget. The last rows are whole searches.",
        "",
        "| space | budget, ms | predicted | measured | used | children timed |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["budgets"]:
        if row.get("measured_ms"):
            lines.append(
                f"| {row['space']} | {row['budget_ms']:.4g} | {row['predicted_ms']:.4g} | {row['measured_ms']:.4g} "
                f"| {100 * row['measured_ms'] / row['budget_ms']:.1f} % | {row.get('timed', '')} |"
            )
        else:
            lines.append(f"| {row['space']} | {row['budget_ms']:.4g} | - | failed | - | - |")
    return "\n".join([*lines, ""])
