"""Scopes: which instances a probe is for. The server matches, the agent checks too."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from remora.errors import ProbeError
from remora.protocol.glob import matches_glob
from remora.protocol.quantity import format_share, parse_share
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.protocol.instance import Instance

_KEYS = ("app", "env", "version", "host", "share", "instance")
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|>|<|=)?\s*([\w.+!-]+)\s*\Z")


@frozen
class Scope:
    """Conditions on an instance; an absent one holds for all.

    `app` and `env` are names, `host` and `instance` globs, `version` comparisons
    joined by commas, `share` the part of the instances between 0 and 1.
    """

    app: str | None = None
    env: str | None = None
    version: str | None = None
    host: str | None = None
    share: float | None = None
    instance: str | None = None

    def refusal(self, instance: Instance, probe_id: str) -> str | None:
        """Why `instance` is outside this scope, or None when it is inside."""
        if self.app is not None and self.app != instance.app:
            return f"scope app = {self.app!r}, this is {instance.app!r}"
        if self.env is not None and self.env != instance.env:
            return f"scope env = {self.env!r}, this is {instance.env!r}"
        if self.version is not None and not version_matches(
            instance.version, self.version
        ):
            return f"scope version = {self.version!r}, this is {instance.version!r}"
        if self.host is not None and not matches_glob(instance.host, self.host):
            return f"scope host = {self.host!r}, this is {instance.host!r}"
        if self.instance is not None and not matches_glob(instance.id, self.instance):
            return f"scope instance = {self.instance!r}, this is {instance.id!r}"
        if self.share is not None and not _in_share(instance.id, probe_id, self.share):
            return f"outside the {format_share(self.share)} share of the instances"
        return None

    def to_json(self) -> dict[str, object]:
        """The keys that are set, as they are written in a file."""
        result: dict[str, object] = {
            key: value
            for key in ("app", "env", "version", "host", "instance")
            if (value := getattr(self, key)) is not None
        }
        if self.share is not None:
            result["share"] = format_share(self.share)
        return result


EVERYWHERE = Scope()
"""The scope of a probe that names none."""


def parse_scope(value: object) -> Scope:
    """Read the `scope` table of a probe. Raises ProbeError."""
    if not isinstance(value, dict):
        raise ProbeError(f"scope = {value!r} is no table: write {{ app = 'name' }}")
    table: Mapping[object, object] = value
    for key in table:
        if key not in _KEYS:
            raise ProbeError(f"scope has no key {key!r}; it has {', '.join(_KEYS)}")
    texts: dict[str, str] = {}
    for key in ("app", "env", "version", "host", "instance"):
        text = table.get(key)
        if text is None:
            continue
        if not isinstance(text, str) or not text or len(text) > 200:
            raise ProbeError(
                f"scope.{key} = {text!r} is no text of 1 to 200 characters"
            )
        texts[key] = text
    if "version" in texts:
        version_matches("0", texts["version"])
    share = table.get("share")
    return Scope(
        **texts,
        share=None if share is None else parse_share(share, "scope.share"),
    )


def version_matches(version: str, specifier: str) -> bool:
    """Whether `version` meets comparisons such as `>=4.2,<5`. Raises ProbeError."""
    own = _version_key(version)
    for clause in specifier.split(","):
        match = _CLAUSE.match(clause)
        if match is None:
            raise ProbeError(
                f"version {specifier!r} is no comparison: write for example '>=4.2,<5'"
            )
        operator, other = match[1] or "==", _version_key(match[2])
        holds = {
            "==": own == other,
            "=": own == other,
            "!=": own != other,
            ">": own > other,
            "<": own < other,
            ">=": own >= other,
            "<=": own <= other,
        }[operator]
        if not holds:
            return False
    return True


def _version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers compare as numbers; a text part (`rc1`) sorts before the release.

    Versions of apps are free text (a tag, a hash), so this is no PEP 440 parser: it
    only has to order what looks like numbers and to compare the rest for equality.
    """
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    while parts and parts[-1] == "0":
        parts.pop()
    key = [
        (1, int(part), "") if part.isdigit() else (-1, 0, part)
        for part in parts
        if part != "v"
    ]
    return (*key, (0, 0, ""))


def _in_share(instance_id: str, probe_id: str, share: float) -> bool:
    """The same instances for the same probe, other ones for another probe.

    A checksum is enough: the ids of instances are random, so it is evenly spread.
    """
    return zlib.crc32(f"{probe_id}\0{instance_id}".encode()) < share * 2**32
