"""Aggregates as tables and pictures."""

import pytest

from remora.server.pages.aggregates import histogram, over_time, table


def test_rows_come_with_the_largest_counts_first():
    made = table({"by": ["plan"], "rows": [row("a", 1), row("b", 3), row("c", 2)]})
    assert [each.key for each in made.rows] == [("b",), ("c",), ("a",)]


def test_rows_beyond_the_limit_are_counted():
    made = table({"by": [], "rows": [row(str(n), n) for n in range(60)]}, limit=50)
    assert len(made.rows) == 50
    assert made.hidden_rows == 10


def test_only_measures_that_are_there_have_columns():
    made = table({"rows": [{"key": [], "count": 1, "max": 2.5}, {"key": [], "sum": 7}]})
    assert made.measures == ("sum", "max")
    assert made.rows[0].measures == ("", "2.5")


def test_buckets_stand_in_the_order_of_their_values():
    made = histogram({"buckets": {"4": 1, "zero": 2, "n:0": 3, "n:4": 4}, "unit": "ms"})
    titles = [bar.title for bar in made.bars if bar.height]
    assert titles == [
        "-2.38 to -2 ms: 4",
        "-1.19 to -1 ms: 3",
        "0 ms: 2",
        "2 to 2.38 ms: 1",
    ]


def test_gap_between_buckets_is_drawn_as_a_gap():
    made = histogram({"buckets": {"0": 5, "3": 5}})
    assert [bar.height > 0 for bar in made.bars] == [True, False, False, True]


def test_quantiles_name_the_middle_of_their_buckets():
    made = histogram({"buckets": {"0": 90, "8": 9, "16": 1}, "unit": "ms"})
    assert made.summary == "p50 ≈ 1.09, p90 ≈ 1.09, p99 ≈ 4.36 ms"


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"buckets": []},
        {"buckets": {}},
        {"buckets": {"x": 1}},
        {"buckets": {"99999999": 1}},
        {"buckets": {"1": -1}},
        {"buckets": {"1": "many"}},
    ],
)
def test_histogram_that_says_nothing_has_no_picture(value):
    assert histogram(value) is None


@pytest.mark.parametrize("key", ["4094", "-4300", "n:4094", "n:-4300"])
def test_extreme_buckets_are_drawn(key):
    assert histogram({"buckets": {key: 1}}) is not None


def test_counts_over_time_add_up():
    records = [
        {"end": n * 10**9, "rows": [row("a", 2), row("b", 1)]} for n in range(90)
    ]
    made = over_time(records)
    assert made.summary == "270 counted in 89 s"
    assert len(made.bars) <= 60


def test_a_single_moment_is_no_course_of_time():
    assert over_time([{"end": 1, "rows": [row("a", 1)]}]) is None
    assert over_time([{"end": "x"}, {"end": -1}]) is None


def row(key, count):
    return {"key": [key], "count": count}
