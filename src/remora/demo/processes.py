"""The processes that the demo starts, and their certain end.

Each child leads a process group of its own: a Ctrl-C in the terminal reaches the demo
alone, and ending the group ends what the child has forked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STOP_S = 5.0
"""Seconds that a child has for its end: workers finish their requests in far less."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Child:
    """A started process and the file that has its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def has_ended(self) -> bool:
        """Whether it is no longer there."""
        return self.process.poll() is not None

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of its output."""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in deque(file, count)]


class ProcessGroup:
    """Starts children and ends them all, the last one first, when it is left."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        for child in reversed(self._children):
            _end(child)

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Start `command` with its output in `name`.log."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    @property
    def children(self) -> tuple[Child, ...]:
        """What was started, in that order."""
        return tuple(self._children)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment() -> dict[str, str]:
    """Ours without settings of remora: those of the demo are all on command lines."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - only handed on
        if not name.startswith("REMORA_")
    }


def _end(child: Child) -> None:
    """Ask the group to end, then make it."""
    group = child.process.pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(STOP_S)
    deadline = time.monotonic() + 1.0
    while _is_alive(group) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    child.process.wait(STOP_S)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
