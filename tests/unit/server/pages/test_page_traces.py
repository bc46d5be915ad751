"""Spans as rows of a waterfall."""

import pytest

from remora.server.pages.traces import ROWS_LIMIT, WIDTH, waterfall

MS = 1_000_000


def span(name: str, start: int, length: float, parent: str = "", **more) -> dict:
    return {
        "kind": "span",
        "id": ord(name[0]),
        "span": name,
        "parent": parent,
        "name": name,
        "time": start * MS,
        "duration_ms": length,
        **more,
    }


def test_children_stand_below_their_parents_in_the_order_of_time():
    rows = waterfall(
        [
            span("c", 60, 20, "a"),
            span("d", 10, 5, "b"),
            span("b", 0, 50, "a"),
            span("a", 0, 100),
        ],
        here=ord("b"),
    )
    assert [(row.name, row.depth) for row in rows] == [
        ("a", 0),
        ("b", 1),
        ("d", 2),
        ("c", 1),
    ]
    assert [row.is_here for row in rows] == [False, True, False, False]
    assert rows[0].width == WIDTH
    assert rows[3].x == pytest.approx(0.6 * WIDTH)
    assert rows[3].width == pytest.approx(0.2 * WIDTH)


def test_a_span_whose_parent_is_elsewhere_stands_at_the_top():
    rows = waterfall([span("a", 5, 1, "remote"), span("b", 0, 1, "gone")], here=0)
    assert [(row.name, row.depth) for row in rows] == [("b", 0), ("a", 0)]


def test_odd_records_break_nothing():
    records = [
        span("a", 0, -5, "b"),
        span("b", 0, float("inf"), "a"),
        {"kind": "span"},
        {"kind": "log"},
        span("c", 0, 1) | {"time": "x", "duration_ms": "y", "name": None},
    ]
    rows = waterfall(records, here=0)
    assert [row.name for row in rows] == ["None"]
    assert waterfall([], here=0) == []


def test_a_picture_has_a_bounded_number_of_rows():
    spans = [span(f"{n}", n, 1, f"{n - 1}") for n in range(ROWS_LIMIT + 50)]
    rows = waterfall(spans, here=0)
    assert len(rows) == ROWS_LIMIT
    assert max(row.depth for row in rows) == 20
