"""Reports: one HTML file about a run, a sweep of budgets or an experiment, which needs nothing else to be read."""

from exports.report.fronts.pareto import pareto_front
from exports.report.inline import InlineReport, show_report
from exports.report.page import experiment_page, run_page, sweep_page, write_report

__all__ = [
    "InlineReport",
    "experiment_page",
    "pareto_front",
    "run_page",
    "show_report",
    "sweep_page",
    "write_report",
]
