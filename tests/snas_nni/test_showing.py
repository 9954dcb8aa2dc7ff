"""What objects show of themselves: escaped in a notebook, and as the call that made them."""

import torch

from snas_nni import SNAS, Budget
from snas_nni.resources import BudgetReport
from snas_nni.showing.calls import arguments_in_words
from snas_nni.showing.tables import html_table


def test_tables_escape_everything():
    html = html_table("<b>title", [["<script>", 3]], ["&"])
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<td") == 2


def test_only_what_differs_is_written():
    def function(a, *, b=1, c=None, d=(1, 2)):
        return a, b, c, d

    assert arguments_in_words(function, {"a": 3, "b": 1, "c": None, "d": (1, 2), "e": 5}) == "a=3"
    assert arguments_in_words(function, {"a": "x", "b": 2, "c": torch.zeros(2, 2)}).startswith("a='x', b=2, c=tensor(")
    assert len(arguments_in_words(function, {"c": torch.zeros(200)})) < 100


def test_a_strategy_reads_as_the_call_that_made_it():
    assert repr(SNAS()) == "SNAS()"
    strategy = SNAS(budget=Budget(params=3000, macs="60%", target=True), settle_epochs=2, seed=7)
    assert repr(strategy) == ("SNAS(settle_epochs=2, budget=Budget(params=3000, macs='60%', target=True), seed=7)")
    assert repr(SNAS(gradient_clip_val=2.0, example_input=torch.zeros(1, 3))) == (
        "SNAS(example_input=tensor([[0., 0., 0.]]), gradient_clip_val=2.0)"
    )


def test_a_budget_report_says_whether_it_is_met():
    numbers = {"params": 2000.0}
    report = BudgetReport(
        {"a": 1}, True, numbers, {"params": 3000.0}, {"params": 2500.0}, {"params": 2500.0}, 0.5, ("<i>",)
    )
    html = report._repr_html_()
    for part in ("Within the budget", "2,000", "2,500", "80.0 %", "3,000", "0.500 nats", "&lt;i&gt;"):
        assert part in html
    over = BudgetReport({}, False, {"params": 3.0}, numbers, {}, {"params": 2.0}, 0.0)
    assert "OVER BUDGET" in over._repr_html_()
    assert "nats" not in over._repr_html_()
