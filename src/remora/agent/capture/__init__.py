"""Bounded, redacting pictures of the app's values and stacks.

The search by shape is imported when it is first named: by the agent's thread, once
there is a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.capture.limits import DEFAULT_LIMITS, CaptureLimits
from remora.agent.capture.names import SecretNames, is_secret_name
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

if TYPE_CHECKING:
    from remora.agent.capture.shapes import ShapeRedactor

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


def __getattr__(name: str) -> object:
    if name != "ShapeRedactor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from remora.agent.capture.shapes import ShapeRedactor

    globals()[name] = ShapeRedactor
    return ShapeRedactor
