"""The vocabulary that agent, server and every runtime share, and its JSON forms.

What few probes have is imported when it is first named, or read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from remora.protocol.instance import Cost, Instance, parse_cost, parse_instance
from remora.protocol.probe import (
    Limit,
    Logger,
    Phase,
    Probe,
    RequestAction,
)
from remora.protocol.probe_reading import parse_probe
from remora.protocol.quantity import (
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)
from remora.protocol.scope import Scope, parse_scope, version_matches
from remora.protocol.status import (
    SITES_SHOWN,
    STATES,
    SUPPRESSIONS,
    UNMET_LIMIT,
    UNREAD_LIMIT,
    Meaning,
    SiteStatus,
    State,
    Status,
    parse_status,
)
from remora.protocol.target import (
    Target,
    TargetKind,
    TargetSet,
    parse_target,
    parse_targets,
)

if TYPE_CHECKING:
    from remora.protocol.count import Count
    from remora.protocol.override import Override
    from remora.protocol.signature import PREFIX, Signature, signed_bytes
    from remora.protocol.span import Span

__all__ = [
    "PREFIX",
    "SITES_SHOWN",
    "STATES",
    "SUPPRESSIONS",
    "UNMET_LIMIT",
    "UNREAD_LIMIT",
    "Cost",
    "Count",
    "Instance",
    "Limit",
    "Logger",
    "Meaning",
    "Override",
    "Phase",
    "Probe",
    "RequestAction",
    "Scope",
    "Signature",
    "SiteStatus",
    "Span",
    "State",
    "Status",
    "Target",
    "TargetKind",
    "TargetSet",
    "format_duration",
    "format_rate",
    "format_share",
    "parse_cost",
    "parse_duration",
    "parse_instance",
    "parse_probe",
    "parse_rate",
    "parse_scope",
    "parse_share",
    "parse_size",
    "parse_status",
    "parse_target",
    "parse_targets",
    "signed_bytes",
    "version_matches",
]

_LATE = {
    "PREFIX": "signature",
    "Count": "count",
    "Override": "override",
    "Signature": "signature",
    "Span": "span",
    "signed_bytes": "signature",
}


def __getattr__(name: str) -> object:
    home = _LATE.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
