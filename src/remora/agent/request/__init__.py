"""The request being served: its context, its user, the adapters that open it.

Only the context and the state of protection are there from the start: the rest is for
processes that have a probe, and only what is protected has edges and sources. Each of
these levels imports those before it.
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
    identifier_of,
    serve_request,
    set_user,
)
from remora.agent.request.protected import protection
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.request.actor import actor_of
    from remora.agent.request.adapters import (
        UnreadContext,
        expanded_request,
        from_environ,
        from_scope,
        from_values,
        known_request,
        read_opening,
        take_environ,
    )
    from remora.agent.request.held import Entry, Held
    from remora.agent.request.sources import inputs_of
    from remora.agent.request.state import current_state, note
    from remora.agent.request.trace import OpenSpan, begin_span, enter_span, traceparent
    from remora.agent.request.turning import turn_protection

__all__ = [
    "Entry",
    "Held",
    "OpenSpan",
    "Outgoing",
    "RequestContext",
    "UnreadContext",
    "User",
    "actor_of",
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
    "inputs_of",
    "known_request",
    "note",
    "protection",
    "read_opening",
    "serve_request",
    "set_user",
    "take_environ",
    "traceparent",
    "turn_protection",
]

__getattr__ = late_door(
    globals(),
    {
        "actor_of": "actor",
        "UnreadContext": "adapters",
        "expanded_request": "adapters",
        "from_environ": "adapters",
        "from_scope": "adapters",
        "from_values": "adapters",
        "known_request": "adapters",
        "read_opening": "adapters",
        "take_environ": "adapters",
        "Entry": "held",
        "Held": "held",
        "inputs_of": "sources",
        "current_state": "state",
        "note": "state",
        "OpenSpan": "trace",
        "begin_span": "trace",
        "enter_span": "trace",
        "traceparent": "trace",
        "turn_protection": "turning",
    },
)
