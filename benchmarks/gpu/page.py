"""The page of the results, also while there are none."""

from __future__ import annotations

from statistics import median
from typing import Any

__all__ = ["WARM_UP", "page"]

WARM_UP = 3
"""Steps that are not counted: memory is taken, kernels are chosen and compiled."""

_ABOUT = """# A search step on GPUs

`make bench-gpu` measures it: number types, memory orders, compiled candidates, one GPU and all of a machine, against
NNI's `GumbelDARTS` and `DARTS` and against the child trained alone. It writes this page and `gpu.json`.
`python -m benchmarks.gpu --device cpu` does the same with tiny sizes on a CPU and shows only that it runs.

What can be shown without a GPU is tested: that the tensors of a step are on one device, for every space; and for the
ready-made ones, backward pass included, that the host waits twice a step, for the sample's numbers and for the loss,
and moves nothing to the device.
"""


def page(report: dict[str, Any] | None) -> str:
    """Write the page.

    Args:
        report: what was measured; None where nothing was.
    """
    if report is None:
        return _ABOUT + "\n**Not run:** no machine with a GPU was at hand.\n"
    about = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    lines = [_ABOUT, f"`{report['command']}`", "", about + ".", ""]
    lines += ["| step | milliseconds | images a second | MiB | note |", "|---|---|---|---|---|"]
    for run in report["runs"]:
        lines.append(_row(run))
    return "\n".join(lines) + "\n"


def _row(run: dict[str, Any]) -> str:
    if "failure" in run:
        return f"| {run['name']} | | | | failed: {run['failure'].splitlines()[-1] if run['failure'] else ''} |"
    seconds = median(run["seconds"][WARM_UP:] or run["seconds"])
    images = run["batch"] * run["devices"] / seconds
    return f"| {run['name']} | {1000 * seconds:.1f} | {images:,.0f} | {run['mebibytes']:,.0f} | |"
