from trials.bench.nasbench201 import nasbench201_tables
from trials.bench.retention_report import retention_tables
from trials.bench.summary import by_method, in_order, markdown_table, mean_and_deviation


def test_mean_and_deviation():
    rows = [{"x": 1.0}, {"x": 3.0}, {"x": None}]
    assert mean_and_deviation(rows, "x", lambda v: f"{v:.1f}") == "2.0 ± 1.4"
    assert mean_and_deviation(rows[:1], "x", str) == "1.0"
    assert mean_and_deviation(rows[2:], "x", str) == "-"


def test_groups_keep_the_order_broadcast_from_rank_zero_rows():
    rows = [{"method": name, "seed": seed} for seed in (0, 1) for name in ("snas", "darts")]
    assert {name: [row["seed"] for row in group] for name, group in by_method(rows).items()} == {
        "snas": [0, 1],
        "darts": [0, 1],
    }
    assert list(by_method(rows)) == ["snas", "darts"]
    shuffled = [
        {"method": name, "seed": seed} for name, seed in (("random", 0), ("snas", 1), ("darts", 0), ("snas", 0))
    ]
    assert [(row["method"], row["seed"]) for row in in_order(shuffled)] == [
        ("snas", 0),
        ("snas", 1),
        ("darts", 0),
        ("random", 0),
    ]


def test_markdown():
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_retention_table_has_what_the_child_kept():
    row = {
        "method": "snas",
        "seed": 0,
        "search_accuracy": 0.9,
        "child_accuracy": 0.85,
        "child_accuracy_bn_recalibrated": 0.875,
        "retrained_accuracy": None,
        "params": 1234,
        "operations": {"none": 2},
    }
    means, each = retention_tables([row, {**row, "seed": 1, "child_accuracy": 0.87}])
    assert means.splitlines()[2] == (
        "| snas | 2 | 90.00 ± 0.00 | 86.00 ± 1.41 | 87.50 ± 0.00 | - | -4.00 ± 1.41 | 1,234 ± 0 |"
    )
    assert each.splitlines()[2] == "| snas | 0 | 90.00 | 85.00 | 87.50 | - | 1,234 | 2 none |"


def test_benchmark_table_counts_percent_and_shares_alike():
    row = {
        "method": "snas",
        "seed": 0,
        "arch": "|a~0|",
        "held_out_accuracy": 0.625,
        "table_test": 93.75,
        "held_out_accuracy_bn_recalibrated": 0.63,
        "search_accuracy": 0.62,
    }
    means, each = nasbench201_tables([row, {**row, "seed": 1, "table_test": 92.75}])
    assert means.splitlines()[2] == "| snas | 2 | 93.25 ± 0.71 | 62.50 ± 0.00 | 63.00 ± 0.00 | 62.00 ± 0.00 |"
    assert each.splitlines()[2] == r"| snas | 0 | 93.75 | 62.50 | 63.00 | 62.00 | `\|a~0\|` |"
