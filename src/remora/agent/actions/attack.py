"""The record of an attack: cut and without secrets at once, put together by the worker.

Secrets by name go before anything waits in the queue: the value of a secret parameter
shows only what broke out of its place, and a statement shows no other secret of its
request. Secrets by shape go in the worker, as with all records.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from remora.agent.actions.observe import record_context
from remora.agent.capture import ShapeRedactor, is_secret_name
from remora.agent.capture.source_lines import is_own_file, source_around, source_line
from remora.agent.request import actor_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.agent.capture import SecretNames
    from remora.agent.request import RequestContext, User
    from remora.detection import Finding, Inputs

VALUE_LIMIT = 500
"""Characters of a value: what broke out, and enough around it to know it again."""

STATEMENT_LIMIT = 2000
"""Characters of a statement, around the value."""

TOKENS_LIMIT = 100
SHOWN_LIMIT = 200
"""Characters of names and sentences."""

_HIDDEN = "(redacted)"
_SECRETS_LIMIT = 50
_SHORTEST_SECRET = 4
"""Characters: what is shorter stands anywhere."""

Marked = tuple[str, int, int]
"""A text, and from where to where it is marked."""

_redactor = ShapeRedactor()

_ASSIGNED = re.compile(
    r"""((\w+)["']?\]?\s*(?::\s*\w+\s*)?[=:]\s*[bBrRuUfF]{0,2})("[^"]*"?|'[^']*'?)"""
)
"""A name, a sign that gives it a value, and a text as the value."""


def mark_value(finding: Finding, statement: str, is_secret: SecretNames) -> Marked:
    """The value, with the part that broke out marked."""
    value = statement[finding.start : finding.end] or finding.input.text
    broke_at = min(max(finding.broke_from - finding.start, 0), len(value))
    if is_secret(finding.input.parameter):
        value, broke_at = _HIDDEN + value[broke_at:], len(_HIDDEN)
    return cut_around(value, broke_at, len(value), VALUE_LIMIT)


def mark_statement(
    finding: Finding, statement: str, inputs: Inputs, is_secret: SecretNames
) -> Marked:
    """The statement, with the value in it marked."""
    before, value = statement[: finding.start], statement[finding.start : finding.end]
    after = statement[finding.end :]
    if is_secret(finding.input.parameter):
        value = _HIDDEN + value[max(finding.broke_from - finding.start, 0) :]
    # As much as can be shown, and more for what a secret in it takes away.
    before, after = before[-2 * STATEMENT_LIMIT :], after[: 2 * STATEMENT_LIMIT]
    for secret in _secrets(inputs, is_secret):
        before, after = before.replace(secret, _HIDDEN), after.replace(secret, _HIDDEN)
    end = len(before) + len(value)
    return cut_around(before + value + after, len(before), end, STATEMENT_LIMIT)


def _secrets(inputs: Inputs, is_secret: SecretNames) -> list[str]:
    found = [
        each.text
        for each in inputs
        if len(each.text) >= _SHORTEST_SECRET and is_secret(each.parameter)
    ]
    return sorted(found, key=len, reverse=True)[:_SECRETS_LIMIT]


def cut_around(text: str, start: int, end: int, limit: int) -> Marked:
    """At most `limit` characters of a text, and where the marked part is in them."""
    if len(text) > limit:
        begin = max(0, min(start - (limit - min(end - start, limit)) // 2, len(text)))
        begin = max(0, min(begin, len(text) - limit))
        text, start, end = text[begin : begin + limit], start - begin, end - begin
    size = len(text)
    return text, min(max(start, 0), size), min(max(end, 0), size)


def make_attack(  # noqa: PLR0913, PLR0917 - the tuple of a firing, spread out
    time: int,
    probe: str,
    site: str,
    mode: str,
    thread: int,
    request: RequestContext,
    user: User | None,
    said: dict[str, Any],
    stack: Sequence[tuple[str, int, str]],
    is_secret: SecretNames = is_secret_name,
) -> dict[str, object]:
    """The record of docs/protocol.md, kind attack; runs in the worker."""
    context = record_context(request, user)
    for key in ("value", "statement"):
        if key in said:
            said[key], said[f"{key}_marked"] = _redacted(said[key])
    return {
        "kind": "attack",
        "time": time,
        "probe": probe,
        "site": site,
        "thread": thread,
        "mode": mode,
        "blocked": mode == "block",
        **said,
        "request": context.get("request", {}),
        "user": context.get("user"),
        "actor": actor_of(request),
        "stack": order_stack(stack, is_secret),
    }


def describe_finding(
    finding: Finding, statement: str, inputs: Inputs, is_secret: SecretNames
) -> dict[str, Any]:
    """What a record says of a finding; its marked texts still have their marks."""
    is_split = finding.detector in {"sql", "shell"}
    return {
        "detector": finding.detector,
        "sentence": finding.sentence[:SHOWN_LIMIT],
        "source": finding.input.source[:SHOWN_LIMIT],
        "parameter": finding.input.parameter[:SHOWN_LIMIT],
        "value": mark_value(finding, statement, is_secret),
        "statement": mark_statement(finding, statement, inputs, is_secret),
        "before": _tokens(finding.before, is_split=is_split),
        "after": _tokens(finding.after, is_split=is_split),
    }


def _tokens(structure: str, *, is_split: bool) -> list[str]:
    parts = structure.split(" ") if is_split else [structure[:STATEMENT_LIMIT]]
    return [part for part in parts[:TOKENS_LIMIT] if part]


def _redacted(marked: Marked) -> tuple[str, list[int]]:
    """The text without what looks like a secret, and where its mark is then.

    By its parts: whatever a redaction shortens, the mark stays where it belongs.
    """
    text, start, end = marked
    before = _redactor.redact_text(text[:start])
    inside = _redactor.redact_text(text[start:end])
    after = _redactor.redact_text(text[end:])
    return before + inside + after, [len(before), len(before) + len(inside)]


def order_stack(
    stack: Sequence[tuple[str, int, str]], is_secret: SecretNames = is_secret_name
) -> list[dict[str, object]]:
    """The frames, those of the app's own code first, with their lines of source.

    The first of them is the one to mend: it shows its neighbours too.
    """
    frames: list[dict[str, object]] = [
        {
            "file": file,
            "line": line,
            "function": function,
            "source": source_line(file, line) if is_own_file(file) else "",
            "own": is_own_file(file),
        }
        for file, line, function in stack
    ]
    ordered = sorted(frames, key=lambda frame: not frame["own"])
    if ordered and ordered[0]["own"]:
        file, line = str(ordered[0]["file"]), ordered[0]["line"]
        before, source, after = source_around(file, int(str(line)))
        if source.strip():
            ordered[0] |= {
                "source": source,
                "before": [_without_secrets(text, is_secret) for text in before],
                "after": [_without_secrets(text, is_secret) for text in after],
            }
    return ordered


def _without_secrets(text: str, is_secret: SecretNames) -> str:
    """A line that nobody asked for: what it gives a secret's name is left out."""
    return _ASSIGNED.sub(
        lambda found: f"{found[1]}'{_HIDDEN}'" if is_secret(found[2]) else found[0],
        text,
    )
