"""From the text of a target to sites: the places where code can be diverted.

Points are imported when they are first named: by a question of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.targets.code import (
    INJECTION_MARK,
    SPLICE_MARK,
    TRAMPOLINE_MARK,
    all_code,
    code_to_clone,
    is_spliced,
    is_trampoline,
    running_code,
    without_injection,
)
from remora.agent.targets.home import compiled_home
from remora.agent.targets.lines import resolve_line
from remora.agent.targets.raw import ABSENT
from remora.agent.targets.resolve import may_concern, modules_awaited, resolve
from remora.agent.targets.signature import UNKNOWN, Signature
from remora.agent.targets.site import (
    CLASSES,
    Nature,
    Point,
    Resolution,
    ResolutionState,
    Site,
    SiteKind,
)
from remora.agent.targets.stand_ins import forget, stand_in
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.targets.listing import points, sites_meant

__all__ = [
    "ABSENT",
    "CLASSES",
    "INJECTION_MARK",
    "SPLICE_MARK",
    "TRAMPOLINE_MARK",
    "UNKNOWN",
    "Nature",
    "Point",
    "Resolution",
    "ResolutionState",
    "Signature",
    "Site",
    "SiteKind",
    "all_code",
    "code_to_clone",
    "compiled_home",
    "forget",
    "is_spliced",
    "is_trampoline",
    "may_concern",
    "modules_awaited",
    "points",
    "resolve",
    "resolve_line",
    "running_code",
    "sites_meant",
    "stand_in",
    "without_injection",
]

__getattr__ = late_door(globals(), {"points": "listing", "sites_meant": "listing"})
