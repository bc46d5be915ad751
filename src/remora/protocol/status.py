"""Statuses: what became of a probe in one instance, and why."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where a probe stands in one instance; STATES says what each means."""

    WAITING = "waiting"
    INSTALLED = "installed"
    PARTLY = "partly"
    FAILED = "failed"
    LIMITED = "limited"
    TRIPPED = "tripped"
    EXPIRED = "expired"
    REMOVED = "removed"

    @property
    def meaning(self) -> Meaning:
        """What it means, and what may come after it."""
        return STATES[self]


@frozen
class Meaning:
    """A state as a person reads it, and the words of the states that may follow it.

    `in_force` says that firings are possible, `needs_attention` that the probe does
    not do all that was asked for.
    """

    sentence: str
    leads_to: tuple[str, ...]
    in_force: bool = False
    needs_attention: bool = False


_PLACED = ("waiting", "installed", "partly", "failed", "limited")
_ENDS = ("tripped", "expired", "removed")

STATES: dict[State, Meaning] = {
    State.WAITING: Meaning(
        "nothing that the target means is there so far: each import is looked at",
        (*_PLACED, *_ENDS),
        needs_attention=True,
    ),
    State.INSTALLED: Meaning(
        "at every place that the target means", (*_PLACED, *_ENDS), in_force=True
    ),
    State.PARTLY: Meaning(
        "at some places; what was not reached is listed with the reason",
        (*_PLACED, *_ENDS),
        in_force=True,
        needs_attention=True,
    ),
    State.FAILED: Meaning(
        "nowhere, with the reason", (*_PLACED, *_ENDS), needs_attention=True
    ),
    State.LIMITED: Meaning(
        "in place, and held back just now by its rate or its share of time",
        (*_PLACED, *_ENDS),
        in_force=True,
    ),
    State.TRIPPED: Meaning(
        "switched off for good: it failed three times in a row, or stayed over its "
        "share of time",
        ("failed", "removed"),
        needs_attention=True,
    ),
    State.EXPIRED: Meaning(
        "switched off for good: its time is over or its hits are used",
        ("failed", "removed"),
    ),
    State.REMOVED: Meaning("taken away; nothing more is said of it", ()),
}
"""Every state, what it means and what may follow it: the one table of them.

`failed` may follow everything: a kill file switches off what there is."""

SUPPRESSIONS: dict[str, str] = {
    "rate": "its rate",
    "time": "its share of time",
    "ended": "its end",
    "keep": "keep did not hold at the end of the request",
}
"""Why a firing did not act, as the keys of `suppressed_by`."""


@frozen
class SiteStatus:
    """One place where a probe is installed, or was refused."""

    site: str
    kind: str
    mechanism: str
    why: str
    file: str = ""
    line: int = 0

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Status."""
        return {
            "site": self.site,
            "kind": self.kind,
            "mechanism": self.mechanism,
            "why": self.why,
            "file": self.file,
            "line": self.line,
        }


@frozen
class Status:
    """The state of one probe in one instance, with a sentence that says why.

    `firings` counts how often the condition held, `suppressed` how many of these a
    limit kept from acting, by reason in `suppressed_by`; `errors` failures of our own,
    `dropped` records that the queue refused, `site_count` all places while `sites`
    lists the first ones. `unmet` counts the calls at which the condition did not hold,
    up to UNMET_LIMIT, and `unread` has what it named and could not read there, with
    the reasons. `cpu_ns` is the CPU time that its records took in the app's threads.
    """

    probe: str
    state: State
    reason: str
    sites: tuple[SiteStatus, ...] = ()
    site_count: int = 0
    firings: int = 0
    suppressed: int = 0
    errors: int = 0
    dropped: int = 0
    last_error: str = ""
    last_firing: int = 0
    suppressed_by: tuple[tuple[str, int], ...] = ()
    unmet: int = 0
    unread: tuple[tuple[str, str], ...] = ()
    cpu_ns: int = 0

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Status."""
        return {
            "probe": self.probe,
            "state": self.state.value,
            "reason": self.reason,
            "sites": [site.to_json() for site in self.sites],
            "site_count": self.site_count,
            "firings": self.firings,
            "suppressed": self.suppressed,
            "errors": self.errors,
            "dropped": self.dropped,
            "last_error": self.last_error,
            "last_firing": self.last_firing,
            "suppressed_by": dict(self.suppressed_by),
            "unmet": self.unmet,
            "unread": dict(self.unread),
            "cpu_ns": self.cpu_ns,
        }


SITES_SHOWN = 20
"""Sites that a status lists: enough to recognise a glob, too few to flood the wire."""

UNMET_LIMIT = 10_000
"""Calls that are counted while the condition does not hold: after so many it is plain
that the condition is the reason, and counting on would cost every call."""

UNREAD_LIMIT = 10
"""Reads that a status lists: a condition rarely has more."""

_REASON_LIMIT = 2000
_PATH_LIMIT = 200


def parse_status(value: object) -> Status:
    """Read a status from the wire. Raises WireError."""
    table = _table(value, "status")
    try:
        state = State(table.get("state"))
    except ValueError:
        raise WireError(f"status.state = {table.get('state')!r} is not known") from None
    sites = table.get("sites", [])
    if not isinstance(sites, list) or len(sites) > SITES_SHOWN:
        raise WireError(f"status.sites is no list of up to {SITES_SHOWN}")
    return Status(
        probe=_text(table, "probe"),
        state=state,
        reason=_text(table, "reason"),
        sites=tuple(_parse_site(site) for site in sites),
        last_error=_text(table, "last_error"),
        site_count=_number(table, "site_count"),
        firings=_number(table, "firings"),
        suppressed=_number(table, "suppressed"),
        errors=_number(table, "errors"),
        dropped=_number(table, "dropped"),
        last_firing=_number(table, "last_firing"),
        suppressed_by=tuple(
            (key, _number(_table_at(table, "suppressed_by"), key))
            for key in SUPPRESSIONS
            if key in _table_at(table, "suppressed_by")
        ),
        unmet=_number(table, "unmet"),
        unread=_parse_unread(_table_at(table, "unread")),
        cpu_ns=_number(table, "cpu_ns"),
    )


def _parse_site(value: object) -> SiteStatus:
    table = _table(value, "status.sites[]")
    return SiteStatus(
        site=_text(table, "site"),
        kind=_text(table, "kind"),
        mechanism=_text(table, "mechanism"),
        why=_text(table, "why"),
        file=_text(table, "file"),
        line=_number(table, "line"),
    )


def _parse_unread(table: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    if len(table) > UNREAD_LIMIT:
        raise WireError(f"status.unread has more than {UNREAD_LIMIT} entries")
    return tuple((str(path)[:_PATH_LIMIT], _text(table, path)) for path in table)


def _table_at(table: Mapping[str, object], key: str) -> Mapping[str, object]:
    return _table(table.get(key, {}), f"status.{key}")


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WireError(f"{where} {value!r} is no object")
    return value


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise WireError(f"status.{key} = {value!r} is no text")
    return value[:_REASON_LIMIT]


def _number(table: Mapping[str, object], key: str) -> int:
    value = table.get(key, 0)
    if not isinstance(value, int) or value is True or not 0 <= value < 2**63:
        raise WireError(f"status.{key} = {value!r} is no count")
    return value
