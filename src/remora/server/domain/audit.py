"""Entries of the audit table: who changed what, when, from what, to what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `old` and `new` are JSON values, None where there was nothing.

    `who` is the name of a token, `expiry` for the server's own clock, or
    `first start`.
    """

    time: int
    who: str
    action: str
    subject: str
    old: object = None
    new: object = None

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            "time": self.time,
            "who": self.who,
            "action": self.action,
            "subject": self.subject,
            "old": self.old,
            "new": self.new,
        }
