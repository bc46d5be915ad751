"""The request being served: its context, its user, the adapters that open it.

Traces are imported when they are first named: by a probe that makes spans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.adapters import (
    expanded_request,
    from_environ,
    from_scope,
    from_values,
    identifier_of,
)
from remora.agent.request.context import (
    RequestContext,
    User,
    current_request,
    current_user,
    protection,
    serve_request,
    set_user,
)
from remora.agent.request.held import Entry, Held
from remora.agent.request.state import current_state, note

if TYPE_CHECKING:
    from remora.agent.request.trace import (
        OpenSpan,
        begin_span,
        enter_span,
        traceparent,
    )

__all__ = [
    "Entry",
    "Held",
    "OpenSpan",
    "RequestContext",
    "User",
    "begin_span",
    "current_request",
    "current_state",
    "current_user",
    "enter_span",
    "expanded_request",
    "from_environ",
    "from_scope",
    "from_values",
    "identifier_of",
    "note",
    "protection",
    "serve_request",
    "set_user",
    "traceparent",
]


def __getattr__(name: str) -> object:
    if name not in {"OpenSpan", "begin_span", "enter_span", "traceparent"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from remora.agent.request import trace

    value = globals()[name] = getattr(trace, name)
    return value
