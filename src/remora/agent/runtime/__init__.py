"""Facts of the interpreter, untouched originals, fork, guard, exit, the process."""

from remora.agent.runtime import (
    ending,
    facts,
    fork,
    frame_locals,
    guard,
    originals,
    process,
    signals,
    uwsgi,
)

__all__ = [
    "ending",
    "facts",
    "fork",
    "frame_locals",
    "guard",
    "originals",
    "process",
    "signals",
    "uwsgi",
]
