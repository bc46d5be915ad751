"""Rules of protection as operators make them: for which app, until when, by whom."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from remora.protocol import parse_duration
from remora.protocol.rules import Rule, parse_rule
from remora.server.domain.attacks import Vulnerability, own_frame
from remora.server.domain.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXCEPTION_LASTS = "30d"
"""Where nobody says how long: an exception is a debt, and a month is time to pay it."""

NAME_CHARACTERS = 200
"""Of an app and of an environment."""

_SCOPE = ("detector", "route", "parameter", "place", "line")


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule with its app and its environment, which are empty for every one."""

    rule: Rule
    app: str
    created: int
    created_by: str
    env: str = ""

    def is_for(self, app: str, env: str) -> bool:
        """Whether instances of that app in that environment are to have it."""
        return self.app in {"", app} and self.env in {"", env}

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Operator endpoints."""
        return {
            **self.rule.to_json(),
            "app": self.app,
            "env": self.env,
            "created": self.created,
            "created_by": self.created_by,
        }


@dataclass(frozen=True, slots=True)
class RuledSet:
    """What instances of one app and environment are told, by a name of its own."""

    encoded: bytes = b"[]"
    name: str = ""


def make_rule(
    source: Mapping[str, str],
    *,
    app: str,
    expires: str,
    now: int,
    who: str,
    env: str = "",
) -> StoredRule:
    """A rule as a person asks for it. Raises RuleError, ProbeError.

    Its id is made of what it is for, so that a second one takes the place of the first.
    """
    app, env = app[:NAME_CHARACTERS], env[:NAME_CHARACTERS]
    scope = [app, *(source.get(key, "") for key in _SCOPE), *filter(None, [env])]
    digest = hashlib.sha256("\0".join(scope).encode("utf-8", "replace"))
    rule = parse_rule({**source, "id": digest.hexdigest()[:12]})
    if not expires and (rule.parameter or rule.place):
        expires = EXCEPTION_LASTS
    if expires and expires != "never":
        ends_at = now + to_ns(parse_duration(expires, "expires"))
        rule = parse_rule({**rule.to_json(), "expires_at": ends_at})
    return StoredRule(rule, app, now, who, env)


def place_of(vulnerability: Vulnerability) -> dict[str, str]:
    """The keys of a rule that means this vulnerability and no other."""
    record = vulnerability.newest.to_json()
    frame = own_frame(record)
    keys = {"detector": vulnerability.detector}
    if not frame:
        return {**keys, "place": str(record.get("site") or "")}
    line = str(frame.get("source") or "").strip()
    if not line or "redacted" in line:
        # what the agent hid it cannot find again, but by its number
        line = str(frame.get("line"))
    return {
        **keys,
        "place": f"{frame.get('file')}:{frame.get('function')}",
        "line": line,
    }


def is_for(rule: Rule, vulnerability: Vulnerability) -> bool:
    """Whether a rule was made for this vulnerability, and no wider one."""
    keys = place_of(vulnerability)
    return rule.place == keys["place"] and rule.line == keys.get("line", "")


def rules_in(app: str, env: str, rules: Iterable[StoredRule]) -> RuledSet:
    """What the instances of an app in an environment are told, from the oldest on."""
    told = [each.rule.to_json() for each in rules if each.is_for(app, env)]
    if not told:
        return RuledSet()
    encoded = msgspec.json.encode(told)
    return RuledSet(encoded, hashlib.sha256(encoded).hexdigest()[:32])
