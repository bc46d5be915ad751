"""Where in which trace the app is: our own open span, OpenTelemetry's, the request's.

W3C Trace Context (https://www.w3.org/TR/trace-context/) names a trace by 16 bytes and a
span by 8, written in hexadecimal. OpenTelemetry is asked only where the app has
imported it, through the two calls that any user of its API makes.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar

from remora.agent.request.adapters import expanded_request
from remora.agent.request.context import Place
from remora.agent.runtime import originals

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    r"(?:-|\Z)"
)
_SHOWN = 200


class OpenSpan:
    """A span of ours that has begun: its place, and OpenTelemetry's span around it."""

    __slots__ = ("around", "outer", "place")

    def __init__(
        self, place: Place, around: Place | None, outer: OpenSpan | None
    ) -> None:
        self.place = place
        self.around = around
        self.outer = outer


_open: ContextVar[OpenSpan | None] = ContextVar("remora_span", default=None)


def begin_span() -> tuple[OpenSpan, str]:
    """A span below whatever is current, and the id of its parent, or empty.

    OpenTelemetry's span is the inner one if it has changed since ours began.
    """
    outer, other = _open.get(), opentelemetry_place()
    if other is not None and (outer is None or not _same(outer.around, other)):
        parent = other
    elif outer is not None:
        parent = outer.place
    else:
        parent = _request_place()
    place = Place(parent.trace, originals.urandom(8).hex(), parent.flags)
    return OpenSpan(place, other, outer), parent.span


def enter_span(span: OpenSpan | None) -> None:
    """Make this the span that is open in this task or thread."""
    _open.set(span)


def traceparent(place: Place) -> str:
    """The header that hands a place on."""
    return f"00-{place.trace}-{place.span}-{place.flags}"


def read_traceparent(text: object) -> Place | None:
    """The place that a header names; None where it is none."""
    if type(text) is not str:
        return None
    match = _TRACEPARENT.match(text[:_SHOWN].strip())
    return Place(match[1], match[2], match[3]) if match else None


def opentelemetry_place() -> Place | None:
    """The span of OpenTelemetry that is active, in an app that uses it."""
    module = sys.modules.get("opentelemetry.trace")
    if module is None:
        return None
    context = module.get_current_span().get_span_context()
    trace, span = context.trace_id, context.span_id
    if type(trace) is not int or type(span) is not int or not trace or not span:
        return None
    sampled = int(context.trace_flags) & 1
    return Place(f"{trace:032x}", f"{span:016x}", f"{sampled:02x}")


def _request_place() -> Place:
    """The trace of the request, which its first span begins if nobody did before."""
    request = expanded_request()
    if request is None:
        return _new_trace()
    if request.place is None:
        headers = request.headers or {}
        request.place = read_traceparent(headers.get("traceparent")) or _new_trace()
    return request.place


def _new_trace() -> Place:
    return Place(originals.urandom(16).hex(), "", "01")


def _same(one: Place | None, other: Place) -> bool:
    return one is not None and (one.trace, one.span) == (other.trace, other.span)
