"""What a firing probe does, with its limits and its counters.

What observes is imported when it is first named: most processes have only requests to
follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.actions.firing import CALL_PARAMETER, FAULTS_ALLOWED, Firings, Kept
from remora.agent.actions.limiter import (
    DEFAULT_LOG_RATE,
    DEFAULT_SNAPSHOT_RATE,
    DEFAULT_TIME_SHARE,
    Limiter,
    Overrun,
    limiter_of,
)
from remora.agent.actions.request_scope import (
    AsgiEdgeSteps,
    RequestScope,
    SanicScope,
    StandIn,
    WsgiEdgeSteps,
    cut_condemned,
    guard_handler,
    refuse_in_django,
    refuse_in_tornado,
)
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.actions.aggregate import FOLDED, Table, count_size, plain_key
    from remora.agent.actions.callers import Callers
    from remora.agent.actions.decision import Decision
    from remora.agent.actions.observe import Report
    from remora.agent.actions.span import SpanEnds, SpanScope
    from remora.agent.actions.top import TopTable

__all__ = [
    "CALL_PARAMETER",
    "DEFAULT_LOG_RATE",
    "DEFAULT_SNAPSHOT_RATE",
    "DEFAULT_TIME_SHARE",
    "FAULTS_ALLOWED",
    "FOLDED",
    "AsgiEdgeSteps",
    "Callers",
    "Decision",
    "Firings",
    "Kept",
    "Limiter",
    "Overrun",
    "Report",
    "RequestScope",
    "SanicScope",
    "SpanEnds",
    "SpanScope",
    "StandIn",
    "Table",
    "TopTable",
    "WsgiEdgeSteps",
    "count_size",
    "cut_condemned",
    "guard_handler",
    "limiter_of",
    "plain_key",
    "refuse_in_django",
    "refuse_in_tornado",
]

__getattr__ = late_door(
    globals(),
    {
        "FOLDED": "aggregate",
        "Callers": "callers",
        "Decision": "decision",
        "Report": "observe",
        "SpanEnds": "span",
        "SpanScope": "span",
        "Table": "aggregate",
        "TopTable": "top",
        "count_size": "aggregate",
        "plain_key": "aggregate",
    },
)
