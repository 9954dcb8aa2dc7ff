"""The results as a page to read."""

from __future__ import annotations

from typing import Any

__all__ = ["goals", "page"]

HEADLINES = {
    "update_ratio_gumbeldarts": "GumbelDARTS / SNAS, time per update of weights and logits",
    "image_ratio_gumbeldarts": "GumbelDARTS / SNAS, time per image seen",
    "update_ratio_darts": "DARTS / SNAS, time per update of weights and logits",
    "image_ratio_darts": "DARTS / SNAS, time per image seen",
    "option_update_ratio": "GumbelDARTS / SNAS with options, time per update of weights and logits",
    "single_path_update_ratio": "GumbelDARTS / SNAS with `single_path`, time per update of weights and logits",
    "last_epoch_over_child": "SNAS at temperature 0.03 / training the child",
    "memory_ratio": "SNAS / NNI's, peak memory of the steps",
    "single_path_memory_ratio": "SNAS with `single_path` / GumbelDARTS, peak memory of the steps",
    "checkpointed_memory_ratio_gumbeldarts": "SNAS with checkpointed cells / GumbelDARTS, peak memory, SnasCellSpace",
    "checkpointed_memory_ratio": "SNAS with / without checkpointed cells, peak memory",
    "checkpointed_step_ratio": "SNAS with / without checkpointed cells, time per step",
    "lightning_overhead": "Lightning and bookkeeping, share of a bare step",
    "loader_share": "preparing a batch of images / SNAS step at temperature 0.03",
    "gradient_error_means": "error of the logits' gradient by skipping, means over draws at each temperature",
}

WANTED = {
    "update_ratio_gumbeldarts": "at least 8",
    "image_ratio_gumbeldarts": "at least 4",
    "option_update_ratio": "at least 8",
    "last_epoch_over_child": "at most 1.25",
    "memory_ratio": "at most 0.5",
    "checkpointed_memory_ratio_gumbeldarts": "at most 0.33",
    "lightning_overhead": "below 0.03",
    "gradient_error_means": "each below 0.01",
}
"""What the project set out to reach; the table shows it beside what was measured, reached or not."""
LINEAR = 0.95
"""R^2 of a line through what is measured, from which on it counts as one."""


def goals(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted and measured, space by space; met by the median over runs, or by each."""
    found = []
    for key, wanted in WANTED.items():
        if key not in report:
            continue
        for of, numbers in (report[key].get("by") or {"": report[key]}).items():
            words, _, limit = wanted.rpartition(" ")
            median = numbers["max"] if words.startswith("each") else numbers["median"]
            found.append(
                {
                    "name": HEADLINES[key] + (f", {of}" if of else ""),
                    "wanted": wanted,
                    "measured": f"{median:.3g} ({numbers['min']:.3g} to {numbers['max']:.3g})",
                    "met": median >= float(limit) if words == "at least" else median <= float(limit),
                }
            )
    for axis, line in report.get("growth", {}).items():
        for what, fit in (("time", line), ("memory", line.get("memory"))):
            if fit is not None:
                found.append(
                    {
                        "name": f"{what} of a step is linear in {axis}: R^2",
                        "wanted": f"at least {LINEAR}",
                        "measured": f"{fit['r_squared']:.3f}",
                        "met": fit["r_squared"] >= LINEAR,
                    }
                )
    return found


def page(report: dict[str, Any]) -> str:
    """Write the Markdown page of a report."""
    about = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    compared = any(key in report for key in HEADLINES)
    title = "Speed of a search step" if compared else "Growth of a search"
    lines = [f"# {title}", "", f"`{report['command']}`", "", about + ".", ""]
    lines += ["Medians over runs, with the smallest and largest. A run is a process of its own; those that are", ""]
    lines[-2] += " compared take turns."
    if compared:
        lines += ["| measure | of | median | min | max | wanted |", "|---|---|---|---|---|---|"]
    for key, headline in HEADLINES.items():
        if key in report:
            cases = report[key].get("by") or {"": report[key]}
            lines += [_row(headline, of, numbers, WANTED.get(key, "")) for of, numbers in cases.items()]
    lines += _section("Seconds per step", "run", report.get("seconds_per_step"), 3)
    lines += _section("Peak memory above the start, MiB", "run", report.get("memory_mib"), 0)
    if "growth" in report:
        lines += ["", "## Growth of a step", "", "| grows | ms each | ms at 0 | R^2 | KiB each | R^2 |"]
        lines.append("|---|---|---|---|---|---|")
        for axis, line in report["growth"].items():
            numbers = f"{1000 * line['slope']:.2f} | {1000 * line['intercept']:.1f} | {line['r_squared']:.3f}"
            memory = line.get("memory")
            kept = f"{1024 * memory['slope']:.1f} | {memory['r_squared']:.3f}" if memory else " | "
            lines.append(f"| {axis} | {numbers} | {kept} |")
    if "size" in report:
        columns = next(iter(report["size"].values()))
        lines += ["", "## What is done beside steps in large spaces, seconds", ""]
        lines += [f"| space | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        lines += [
            f"| {name} | {' | '.join(f'{value:.2f}' for value in row.values())} |"
            for name, row in report["size"].items()
        ]
    if "gradient_error" in report:
        lines += ["", "## Error of the logits' gradient, and what share of the exact step's time is left", ""]
        lines += ["| space, logits | temperature | tolerance | mean | max | time |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {row['of']} | {row['temperature']} | {row['tolerance']} | {row['mean']:.2%} | {row['max']:.2%} | "
            f"{row['time_share']:.0%} |"
            for row in report["gradient_error"]
        ]
    for name, rows in report.get("profile", {}).items():
        lines += ["", f"## Where the time goes: {name}", "", "| operation | share | calls a step |", "|---|---|---|"]
        lines += [f"| {row['operation']} | {row['share']:.1%} | {row['calls']:.0f} |" for row in rows]
    return "\n".join(lines) + "\n"


def _row(title: str, of: str, numbers: dict[str, float], wanted: str) -> str:
    return f"| {title} | {of} | {numbers['median']:.3g} | {numbers['min']:.3g} | {numbers['max']:.3g} | {wanted} |"


def _section(title: str, first: str, table: dict[str, dict[str, float]] | None, digits: int) -> list[str]:
    if not table:
        return []
    lines = ["", f"## {title}", "", f"| {first} | median | min | max |", "|---|---|---|---|"]
    for name, numbers in table.items():
        values = " | ".join(f"{numbers[key]:.{digits}f}" for key in ("median", "min", "max"))
        lines.append(f"| {name} | {values} |")
    return lines
