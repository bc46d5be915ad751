"""Statuses: what became of a probe in one instance, and why."""

from __future__ import annotations

from enum import Enum

from remora.errors import WireError
from remora.protocol.reading import Message
from remora.values import frozen


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
    the reasons. `not_made` counts checks that a detector has not made, by reason.
    `cpu_ns` is the CPU time that its records took in the app's threads.
    `kept` says why it stays against what the server wants.
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
    kept: str = ""
    not_made: tuple[tuple[str, int], ...] = ()

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
            "kept": self.kept,
            "not_made": dict(self.not_made),
        }


SITES_SHOWN = 20
"""Sites that a status lists: enough to recognise a glob, too few to flood the wire."""

UNMET_LIMIT = 10_000
"""Calls that are counted while the condition does not hold: after so many it is plain
that the condition is the reason, and counting on would cost every call."""

UNREAD_LIMIT = 10
"""Reads that a status lists: a condition rarely has more."""

NOT_MADE_LIMIT = 30
"""Reasons for checks that were not made: detectors have some ten each."""

_REASON_LIMIT = 2000
_PATH_LIMIT = 200


def parse_status(value: object) -> Status:
    """Read a status from the wire. Raises WireError."""
    message = Message(value, "status")
    suppressed_by = message.at("suppressed_by")
    return Status(
        probe=message.text("probe", _REASON_LIMIT),
        state=_parse_state(message),
        reason=message.text("reason", _REASON_LIMIT),
        sites=message.list("sites", SITES_SHOWN, _parse_site),
        last_error=message.text("last_error", _REASON_LIMIT),
        site_count=message.count("site_count"),
        firings=message.count("firings"),
        suppressed=message.count("suppressed"),
        errors=message.count("errors"),
        dropped=message.count("dropped"),
        last_firing=message.count("last_firing"),
        suppressed_by=tuple(
            (key, suppressed_by.count(key))
            for key in SUPPRESSIONS
            if key in suppressed_by
        ),
        unmet=message.count("unmet"),
        unread=_parse_unread(message.at("unread")),
        cpu_ns=message.count("cpu_ns"),
        kept=message.text("kept", _REASON_LIMIT),
        not_made=read_not_made(message.at("not_made")),
    )


def read_not_made(message: Message) -> tuple[tuple[str, int], ...]:
    """Counts of checks that were not made, by reason. Raises WireError."""
    reasons = tuple(message.keys())
    if len(reasons) > NOT_MADE_LIMIT:
        raise WireError(f"not_made has more than {NOT_MADE_LIMIT} reasons")
    return tuple((reason[:_PATH_LIMIT], message.count(reason)) for reason in reasons)


def _parse_state(message: Message) -> State:
    state = message.text("state", _PATH_LIMIT)
    try:
        return State(state)
    except ValueError:
        raise WireError(f"status.state = {state!r} is not known") from None


def _parse_site(value: object) -> SiteStatus:
    message = Message(value, "status.sites[]")
    return SiteStatus(
        site=message.text("site", _REASON_LIMIT),
        kind=message.text("kind", _REASON_LIMIT),
        mechanism=message.text("mechanism", _REASON_LIMIT),
        why=message.text("why", _REASON_LIMIT),
        file=message.text("file", _REASON_LIMIT),
        line=message.count("line"),
    )


def _parse_unread(message: Message) -> tuple[tuple[str, str], ...]:
    paths = tuple(message.keys())
    if len(paths) > UNREAD_LIMIT:
        raise WireError(f"status.unread has more than {UNREAD_LIMIT} entries")
    return tuple(
        (path[:_PATH_LIMIT], message.text(path, _REASON_LIMIT)) for path in paths
    )
