"""Limits as one gate that is closed until a moment: one clock read, one comparison.

Rate and share of time are both debts: each firing moves the moment at which they are
paid off, and the gate is closed while more than the allowance is owed (the generic cell
rate algorithm, ITU-T I.371). Two threads may pass together where one should: the limit
is then met by the next firing.

The gate holds a probe to its share of time, so it costs the app no more than that. But
where it is closed most of the time, what comes is a sample that nobody chose, and each
call that is turned away pays for the gate all the same. So an observing probe that goes
on wanting more than its share is switched off: see Overrun.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from remora.agent.runtime import originals
from remora.protocol import format_rate, format_share

if TYPE_CHECKING:
    from remora.agent.actions.firing import Firings
    from remora.protocol import Limit, Probe

DEFAULT_SNAPSHOT_RATE = 5.0
"""Snapshots a second: enough to see variety, cheap enough to leave on."""

DEFAULT_LOG_RATE = 100.0
"""Logs a second: more than eyes can follow."""

DEFAULT_TIME_SHARE = 0.01
"""Share of one thread's time that a probe's actions may take: invisible in latency."""

WINDOW_S = 10
"""A start, a full garbage collection or a batch of jobs is over in one window."""

WINDOWS = 6
"""Windows on end: a minute. Whoever is at the screen has read `limited` for so long and
can raise the share or capture less; a peak of traffic is mostly longer than that, and
then its share does not fit its target."""

_NEVER = 2**63
_SECOND = 1_000_000_000


class Limiter:
    """The limits of one probe in one process.

    `open_at` is the gate, in seconds of the monotonic clock; compiled gates compare it
    with that clock (a float costs a tenth less than nanoseconds do) and count in
    `suppressed` what they turn away.
    """

    __slots__ = (
        "_attributed",
        "_closed_by",
        "_hits_left",
        "_paid_at",
        "_period_ns",
        "_rate",
        "_share",
        "_suppressed_by",
        "_time_paid_at",
        "end",
        "expires_at",
        "open_at",
        "suppressed",
    )

    def __init__(self, limit: Limit, default_rate: float, expires_at: int = 0) -> None:
        self._rate = limit.rate if limit.rate is not None else default_rate
        self._period_ns = int(_SECOND / self._rate)
        self._share = limit.time if limit.time is not None else DEFAULT_TIME_SHARE
        self._hits_left = limit.hits if limit.hits is not None else _NEVER
        self._paid_at = self._time_paid_at = 0
        self.expires_at = expires_at
        self.open_at = 0.0
        self.suppressed = 0
        self.end = ""
        self._closed_by = "rate"
        self._attributed = 0
        self._suppressed_by = {"rate": 0, "time": 0, "ended": 0}

    def use(self) -> bool:
        """Account for one firing; False where the probe's life has ended."""
        if self.expires_at and originals.time_ns() >= self.expires_at:
            self.close("its time is over")
            return False
        self._hits_left -= 1
        if self._hits_left < 0:
            return False
        if self._hits_left == 0:
            self.close("all its hits are used")
        now = originals.monotonic_ns()
        self._paid_at = max(now, self._paid_at) + self._period_ns
        # A second's worth may come at once; after that, one each period.
        self._set_open_at(self._paid_at - max(0, _SECOND - self._period_ns), "rate")
        return True

    def spend(self, cpu_ns: int) -> None:
        """Account for the time that a firing took."""
        now = originals.monotonic_ns()
        self._time_paid_at = max(now, self._time_paid_at) + int(cpu_ns / self._share)
        self._set_open_at(self._time_paid_at - _SECOND, "time")

    def _set_open_at(self, moment: int, why: str) -> None:
        if not self.end and moment > self.open_at * _SECOND:
            self._close_until(moment / _SECOND, why)

    def close(self, why: str) -> None:
        """Shut the gate for good."""
        self.end = why
        self._close_until(inf, "ended")

    def _close_until(self, moment: float, why: str) -> None:
        """What was turned away so far is put down to what had closed the gate."""
        self._suppressed_by = self.suppressed_by
        self._attributed = self.suppressed
        self._closed_by = why
        self.open_at = moment

    @property
    def suppressed_by(self) -> dict[str, int]:
        """What the gate turned away, by what had closed it."""
        by = dict(self._suppressed_by)
        by[self._closed_by] += self.suppressed - self._attributed
        return by

    @property
    def bound(self) -> str:
        """The limit that closes the gate just now, as a person says it."""
        if self._closed_by == "time":
            return f"its share of time, {self.share}"
        return f"its rate, {format_rate(self._rate)}"

    @property
    def share(self) -> str:
        """The share of time, as a person writes it."""
        return format_share(self._share)


class Overrun:
    """The breaker by time: counts windows in which most calls were turned away for it.

    Looked at from time to time, in the agent's thread.
    """

    __slots__ = ("_begin", "_fired", "_in_row", "_started_at", "_turned_away")

    def __init__(self, now: int) -> None:
        self._started_at = now
        self._in_row = self._fired = self._turned_away = 0
        self._begin = (0, 0, 0)

    def look(self, now: int, firings: Firings) -> str:
        """Why the probe has to end; empty while it may stay. `now` in nanoseconds."""
        if now - self._started_at < WINDOW_S * _SECOND:
            return ""
        self._started_at = now
        fired = firings.count
        turned_away = firings.limiter.suppressed_by["time"]
        is_over = turned_away - self._turned_away > fired - self._fired
        self._fired, self._turned_away = fired, turned_away
        if not is_over:
            self._in_row = 0
            self._begin = (fired, firings.cpu_ns, turned_away)
            return ""
        self._in_row += 1
        return self._sentence(firings) if self._in_row >= WINDOWS else ""

    def _sentence(self, firings: Firings) -> str:
        fired, cpu_ns, turned_away = self._begin
        fired = self._fired - fired
        each_us = (firings.cpu_ns - cpu_ns) // (1000 * max(1, fired))
        return (
            f"over its share of time, {firings.limiter.share}, in {WINDOWS} windows of "
            f"{WINDOW_S} s on end: {fired} calls took {each_us} µs of CPU each, and "
            f"{self._turned_away - turned_away} more were turned away"
        )


def limiter_of(probe: Probe) -> Limiter:
    """The limits of a probe whose life begins now."""
    return Limiter(probe.limit, _default_rate(probe), _expiry(probe))


def _default_rate(probe: Probe) -> float:
    if probe.override is not None or probe.protect is not None:
        # it has to hold for every call; its records have a pace of their own
        return inf
    if probe.has_snapshot:
        return DEFAULT_SNAPSHOT_RATE
    return DEFAULT_LOG_RATE


def _expiry(probe: Probe) -> int:
    """When the probe's life ends here: as the server said, or counted from now.

    No server can make it longer than whoever signed it wanted. Protection has no end:
    a signature says until when it may be installed.
    """
    if probe.protect is not None:
        return 0
    end = probe.expires_at
    if not end and probe.limit.expires_s is not None:
        end = originals.time_ns() + int(probe.limit.expires_s * _SECOND)
    if probe.signature is None:
        return end
    return min(end or probe.signature.expires_at, probe.signature.expires_at)
