"""What the ablation of the recipe says of its rows, and that a variant differs from the recipe in what it names."""

import pytest

from benchmarks.recipe.measure import VARIANTS, settings_of
from benchmarks.recipe.page import NOTHING, WHOLE, WITHOUT, differences, goals, page
from trials.settings.recipes import RECIPES


def rows(**of):
    """Rows of two seeds from accuracies by variant."""
    return [
        {"variant": variant, "seed": seed, "validation": value, "teacher": 0.5, "cpu_seconds": 1.0}
        for variant, values in of["accuracies"].items()
        for seed, value in enumerate(values)
    ]


def test_a_part_brings_what_is_lost_without_it():
    found = rows(accuracies={WHOLE: [0.5, 0.6], WITHOUT[0]: [0.4, 0.52], NOTHING: [0.52, 0.5]})
    assert differences(found, WITHOUT[0]) == pytest.approx([10, 8])
    first, second = goals(found)
    assert (first["measured"], first["met"]) == ("+4.00 ± 6.00 points", False)
    assert (second["measured"], second["met"]) == ("0 of 1", True)


def test_a_part_that_costs_accuracy_is_named():
    found = rows(accuracies={WHOLE: [0.5, 0.6], WITHOUT[1]: [0.52, 0.63], NOTHING: [0.4, 0.5]})
    first, second = goals(found)
    assert first["met"]
    assert (second["measured"], second["met"]) == (f"1 of 1: {WITHOUT[1]} is better", False)
    text = page({"command": "c", "rows": found, "goals": goals(found)})
    assert f"| {WITHOUT[1]} | 57.5 ± 7.8 | -2.50 ± 0.50 points |" in text


def test_variants_differ_from_the_recipe_in_what_they_name():
    whole, taught = settings_of(WHOLE)
    assert taught
    assert (whole.optimizer, whole.weight_average) == ("SGD", RECIPES["modern"]["training"]["weight_average"])
    assert whole.warmup_epochs == 1
    for variant in VARIANTS:
        settings, taught = settings_of(variant)
        changed = {name for name, value in vars(settings).items() if value != getattr(whole, name)}
        assert changed <= set(VARIANTS[variant])
        assert changed or variant == WHOLE or not taught
