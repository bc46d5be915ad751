"""Diverting calls. One function chooses the mechanism and says why."""

from remora.agent.interception.choose import anchor_of, intercept, key_of, loosen
from remora.agent.interception.plan import (
    ARGS,
    CALL,
    DURATION_MS,
    ERROR,
    KWARGS,
    RESULT,
    STATE,
    AppValue,
    Driver,
    Interception,
    PhaseName,
    Slot,
    Step,
)

__all__ = [
    "ARGS",
    "CALL",
    "DURATION_MS",
    "ERROR",
    "KWARGS",
    "RESULT",
    "STATE",
    "AppValue",
    "Driver",
    "Interception",
    "PhaseName",
    "Slot",
    "Step",
    "anchor_of",
    "intercept",
    "key_of",
    "loosen",
]
