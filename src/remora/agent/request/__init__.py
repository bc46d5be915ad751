"""The request being served: its context, its user, the adapters that open it.

Only the context is there from the start: the rest is for processes that have a probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.context import (
    Outgoing,
    RequestContext,
    User,
    current_request,
    current_user,
    empty_cells,
    protection,
    serve_request,
    set_user,
)
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.request.adapters import (
        FOUND_LATER,
        UnreadContext,
        expanded_request,
        from_environ,
        from_scope,
        from_values,
        identifier_of,
        known_request,
        read_opening,
        take_environ,
    )
    from remora.agent.request.held import Entry, Held
    from remora.agent.request.state import current_state, note
    from remora.agent.request.trace import OpenSpan, begin_span, enter_span, traceparent

__all__ = [
    "FOUND_LATER",
    "Entry",
    "Held",
    "OpenSpan",
    "Outgoing",
    "RequestContext",
    "UnreadContext",
    "User",
    "begin_span",
    "current_request",
    "current_state",
    "current_user",
    "empty_cells",
    "enter_span",
    "expanded_request",
    "from_environ",
    "from_scope",
    "from_values",
    "identifier_of",
    "known_request",
    "note",
    "protection",
    "read_opening",
    "serve_request",
    "set_user",
    "take_environ",
    "traceparent",
]

__getattr__ = late_door(
    globals(),
    {
        "FOUND_LATER": "adapters",
        "UnreadContext": "adapters",
        "expanded_request": "adapters",
        "from_environ": "adapters",
        "from_scope": "adapters",
        "from_values": "adapters",
        "identifier_of": "adapters",
        "known_request": "adapters",
        "read_opening": "adapters",
        "take_environ": "adapters",
        "Entry": "held",
        "Held": "held",
        "current_state": "state",
        "note": "state",
        "OpenSpan": "trace",
        "begin_span": "trace",
        "enter_span": "trace",
        "traceparent": "trace",
    },
)
