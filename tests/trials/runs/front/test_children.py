"""How long the children of a front are trained on: equal work, within a limit."""

from trials.runs.front.children import default_tune_epochs, tuning_epochs


def test_children_have_equal_work_unless_the_limit_is_reached():
    assert tuning_epochs([10, 50, 100], 100, epochs=6, limit=30) == [30, 12, 6]
    assert tuning_epochs([10, 50, 100], 100, epochs=0, limit=30) == [0, 0, 0]
    assert tuning_epochs([0, 100], 100, epochs=2, limit=5) == [5, 2]  # a child without an operation that multiplies


def test_the_dearest_child_of_the_space_is_the_measure_though_the_front_has_none_as_dear():
    assert tuning_epochs([10, 50], 100, epochs=6, limit=30) == [30, 12]


def test_the_limit_does_not_cut_what_was_asked_for():
    assert tuning_epochs([10, 100], 100, epochs=8, limit=3) == [8, 8]


def test_the_default_is_a_part_of_the_search_and_at_least_one():
    assert [default_tune_epochs(epochs) for epochs in (1, 3, 20, 150)] == [1, 1, 5, 38]
