"""Bounded, redacting pictures of the app's values and stacks.

Most is imported when it is first named: by a probe that observes, and the search by
shape by the agent's thread, once there is a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.capture.names import SecretNames, is_secret_name
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.capture.limits import DEFAULT_LIMITS, CaptureLimits
    from remora.agent.capture.shapes import ShapeRedactor
    from remora.agent.capture.snapshot import REDACTED, capture, capture_fields
    from remora.agent.capture.stack import (
        FRAMES_WITH_LOCALS,
        STACK_LIMIT,
        app_frame,
        calling_frame,
        capture_locals,
        capture_stack,
        is_own_code,
    )

__all__ = [
    "DEFAULT_LIMITS",
    "FRAMES_WITH_LOCALS",
    "REDACTED",
    "STACK_LIMIT",
    "CaptureLimits",
    "SecretNames",
    "ShapeRedactor",
    "app_frame",
    "calling_frame",
    "capture",
    "capture_fields",
    "capture_locals",
    "capture_stack",
    "is_own_code",
    "is_secret_name",
]

__getattr__ = late_door(
    globals(),
    {
        "DEFAULT_LIMITS": "limits",
        "CaptureLimits": "limits",
        "ShapeRedactor": "shapes",
        "REDACTED": "snapshot",
        "capture": "snapshot",
        "capture_fields": "snapshot",
        "FRAMES_WITH_LOCALS": "stack",
        "STACK_LIMIT": "stack",
        "app_frame": "stack",
        "calling_frame": "stack",
        "capture_locals": "stack",
        "capture_stack": "stack",
        "is_own_code": "stack",
    },
)
