"""Rules: the mode of protection for a detector, a route, a parameter or a place.

A rule is data that agent, server and files share. Which of several counts is decided
here, so that it is the same wherever they came from: the narrowest, and of equals the
one that was made last. Imported where somebody makes a rule, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import RuleError
from remora.protocol.glob import matches_glob
from remora.protocol.protect import FAMILIES, MODES
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RULES_LIMIT = 1_000
"""Rules of an app: each attack looks at them one by one. More are a program."""

ID_CHARACTERS = 100
TEXT_CHARACTERS = 500
"""Of a route, a parameter, a place, a line: those of attacks are cut so."""

_TEXTS = ("detector", "route", "parameter", "place", "line", "mode", "reason")
_KEYS = ("id", *_TEXTS, "expires_at")


@frozen
class Sighting:
    """Where an attack was found: what rules can tell it by.

    `route` is the request's, or its path where no route is known; `parameter` is
    `source:name`, `file`, `function`, `line` and `number` are those of the app's own
    innermost frame, `site` the sink.
    """

    detector: str
    route: str
    parameter: str = ""
    file: str = ""
    function: str = ""
    line: str = ""
    number: int = 0
    site: str = ""


@frozen
class Rule:
    """One rule; an empty text holds for all, `expires_at` 0 is never.

    `route` and `parameter` are globs. `place` is `path/of/file.py:function`, whose
    path may leave out folders in front, or the sink where no frame is the app's own;
    `line` is the text of the line there, or its number where the app has no source.
    """

    id: str
    mode: str
    reason: str
    detector: str = ""
    route: str = ""
    parameter: str = ""
    place: str = ""
    line: str = ""
    expires_at: int = 0

    @property
    def is_general(self) -> bool:
        """Whether it holds for a detector in the whole app."""
        return not (self.route or self.parameter or self.place)

    def concerns(self, detector: str) -> bool:
        """Whether it holds for this detector at all."""
        return self.detector in {"", detector}

    def turns_on(self, detector: str) -> bool:
        """Whether a detector that is off has to be there for this rule.

        One that watches, and names none, is how people let something pass.
        """
        if self.detector != detector and (self.detector or self.mode != "block"):
            return False
        return self.mode != "off"

    def means(self, sighting: Sighting) -> bool:
        """Whether it holds for an attack that was found there."""
        return (
            self.concerns(sighting.detector)
            and (not self.route or matches_glob(sighting.route, self.route))
            and (not self.parameter or matches_glob(sighting.parameter, self.parameter))
            and (not self.place or self._is_at(sighting))
        )

    def names(self, file: str, function: str) -> bool:
        """Whether its place is this function, whatever the line."""
        path, _, name = self.place.rpartition(":")
        return name == function and (file == path or file.endswith(f"/{path}"))

    def _is_at(self, sighting: Sighting) -> bool:
        if not sighting.file:
            return self.place == sighting.site and not self.line
        return self.names(sighting.file, sighting.function) and (
            self.line in {"", sighting.line, str(sighting.number)}
        )

    def is_over(self, now: int) -> bool:
        """Whether its end has come."""
        return 0 < self.expires_at <= now

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Rule."""
        texts = {key: text for key in _TEXTS if (text := getattr(self, key))}
        return {"id": self.id, **texts, "expires_at": self.expires_at}


def by_narrowness(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules in the order in which they are asked, given from the oldest on."""
    newest_first = [*rules][::-1]
    return tuple(sorted(newest_first, key=_narrowness, reverse=True))


def _narrowness(rule: Rule) -> tuple[int, ...]:
    return (
        len(rule.place) and 1 + bool(rule.line),
        len(rule.parameter.replace("*", "")),
        len(rule.route.replace("*", "")),
        bool(rule.detector),
    )


def lowers(mode: str, other: str) -> bool:
    """Whether going from `other` to `mode` protects less."""
    return MODES.index(mode) < MODES.index(other)


def parse_rule(value: object) -> Rule:
    """A rule of the wire, a file or a person. Raises RuleError."""
    if not isinstance(value, dict):
        raise RuleError(f"a rule {str(value)[:60]!r} is no table: write its keys")
    if unknown := set(value) - set(_KEYS):
        raise RuleError(
            f"a rule has no key {min(map(str, unknown))!r}; it has {', '.join(_KEYS)}"
        )
    texts = {key: _text(value, key) for key in _TEXTS}
    identifier = _text(value, "id")
    expires_at = value.get("expires_at", 0)
    if type(expires_at) is not int or not 0 <= expires_at < 2**63:
        raise RuleError(f"expires_at = {str(expires_at)[:60]!r} is no time")
    if texts["mode"] not in MODES:
        raise RuleError(f"mode = {texts['mode']!r}: write one of {', '.join(MODES)}")
    if texts["detector"] not in {"", *FAMILIES}:
        raise RuleError(
            f"detector = {texts['detector']!r}: write one of {', '.join(FAMILIES)}, or "
            "leave it out for all"
        )
    if not texts["reason"].strip():
        raise RuleError("a rule has no reason: say why, for others to read")
    if texts["place"] and ":" not in texts["place"]:
        raise RuleError(
            f"place = {texts['place']!r} is none: write path/of/file.py:function"
        )
    if texts["line"] and not texts["place"]:
        raise RuleError("line belongs to a place: write that too")
    if texts["parameter"] and ":" not in texts["parameter"]:
        raise RuleError(
            f"parameter = {texts['parameter']!r} is none: write source:name, such as "
            "query:q or *:q"
        )
    return Rule(identifier[:ID_CHARACTERS], expires_at=expires_at, **texts)


def _text(table: Mapping[str, object], key: str) -> str:
    text = table.get(key, "")
    if not isinstance(text, str) or len(text) > TEXT_CHARACTERS:
        raise RuleError(
            f"{key} = {str(text)[:60]!r} is no text of up to {TEXT_CHARACTERS} "
            "characters"
        )
    return text
