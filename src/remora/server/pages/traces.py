"""The spans of a trace as rows of a waterfall: below their parents, in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Record = Mapping[str, object]

ROWS_LIMIT = 200
"""Spans of one picture: more than a screen, and few enough to draw."""

WIDTH = 400
"""Units in which bars are measured, from the trace's first start to its last end."""

_DEPTH_LIMIT = 20


@frozen
class SpanRow:
    """One span: how deep it stands, what it is, and where its bar begins and ends."""

    id: int
    depth: int
    name: str
    site: str
    duration_ms: float
    error: str
    x: float
    width: float
    is_here: bool


def waterfall(records: Iterable[Record], here: int) -> list[SpanRow]:
    """The spans of one trace, parents before children; `here` is the record shown."""
    spans = {str(record.get("span")): record for record in records if _is_span(record)}
    if not spans:
        return []
    children: dict[str, list[Record]] = {}
    for record in sorted(spans.values(), key=_start):
        parent = str(record.get("parent") or "")
        # what has no parent here stands at the top
        children.setdefault(parent if parent in spans else "", []).append(record)
    begin = min(map(_start, spans.values()))
    end = max(_start(each) + _length(each) for each in spans.values())
    scale = WIDTH / max(1.0, end - begin)
    rows: list[SpanRow] = []
    waiting = [(record, 0) for record in reversed(children.get("", []))]
    while waiting and len(rows) < ROWS_LIMIT:
        record, depth = waiting.pop()
        rows.append(_row(record, depth, begin, scale, here))
        # taken out: spans that name each other as parents are drawn once
        below = children.pop(str(record.get("span")), [])
        deeper = min(depth + 1, _DEPTH_LIMIT)
        waiting += [(each, deeper) for each in reversed(below)]
    return rows


def _row(record: Record, depth: int, begin: float, scale: float, here: int) -> SpanRow:
    number = record.get("id")
    return SpanRow(
        id=number if isinstance(number, int) else 0,
        depth=depth,
        name=str(record.get("name", ""))[:200],
        site=str(record.get("site", ""))[:200],
        duration_ms=_length(record) / 1e6,
        error=str(record.get("error", ""))[:200],
        x=round((_start(record) - begin) * scale, 1),
        width=max(1.0, round(_length(record) * scale, 1)),
        is_here=number == here,
    )


def _is_span(record: Record) -> bool:
    return record.get("kind") == "span" and isinstance(record.get("span"), str)


def _start(record: Record) -> float:
    time = record.get("time")
    return time if isinstance(time, int) else 0


def _length(record: Record) -> float:
    """Nanoseconds; what is no duration has none."""
    duration = record.get("duration_ms")
    if not isinstance(duration, (int, float)) or not 0 <= duration < 1e12:
        return 0.0
    return duration * 1e6
