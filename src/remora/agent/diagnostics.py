"""The agent's own log and its counters. Never through `logging`, never from a hook.

One line for each change of state, written raw in one piece. Hooks only count; the
worker's thread, the boot code and the API speak.
"""

from __future__ import annotations

import os

_MESSAGE_LIMIT = 1000
_REPEATS_LIMIT = 200


class Diagnostics:
    """Where the agent says what happens to it.

    `destination` is `off`, `stderr` or the path of a file that is appended to.
    """

    __slots__ = ("_counters", "_descriptor", "_said", "destination")

    def __init__(self, destination: str = "stderr") -> None:
        self.destination = destination
        self._counters: dict[str, int] = {}
        self._said: set[str] = set()
        self._descriptor = -1
        if destination == "stderr":
            self._descriptor = 2
        elif destination != "off":
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            try:
                self._descriptor = os.open(destination, flags, 0o600)
            except OSError:
                self._descriptor = 2
                self.say(f"cannot write the log {destination!r}: using standard error")

    def say(self, message: str) -> None:
        """Write one line."""
        if self._descriptor < 0:
            return
        text = message.replace("\n", " ")[:_MESSAGE_LIMIT]
        line = f"remora[{os.getpid()}]: {text}\n".encode("utf-8", "backslashreplace")
        try:
            os.write(self._descriptor, line)
        except OSError:
            self.count("log-unwritable")

    def say_once(self, message: str) -> None:
        """Write one line, unless this very line was written before."""
        if message not in self._said and len(self._said) < _REPEATS_LIMIT:
            self._said.add(message)
            self.say(message)

    def count(self, what: str, amount: int = 1) -> None:
        """Add to a counter; safe in a hook, where losing one in a race is no harm."""
        self._counters[what] = self._counters.get(what, 0) + amount

    @property
    def counters(self) -> dict[str, int]:
        """A copy of the counters."""
        return dict(self._counters)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor > 2:
            os.close(self._descriptor)
        self._descriptor = -1
