"""Aggregates as tables and pictures: histograms, quantiles, counts over time.

A picture is a list of bars with plain numbers; the template draws them as SVG, so that
they need no script and are read out by their titles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from remora.protocol.histogram import bucket_edges, quantiles, read_buckets
from remora.server.pages.values import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROWS_SHOWN = 10
"""Rows of one aggregate in a list, each with its picture; the largest counts come
first, and the record's own page has the others."""

COLUMNS_SHOWN = 10
"""Parts of a key: twice what a probe can ask for."""

BARS_LIMIT = 160
"""Bars of one histogram: four to a doubling make 40 doublings, from 1 µs to 12 days."""

BAR_WIDTH = 6
BAR_HEIGHT = 36


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its place, its height, and what it stands for in words."""

    x: int
    height: int
    title: str

    @property
    def y(self) -> int:
        """Where it begins, from above."""
        return BAR_HEIGHT - self.height


@dataclass(frozen=True, slots=True)
class Picture:
    """Bars side by side, and the sentence that replaces them for who cannot see."""

    bars: tuple[Bar, ...]
    width: int
    summary: str
    height: int = BAR_HEIGHT
    bar_width: int = BAR_WIDTH - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an aggregate: the texts of its key, then its measures."""

    key: tuple[str, ...]
    count: int
    measures: tuple[str, ...]
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Table:
    """An aggregate as it is shown."""

    by: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    hidden_rows: int
    has_pictures: bool
    error: int


def table(record: Mapping[str, object], limit: int = ROWS_SHOWN) -> Table:
    """The table of an aggregate record, the largest counts first."""
    rows = [row for row in _list(record.get("rows")) if isinstance(row, dict)]
    rows.sort(key=lambda row: -_count(row))
    measures = tuple(
        name
        for name in ("sum", "min", "max", "average")
        if any(name in row for row in rows)
    )
    return Table(
        by=tuple(str(text) for text in _list(record.get("by"))[:COLUMNS_SHOWN]),
        measures=measures,
        rows=tuple(_row(row, measures) for row in rows[:limit]),
        hidden_rows=max(0, len(rows) - limit),
        has_pictures=any("histogram" in row for row in rows),
        error=error if _is_count(error := record.get("count_error")) else 0,
    )


def over_time(
    records: Sequence[Mapping[str, object]], bars: int = 60
) -> Picture | None:
    """Counts of aggregates by the time at which they ended; None for fewer than two."""
    points = [
        (end, sum(_count(row) for row in _list(record.get("rows"))))
        for record in records
        if _is_count(end := record.get("end"))
    ]
    if len(points) < 2:
        return None
    first, last = min(points)[0], max(points)[0]
    width = max(1, (last - first) // bars + 1)
    heights: dict[int, int] = {}
    for end, count in points:
        slot = (end - first) // width
        heights[slot] = heights.get(slot, 0) + count
    seconds = width / 1e9
    drawn = [
        (slot, heights.get(slot, 0), f"{heights.get(slot, 0):,} in {seconds:.3g} s")
        for slot in range(max(heights) + 1)
    ]
    total = sum(heights.values())
    return _picture(drawn, f"{total:,} counted in {(last - first) / 1e9:.3g} s")


def histogram(value: object) -> Picture | None:
    """The picture of a histogram as the wire has it; None where it has no buckets."""
    if not isinstance(value, dict):
        return None
    buckets = read_buckets(value)
    if not buckets:
        return None
    unit = str(value.get("unit", ""))[:20]
    first, last = buckets[0][0], buckets[-1][0]
    counts = dict(buckets)
    if last - first < BARS_LIMIT:
        orders = list(range(first, last + 1))
    else:
        orders = [order for order, _ in buckets[:BARS_LIMIT]]
    drawn = [
        (
            position,
            counts.get(order, 0),
            f"{_range(order)} {unit}: {counts.get(order, 0):,}",
        )
        for position, order in enumerate(orders)
    ]
    return _picture(drawn, _quantiles(buckets, unit))


def _range(order: int) -> str:
    low, high = bucket_edges(order)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _quantiles(buckets: Sequence[tuple[int, int]], unit: str) -> str:
    """The quantiles in words."""
    texts = [f"{name} ≈ {value:.3g}" for name, value in quantiles(buckets).items()]
    return f"{', '.join(texts)} {unit}".strip()


def _picture(drawn: Sequence[tuple[int, int, str]], summary: str) -> Picture:
    highest = max(count for _, count, _ in drawn) or 1
    bars = tuple(
        Bar(
            x=position * BAR_WIDTH,
            height=max(1, round(BAR_HEIGHT * count / highest)) if count > 0 else 0,
            title=title,
        )
        for position, count, title in drawn
    )
    return Picture(bars, max(1, len(drawn)) * BAR_WIDTH, summary)


def _row(row: Mapping[str, object], measures: tuple[str, ...]) -> Row:
    return Row(
        key=tuple(one_line(part) for part in _list(row.get("key"))[:COLUMNS_SHOWN]),
        count=_count(row),
        measures=tuple(_measure(row.get(name)) for name in measures),
        picture=histogram(row.get("histogram")),
    )


def _measure(value: object) -> str:
    if isinstance(value, dict) and "count" in value:
        return _average(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return "" if value is None else one_line(value)


def _average(value: Mapping[str, object]) -> str:
    total, count = value.get("sum"), value.get("count")
    if not isinstance(total, (int, float)) or not isinstance(count, int) or count < 1:
        return ""
    return f"{total / count:,.6g}"


def _count(row: object) -> int:
    count = row.get("count") if isinstance(row, dict) else 0
    return count if _is_count(count) else 0


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value < 2**63


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
