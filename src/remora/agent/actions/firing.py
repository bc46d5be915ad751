"""What one probe has done in this process, and where its records go.

Where the probe has a `keep`, a record waits for the end of its request, which decides
whether it goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.hooks import describe
from remora.agent.request import Entry, Held, current_request
from remora.agent.runtime import signals
from remora.protocol import UNMET_LIMIT, UNREAD_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.actions.limiter import Limiter

CALL_PARAMETER = "remora call"
"""Names the Call among the values that a firing is given; no expression can."""

FAULTS_ALLOWED = 3
"""Failures of our own in a row after which an observing probe is switched off."""

_REASONS_LIMIT = 20
"""Reasons for checks that were not made, of one probe; detectors have fewer."""


class Unmet:
    """Calls at which a probe's condition did not hold, and what it could not read.

    The gate counts and, whenever `count` reaches `look_at`, shows the values of that
    call: at the first, the tenth, the hundredth, … At UNMET_LIMIT it stops counting,
    for a probe in a hot function must not pay for that in every call.
    """

    __slots__ = ("count", "look_at", "unread")

    def __init__(self) -> None:
        self.count = 0
        self.look_at = 1
        self.unread: dict[str, str] = {}

    def looked(self, unread: Mapping[str, str]) -> None:
        """Keep what was found missing at a look, and say when the next one is due."""
        # a new dictionary, because another thread may be reading the old one
        merged = {**self.unread, **unread}
        self.unread = dict(list(merged.items())[:UNREAD_LIMIT])
        self.look_at = 0 if self.count >= UNMET_LIMIT else self.look_at * 10


class Firings:
    """Counters of one probe, its limiter and its breaker.

    A probe that opens request contexts or overrides may not trip: conditions, records,
    hot fixes and whatever protects the app rely on it, and no input may take it away.
    """

    __slots__ = (
        "_faults_in_row",
        "_may_trip",
        "count",
        "cpu_ns",
        "dropped",
        "errors",
        "last_error",
        "last_firing",
        "limiter",
        "not_made",
        "probe",
        "put",
        "tripped",
        "unkept",
        "unmet",
    )

    def __init__(
        self,
        probe: str,
        limiter: Limiter,
        put: Callable[..., bool],
        *,
        may_trip: bool = True,
    ) -> None:
        self.probe = probe
        self._may_trip = may_trip
        self.limiter = limiter
        self.put = put
        self.count = 0
        self.cpu_ns = 0
        self.errors = 0
        self.dropped = 0
        self.last_error = ""
        self.last_firing = 0
        self.tripped = False
        self.unkept = 0
        self.not_made: dict[str, int] = {}
        self.unmet = Unmet()
        self._faults_in_row = 0

    def succeeded(self) -> None:
        """A firing went well."""
        self._faults_in_row = 0

    def fault(self, error: BaseException) -> None:
        """Contain what escaped the code of this probe; the app must not notice.

        What is no Exception is none of ours: another thread has set it, or a greenlet.
        """
        try:
            is_ours = issubclass(type(error), Exception)
            if is_ours and not signals.is_interruption(error):
                self._note(describe(error))
                return
        except (MemoryError, RecursionError):
            return  # there is no room even to say so; the next fault will say it
        raise error

    def _note(self, what: str) -> None:
        self.errors += 1
        self.last_error = what
        self._faults_in_row += 1
        if self._may_trip and self._faults_in_row >= FAULTS_ALLOWED:
            self.trip(f"{self._faults_in_row} failures in a row (last: {what})")

    def trip(self, reason: str) -> None:
        """Switch the probe off for good, as one that does more harm than good."""
        self.tripped = True
        self.limiter.close(reason)

    def miss(self, reason: str) -> None:
        """A check was not made, for this reason."""
        if reason not in self.not_made and len(self.not_made) >= _REASONS_LIMIT:
            reason = "other reasons"
        self.not_made[reason] = self.not_made.get(reason, 0) + 1

    def refuse(self, reason: str) -> None:
        """A firing could not do what it was for; the next one is tried again."""
        self.errors += 1
        self.last_error = reason

    @property
    def suppressed_by(self) -> dict[str, int]:
        """By reason: firings kept from acting, or whose record was not kept."""
        reasons = {**self.limiter.suppressed_by, "keep": self.unkept}
        return {reason: number for reason, number in reasons.items() if number}

    def spend(self, cpu_ns: int) -> None:
        """Account for the time that a firing took."""
        self.cpu_ns += cpu_ns
        self.limiter.spend(cpu_ns)

    def deliver(self, record: tuple[object, ...], size: int) -> None:
        """Report a record."""
        if not self.put(record, size):
            self.drop()

    def deliver_important(self, record: tuple[object, ...], size: int) -> None:
        """Report a record that a flood of others may not crowd out."""
        if not self.put(record, size, True):
            self.drop()

    def drop(self) -> None:
        """A record found no room."""
        self.dropped += 1

    def discard(self) -> None:
        """A record was not kept at the end of its request."""
        self.unkept += 1


class Kept:
    """The way of a probe's records where `keep` decides.

    `keep` is asked at the end of a request, with its error and its duration.
    """

    __slots__ = ("_firings", "_keep")

    def __init__(self, firings: Firings, keep: Callable[..., bool]) -> None:
        self._firings = firings
        self._keep = keep

    def put(self, record: tuple[object, ...], size: int) -> None:
        """Hold the record; outside a request there is no end to wait for."""
        firings, request = self._firings, current_request()
        if request is None:
            firings.deliver(record, size)
            return
        if request.held is None:
            request.held = Held()
        request.held.add(
            Entry(
                self._keep,
                size,
                lambda: firings.deliver(record, size),
                firings.discard,
                firings.drop,
            )
        )
