"""The vocabulary that agent, server and every runtime share, and its JSON forms.

Each name is imported when it is first asked for: an agent without a probe needs few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.late import late_door

if TYPE_CHECKING:
    from remora.protocol.count import Count
    from remora.protocol.instance import Cost, Instance, parse_cost, parse_instance
    from remora.protocol.override import Override
    from remora.protocol.probe import Limit, Logger, Phase, Probe, RequestAction
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
    from remora.protocol.signature import PREFIX, Signature, signed_bytes
    from remora.protocol.span import Span
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

__getattr__ = late_door(
    globals(),
    {
        "Count": "count",
        "Cost": "instance",
        "Instance": "instance",
        "parse_cost": "instance",
        "parse_instance": "instance",
        "Override": "override",
        "Limit": "probe",
        "Logger": "probe",
        "Phase": "probe",
        "Probe": "probe",
        "RequestAction": "probe",
        "parse_probe": "probe_reading",
        "format_duration": "quantity",
        "format_rate": "quantity",
        "format_share": "quantity",
        "parse_duration": "quantity",
        "parse_rate": "quantity",
        "parse_share": "quantity",
        "parse_size": "quantity",
        "Scope": "scope",
        "parse_scope": "scope",
        "version_matches": "scope",
        "PREFIX": "signature",
        "Signature": "signature",
        "signed_bytes": "signature",
        "Span": "span",
        "Meaning": "status",
        "SITES_SHOWN": "status",
        "STATES": "status",
        "SUPPRESSIONS": "status",
        "SiteStatus": "status",
        "State": "status",
        "Status": "status",
        "UNMET_LIMIT": "status",
        "UNREAD_LIMIT": "status",
        "parse_status": "status",
        "Target": "target",
        "TargetKind": "target",
        "TargetSet": "target",
        "parse_target": "target",
        "parse_targets": "target",
    },
)
