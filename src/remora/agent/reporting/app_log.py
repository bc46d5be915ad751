"""Hands records to the app's own `logging`, where their probe asks for it.

Runs in the worker: handlers take locks and write, and no call of the app may wait for
that because of us. Nothing is imported: an app that has not imported `logging` has
configured none. A handler that blocks keeps the worker from its other work meanwhile.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remora.agent.diagnostics import Diagnostics

JsonValue = Any


class AppLog:
    """Writes the messages of records under the loggers that they name."""

    __slots__ = ("_diagnostics",)

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    def tell(self, record: dict[str, JsonValue]) -> None:
        """Log the record's message, redacted as it is by now."""
        wanted = record.get("logger")
        if not isinstance(wanted, dict):
            return
        logging = sys.modules.get("logging")
        try:
            if logging is None:
                self._say(f"logger {wanted['name']!r}: the app does not use logging")
            else:
                _log(logging, record, wanted)
        except Exception as error:  # noqa: BLE001 - the boundary to the app's handlers and filters
            self._say(f"logger {wanted['name']!r}: {type(error).__name__}")

    def _say(self, problem: str) -> None:
        self._diagnostics.count("app-log-failures")
        self._diagnostics.say_once(problem)


def _log(logging: Any, record: dict[str, JsonValue], wanted: dict[str, str]) -> None:
    logger = logging.getLogger(wanted["name"])
    level = getattr(logging, wanted["level"].upper())
    if not logger.isEnabledFor(level):
        return
    made = logger.makeRecord(
        logger.name,
        level,
        record["site"],
        0,
        record["message"],
        (),
        None,
        extra={"remora_probe": record["probe"]},
    )
    made.created = record["time"] / 1e9
    made.msecs = float(record["time"] // 1_000_000 % 1000)
    made.thread = record["thread"]
    logger.handle(made)
