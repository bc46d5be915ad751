"""The record of a `count`: the rows of one interval; made in the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.actions.aggregate import FOLDED
from remora.agent.capture import capture
from remora.protocol.count import STACK

if TYPE_CHECKING:
    from remora.agent.capture import SecretNames
    from remora.agent.interception import AppValue
    from remora.protocol import Count, Probe


def make_aggregate(
    probe: Probe,
    start: int,
    end: int,
    rows: list[tuple[object, list[AppValue]]],
    missed: int,
    is_secret: SecretNames,
) -> dict[str, object]:
    """The record of docs/protocol.md, kind aggregate."""
    count = probe.count
    assert count is not None
    record: dict[str, object] = {
        "kind": "aggregate",
        "time": end,
        "probe": probe.id,
        "site": probe.target.texts[0],
        "start": start,
        "end": end,
        "by": [
            *(expression.text for expression in count.by),
            *([STACK] if count.by_stack else []),
        ],
        "rows": [_row(key, row, count, is_secret) for key, row in rows],
        "rows_cut": sum(row[0] for key, row in rows if key == FOLDED),
    }
    if count.top is not None:
        record["top"] = count.top
        record["count_error"] = missed
    return record


def _row(
    key: object, row: list[AppValue], count: Count, is_secret: SecretNames
) -> dict[str, object]:
    result: dict[str, object] = {"key": _key(key, count, is_secret), "count": row[0]}
    if count.sum is not None:
        result["sum"] = _number(row[1], is_secret)
    if count.min is not None and row[2] is not None:
        result["min"] = _number(row[2], is_secret)
    if count.max is not None and row[3] is not None:
        result["max"] = _number(row[3], is_secret)
    if count.average is not None:
        result["average"] = {"sum": _number(row[5], is_secret), "count": row[6]}
    if count.histogram is not None:
        unit = "ms" if count.histogram.text == "duration_ms" else ""
        result["histogram"] = {
            "buckets": {str(bucket): n for bucket, n in row[4].items()},
            "unit": unit,
        }
    return result


def _number(value: AppValue, is_secret: SecretNames) -> object:
    return capture(value, is_secret=is_secret)[0]


def _key(key: AppValue, count: Count, is_secret: SecretNames) -> list[object]:
    """Each part of a row's key as a value of the wire."""
    width = len(count.by) + count.by_stack
    if key == FOLDED:
        return [{"$": "missing", "reason": "folded"}] * width
    parts: tuple[AppValue, ...] = key if width != 1 else (key,)
    values = [
        _key_part(part, expression.shown, is_secret)
        for part, expression in zip(parts, count.by, strict=False)
    ]
    if count.by_stack:
        _, callers = parts[-1]
        values.append(list(callers))
    return values


def _key_part(part: AppValue, shown: frozenset[str], is_secret: SecretNames) -> object:
    kind, value = ("str", part) if type(part) is str else part
    if kind == "missing":
        return {"$": "missing", "reason": value}
    return capture(value, names=shown, is_secret=is_secret)[0]
