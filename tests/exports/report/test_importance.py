"""Which parameters mattered: a rule that is known is found, and few or equal trials show nothing."""

import math
import random

import pytest
from report_html import Page
from report_runs import trial, write_experiment

from exports.report import write_report
from exports.report.importance import parameter_importance


def trials(count, seed=0):
    """Results that ``rate`` decides, ``kind`` a little, and ``idle`` not at all."""
    generator = random.Random(seed)
    made = []
    for _ in range(count):
        parameters = {
            "rate": 10 ** generator.uniform(-3, 0),
            "kind": generator.choice("ab"),
            "idle": generator.random(),
        }
        made.append((parameters, 0.5 + 0.1 * math.log10(parameters["rate"]) + 0.03 * (parameters["kind"] == "a")))
    return made


def test_a_rule_that_is_known_is_found():
    found = parameter_importance(trials(40))
    assert found[0].name == "rate"
    assert found[0].share > 0.5
    assert found[0].rank_correlation > 0.8
    shown = {each.name: each.is_shown for each in found}
    assert shown["rate"]
    assert not shown["idle"]
    assert next(each for each in found if each.name == "kind").rank_correlation is None
    assert all(each.low <= each.share + 1e-9 and each.share <= max(each.high, 0.0) + 1e-9 for each in found)


@pytest.mark.parametrize("given", [trials(5), [({"rate": 1.0}, 0.5)] * 20, [({"rate": i}, 0.5) for i in range(20)], []])
def test_too_few_or_equal_trials_show_nothing(given):
    assert parameter_importance(given) == []


def test_the_order_of_few_trials_is_enough_where_chance_does_not_give_it():
    budgets, results = [1, 1, 2, 2, 3, 3], [0.95, 0.92, 0.96, 0.962, 0.98, 0.97]
    given = [({"budget": b, "seed": i % 2}, r) for i, (b, r) in enumerate(zip(budgets, results, strict=True))]
    found = {each.name: each for each in parameter_importance(given)}
    # Of the 90 ways to give three pairs of ranks, the rising and the falling one; two parameters were looked at.
    assert found["budget"].by_chance == pytest.approx(2 * 2 / 90)
    assert found["budget"].is_shown
    assert found["seed"].by_chance > 0.5
    assert not found["seed"].is_shown


def test_values_of_any_kind_and_size():
    values = [1e308, -1e99, "x", None, [1, 2], {"a": 1}, True, 5e-324]
    found = parameter_importance([({"p": value}, float(index)) for index, value in enumerate(values * 2)])
    assert [each.name for each in found] == ["p"]


def test_the_experiments_page_says_how_sure_one_can_be(tmp_path):
    entries = [
        trial(number, accuracy, 1000 + number, parameters=parameters)
        for number, (parameters, accuracy) in enumerate(trials(30))
    ]
    page = Page(write_report(write_experiment(tmp_path / "many", entries)).read_text())
    assert "30 trials show that rate" in page.text
    assert "Which are worth their cost?" in page.text
    few = Page(write_report(write_experiment(tmp_path / "few", entries[:4])).read_text())
    assert "What mattered" not in few.text
