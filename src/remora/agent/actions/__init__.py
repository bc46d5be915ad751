"""What a firing probe does, with its limits and its counters."""

from remora.agent.actions.aggregate import FOLDED, Table, count_size, plain_key
from remora.agent.actions.callers import Callers
from remora.agent.actions.decision import Decision
from remora.agent.actions.firing import FAULTS_ALLOWED, Firings, Kept
from remora.agent.actions.limiter import (
    DEFAULT_LOG_RATE,
    DEFAULT_SNAPSHOT_RATE,
    DEFAULT_TIME_SHARE,
    Limiter,
    Overrun,
    limiter_of,
)
from remora.agent.actions.observe import CALL_PARAMETER, Report
from remora.agent.actions.request_scope import (
    AsgiEdgeSteps,
    RequestScope,
    StandIn,
    WsgiEdgeSteps,
    cut_condemned,
    refuse_in_django,
)
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
    "SpanEnds",
    "SpanScope",
    "StandIn",
    "Table",
    "TopTable",
    "WsgiEdgeSteps",
    "count_size",
    "cut_condemned",
    "limiter_of",
    "plain_key",
    "refuse_in_django",
]
