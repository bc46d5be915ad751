"""What is told of an attack to those who are not looking: as JSON, and for syslog.

A notice leaves the server. It has neither the value nor the statement, which may hold
what is nobody's business; the page that it names shows them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from remora.server.domain.attacks import own_frame

if TYPE_CHECKING:
    from remora.server.domain.attacks import Attack
    from remora.server.domain.records import Batch, IncomingRecord

SYSLOG_BYTES = 1800
"""RFC 5426 asks receivers for 2,048 bytes over UDP."""

_FACILITY = 10
_BLOCKED, _NOT_BLOCKED = 4, 2
"""Severities: a warning of what was stopped, and critical is what went through."""

_ID = "remora@32473"
"""The enterprise number that RFC 5612 keeps for examples: remora has none."""

_UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\U0010ffff]|[\u061c\u200b-\u200f\u2028-\u202e]"
)
_PARAMETER = re.compile(r'(["\\\]])')


@dataclass(frozen=True, slots=True)
class Notice:
    """One attack; `more` of the same vulnerability were not told of since the last."""

    time: int
    app: str
    env: str
    detector: str
    sentence: str
    blocked: bool
    actor: str
    method: str
    route: str
    site: str
    place: str
    vulnerability: str
    url: str
    more: int = 0
    test: bool = False

    def to_json(self) -> dict[str, object]:
        """The body of docs/reference/server.md, section Notices."""
        fields = asdict(self)
        is_test = fields.pop("test")
        return {"event": "test" if is_test else "attack", **fields}

    def summary(self) -> str:
        """The notice in one sentence."""
        what = "blocked" if self.blocked else "NOT blocked"
        route = f"{self.method} {self.route}".strip()
        parts = [f"{self.detector} attack on {self.app or 'an app'} {what}"]
        parts += [self.sentence] if self.sentence else []
        parts += [f"by {self.actor}", *([f"at {route}"] if route else [])]
        parts += [f"in {self.place or self.site}"] if self.place or self.site else []
        parts += [f"{self.more} more since the last notice"] if self.more else []
        text = ", ".join(parts)
        return f"test: {text}" if self.test else text

    def syslog(self, host: str, program_id: int) -> bytes:
        """A message of RFC 5424, without its framing."""
        severity = _BLOCKED if self.blocked else _NOT_BLOCKED
        moment = datetime.fromtimestamp(self.time // 10**9, UTC)
        head = (
            f"<{_FACILITY * 8 + severity}>1 {moment:%Y-%m-%dT%H:%M:%SZ} "
            f"{_word(host)} remora {program_id} {'test' if self.test else 'attack'} "
        )
        fields = {
            "app": self.app,
            "env": self.env,
            "detector": self.detector,
            "blocked": str(self.blocked).lower(),
            "actor": self.actor,
            "vulnerability": self.vulnerability,
        }
        data = " ".join(
            f'{key}="{_parameter(value)}"' for key, value in fields.items() if value
        )
        text = f"{head}[{_ID} {data}] {_printable(self.summary())}".encode()
        if len(text) <= SYSLOG_BYTES:
            return text
        return text[:SYSLOG_BYTES].decode(errors="ignore").encode()


def attack_notice(
    batch: Batch, record: IncomingRecord, attack: Attack, base_url: str, now: int
) -> Notice:
    """What could be told of one attack of a batch."""
    body = msgspec.json.decode(record.body)
    frame = own_frame(body)
    vulnerability = attack.vulnerability(batch.app)
    return Notice(
        time=min(record.time, now),
        app=batch.app,
        env=batch.env,
        detector=attack.detector,
        sentence=body.get("sentence", ""),
        blocked=attack.blocked,
        actor=attack.actor,
        method=attack.method,
        route=attack.route,
        site=record.site,
        place=f"{frame['file']}:{frame['line']}" if frame else "",
        vulnerability=vulnerability,
        url=f"{base_url}/vulnerabilities/{vulnerability}",
    )


def trial_notice(now: int, base_url: str) -> Notice:
    """A notice of nothing, to see whether notices arrive."""
    return Notice(
        time=now,
        app="remora",
        env="",
        detector="none",
        sentence="this is a test and no attack",
        blocked=True,
        actor="unknown",
        method="",
        route="",
        site="",
        place="",
        vulnerability="",
        url=f"{base_url}/attacks",
        test=True,
    )


def _printable(text: str) -> str:
    """A receiver may write it to a terminal or split it at line ends."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _parameter(text: str) -> str:
    """A value of structured data, short enough that all of them fit."""
    return _PARAMETER.sub(r"\\\1", _printable(text[:60]))


def _word(text: str) -> str:
    """A field of the header: printable ASCII without blanks."""
    return re.sub("[^!-~]", "-", text)[:255] or "-"
