"""Aggregates as tables: one report as it came, or all since the start added up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_objects
from remora.cli.histogram import draw_histogram
from remora.cli.output import Span, Table
from remora.cli.values import format_value
from remora.protocol.histogram import QUANTILES, quantiles, read_buckets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remora.cli.answers import JsonObject

ROWS_SHOWN = 50
"""Rows of one table: what fits on a screen; the rest is counted."""

_MEASURES = ("sum", "min", "max")
_SHOWN = (*_MEASURES, "average", *QUANTILES)
"""Columns of measures, in their order."""


def aggregate_table(record: JsonObject) -> Table:
    """The rows of one aggregate record."""
    return _table(_by(record), get_objects(record, "rows"))


class RunningAggregate:
    """The aggregates of one probe added up over time and instances."""

    def __init__(self, probe: str) -> None:
        self.probe = probe
        self._by: tuple[str, ...] = ()
        self._rows: dict[str, dict[str, object]] = {}

    def add(self, record: JsonObject) -> None:
        """Add one aggregate record."""
        self._by = _by(record)
        for row in get_objects(record, "rows"):
            key = json.dumps(row.get("key"), sort_keys=True)
            known = self._rows.get(key)
            self._rows[key] = dict(row) if known is None else _merge(known, row)

    @property
    def table(self) -> Table:
        """What was counted so far, most frequent first."""
        return _table((*self._by,), self._rows.values(), title=self.probe)


def _merge(one: JsonObject, other: JsonObject) -> dict[str, object]:
    result = dict(one)
    result["count"] = get_number(one, "count") + get_number(other, "count")
    for key in _MEASURES:
        values = [
            value
            for value in (one.get(key), other.get(key))
            if isinstance(value, (int, float))
        ]
        if values:
            result[key] = {"sum": sum, "min": min, "max": max}[key](values)
    if "average" in other:
        sums, added = get_object(one, "average"), get_object(other, "average")
        result["average"] = {
            "sum": _number(sums.get("sum")) + _number(added.get("sum")),
            "count": get_number(sums, "count") + get_number(added, "count"),
        }
    if "histogram" in other:
        result["histogram"] = _merge_histograms(
            get_object(one, "histogram"), get_object(other, "histogram")
        )
    return result


def _merge_histograms(one: JsonObject, other: JsonObject) -> dict[str, object]:
    buckets = dict(get_object(one, "buckets"))
    added = get_object(other, "buckets")
    for key in added:
        buckets[key] = get_number(buckets, key) + get_number(added, key)
    return {"buckets": buckets, "unit": other.get("unit", "")}


def _by(record: JsonObject) -> tuple[str, ...]:
    by = record.get("by")
    return tuple(map(str, by)) if isinstance(by, list) else ()


def _table(by: tuple[str, ...], rows: Iterable[JsonObject], title: str = "") -> Table:
    ordered = sorted(rows, key=lambda row: -get_number(row, "count"))
    shown = [_measures(row) for row in ordered[:ROWS_SHOWN]]
    measures = [key for key in _SHOWN if any(key in row for row in shown)]
    bars = any("histogram" in row for row in ordered)
    keys = by or (title or "all",)
    columns = (*keys, "count", *measures, *(["histogram"] if bars else []))
    table = Table(columns, right=frozenset({"count", *measures}), verbatim=True)
    for row, measured in zip(ordered, shown, strict=False):
        cells = [*_key_cells(row, len(by)), Span(str(get_number(row, "count")))]
        cells += [Span(measured.get(key, "")) for key in measures]
        if bars:
            cells.append(Span(draw_histogram(get_object(row, "histogram")), "green"))
        table.rows.append(tuple(cells))
    if (rest := len(ordered) - ROWS_SHOWN) > 0:
        blank = [Span("")] * (len(columns) - 1)
        table.rows.append((Span(f"… {rest} rows more", "dim"), *blank))
    return table


def _key_cells(row: JsonObject, width: int) -> list[Span]:
    if not width:
        return [Span("")]
    key = row.get("key")
    parts = [format_value(part) for part in key] if isinstance(key, list) else []
    return [Span(part) for part in (*parts, *[""] * width)][:width]


def _measures(row: JsonObject) -> dict[str, str]:
    """What was measured, as texts by the names of the columns."""
    values = {key: row[key] for key in _MEASURES if row.get(key) is not None}
    average = get_object(row, "average")
    if count := get_number(average, "count"):
        values["average"] = _number(average.get("sum")) / count
    texts = {
        key: f"{value:.6g}" if isinstance(value, float) else format_value(value)
        for key, value in values.items()
    }
    # more digits would promise more than a bucket knows
    found = quantiles(read_buckets(get_object(row, "histogram")))
    return texts | {name: f"{value:.3g}" for name, value in found.items()}


def _number(value: object) -> float:
    """A number of the wire; of a form for what JSON has none, its text."""
    if isinstance(value, dict):
        value = value.get("text")
    try:
        return float(str(value))
    except ValueError:
        return 0.0
