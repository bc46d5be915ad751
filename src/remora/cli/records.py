"""Records as lines: time, instance, probe, then what was reported."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from remora.cli.aggregates import aggregate_table
from remora.cli.answers import get_number, get_object, get_objects, get_text
from remora.cli.output import INDENT, Span
from remora.cli.values import format_value, value_lines

if TYPE_CHECKING:
    from remora.cli.answers import JsonObject
    from remora.cli.output import Output

_KNOWN = frozenset({"log", "snapshot", "aggregate", "override", "span", "attack"})
_ENVELOPE = frozenset({"kind", "time", "probe", "site", "thread", "id", "instance"})


def show_record(output: Output, record: JsonObject, instance: str) -> None:
    """Print one record; `instance` is how its instance is called."""
    output.line(*_head(record, instance))
    if override := get_object(record, "override"):
        output.line(Span(INDENT), Span(_override(override), "yellow"))
    values = get_object(record, "values")
    for name, value in values.items():
        for line in value_lines(name, value, INDENT):
            output.line(*line)
    for frame in get_objects(record, "stack"):
        place = f"{get_text(frame, 'file')}:{get_text(frame, 'line')}"
        function = get_text(frame, "function")
        output.line(Span(f"{INDENT}at {function}  ", "dim"), Span(place, "dim"))
        for name, value in get_object(frame, "locals").items():
            for line in value_lines(name, value, INDENT * 2):
                output.line(*line)
    if get_text(record, "kind") == "aggregate":
        output.table(aggregate_table(record))


def _head(record: JsonObject, instance: str) -> list[Span]:
    spans = [
        Span(format_time(get_number(record, "time")), "dim"),
        Span("  "),
        Span(instance, "blue"),
        Span("  "),
        Span(get_text(record, "probe"), "magenta"),
        Span("  "),
        Span(_message(record)),
    ]
    if context := _context(record):
        spans.append(Span(f"  [{context}]", "dim"))
    return spans


def _message(record: JsonObject) -> str:
    kind = get_text(record, "kind")
    if message := get_text(record, "message"):
        return message
    if kind == "aggregate":
        seconds = (get_number(record, "end") - get_number(record, "start")) / 1e9
        text = f"in {seconds:.3g} s at {get_text(record, 'site')}"
        if error := get_number(record, "count_error"):
            text += f", each at most {error} too low"
        return text
    if kind == "attack":
        number = get_text(record, "id")
        end = "blocked" if record.get("blocked") is True else "NOT blocked"
        text = f"{get_text(record, 'detector')} attack {number} {end}"
        return f"{text}: {get_text(record, 'sentence')} by {get_text(record, 'actor')}"
    if kind == "span":
        text = f"span {get_text(record, 'name')} ({get_text(record, 'trace')[:8]})"
        error = get_text(record, "error")
        return f"{text} failed: {error}" if error else text
    if kind in _KNOWN:
        phase = get_text(record, "phase")
        return f"{phase} {get_text(record, 'site')}".strip()
    rest = {key: value for key, value in record.items() if key not in _ENVELOPE}
    return f"{kind} {json.dumps(rest)}"


def _override(override: JsonObject) -> str:
    """What was put in place of the call's own course, or would have been."""
    verbs = {"return": "return", "raise": "raise", "arguments": "go on with"}
    verb = verbs.get(get_text(override, "kind"), "do")
    value = override.get("value")
    text = value if verb == "raise" and isinstance(value, str) else format_value(value)
    would = "would " if get_text(override, "mode") == "watch" else ""
    return f"override: {would}{verb} {text}"


def _context(record: JsonObject) -> str:
    request = get_object(record, "request")
    parts = [f"{get_text(request, 'method')} {get_text(request, 'path')}".strip()]
    if user := get_object(record, "user"):
        parts.append(f"user {format_value(user.get('id'))}")
    duration = record.get("duration_ms")
    if isinstance(duration, (int, float)):
        parts.append(f"{duration:.3g} ms")
    return ", ".join(part for part in parts if part)


def format_time(nanoseconds: int) -> str:
    """Local time of day with milliseconds."""
    moment = _moment(nanoseconds)
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def format_date(nanoseconds: int) -> str:
    """Local date and time, or a dash where there is none."""
    return _moment(nanoseconds).strftime("%Y-%m-%d %H:%M:%S") if nanoseconds else "-"


def _moment(nanoseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def format_age(seconds: float) -> str:
    """A duration in its largest unit: `12s`, `5m`, `3h`, `2d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def format_count(number: int, what: str) -> str:
    """A number of things: `1 site`, `2 sites`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
