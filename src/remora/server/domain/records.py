"""Batches and records at the edge: checked once, then kept as they came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from remora.errors import WireError
from remora.server.domain.attack_records import ATTACK, parse_attack
from remora.server.domain.attacks import Attack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BATCH_RECORDS = 500
"""Records in a batch, as docs/protocol.md says."""

_BATCH_ID = re.compile(r"[0-9a-f]{32}\Z")
_KIND = re.compile(r"[a-z][a-z-]{0,39}\Z")
_REASON = re.compile(r"[a-z][a-z-]{0,39}\Z")
_TEXT_LIMIT = 2000
_KEY_LIMIT = 200


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """A record as it is stored: `body` is its JSON, the rest are its columns."""

    kind: str
    time: int
    probe: str
    site: str
    user: str | None
    request: str | None
    body: bytes
    attack: Attack | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records sent together, and what had to be dropped since the last ones."""

    id: str
    instance: str
    records: tuple[IncomingRecord, ...]
    drops: Mapping[str, int]
    app: str = ""
    env: str = ""

    @property
    def attacks(self) -> list[tuple[int, IncomingRecord, Attack]]:
        """The attacks among the records, each with its position."""
        return [
            (position, record, record.attack)
            for position, record in enumerate(self.records)
            if record.attack is not None
        ]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record of the store; ids grow with the time of arrival."""

    id: int
    instance: str
    probe: str
    body: bytes

    def to_json(self) -> dict[str, object]:
        """The record with its id and its instance."""
        return {
            **msgspec.json.decode(self.body),
            "id": self.id,
            "instance": self.instance,
        }


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records are asked for; an empty text holds for all.

    With `after` they come oldest first, otherwise newest first and below `before`.
    """

    probe: str = ""
    instance: str = ""
    kind: str = ""
    after: int | None = None
    before: int | None = None
    limit: int = 100


def parse_batch(
    batch: str,
    instance: str,
    records: Sequence[Mapping[str, object]],
    drops: Mapping[str, int],
    *,
    app: str = "",
    env: str = "",
) -> Batch:
    """Check a decoded batch as a whole. Raises WireError, naming the record.

    `app` and `env` are those of the registered instance, whatever a record says.
    """
    if not _BATCH_ID.match(batch):
        raise WireError(f"batch {batch[:60]!r} is not 32 hexadecimal digits")
    if len(records) > BATCH_RECORDS:
        raise WireError(f"{len(records)} records in a batch: at most {BATCH_RECORDS}")
    for reason, count in drops.items():
        if not _REASON.match(reason) or not 0 <= count < 2**53 or len(drops) > 50:
            raise WireError(f"drops[{reason[:60]!r}] = {count} is no count of drops")
    parsed: list[IncomingRecord] = []
    for position, record in enumerate(records):
        try:
            parsed.append(_parse_record(record))
        except WireError as error:
            raise WireError(f"records[{position}]: {error}") from None
    return Batch(batch, instance, tuple(parsed), dict(drops), app, env)


def _parse_record(record: Mapping[str, object]) -> IncomingRecord:
    kind, time = record.get("kind"), record.get("time")
    if not isinstance(kind, str) or not _KIND.match(kind):
        raise WireError(f"kind = {kind!r} is no kind of record")
    if not isinstance(time, int) or isinstance(time, bool) or not 0 <= time < 2**63:
        raise WireError(f"time = {time!r} is no time in nanoseconds")
    attack, kept = parse_attack(record) if kind == ATTACK else (None, record)
    return IncomingRecord(
        kind=kind,
        time=time,
        probe=_text(record, "probe", _KEY_LIMIT) or "",
        site=_text(record, "site", _TEXT_LIMIT) or "",
        user=_id_of(record, "user"),
        request=_id_of(record, "request"),
        body=msgspec.json.encode(kept),
        attack=attack,
    )


def _text(record: Mapping[str, object], key: str, limit: int) -> str | None:
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise WireError(f"{key} = {str(value)[:60]!r} is no text of up to {limit}")
    return value


def _id_of(record: Mapping[str, object], key: str) -> str | None:
    """The id inside `user` or `request`, as text, so that records can be grouped."""
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise WireError(f"{key} = {str(value)[:60]!r} is no object")
    identifier: object = value.get("id")
    if isinstance(identifier, str | int) and not isinstance(identifier, bool):
        return str(identifier)[:_KEY_LIMIT]
    return None
