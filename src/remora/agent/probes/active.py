"""One probe at work in this process: its firings, its places, its end, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.actions import Firings, Overrun, limiter_of
from remora.agent.probes.compile import Compiler
from remora.agent.probes.placement import Placement
from remora.agent.runtime import originals
from remora.errors import ProbeError
from remora.expression import REASONS
from remora.protocol import UNMET_LIMIT, State, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.agent.interception import Step
    from remora.agent.probes.registry import Probes
    from remora.agent.probes.trust import Terms
    from remora.agent.targets import Site
    from remora.protocol import Probe

_SECOND = 1_000_000_000


class ActiveProbe:
    """One probe in this process."""

    __slots__ = (
        "_below",
        "_interval_start",
        "_is_secret",
        "_overrun",
        "_put",
        "_terms",
        "compiler",
        "ended",
        "firings",
        "is_whole",
        "kept",
        "placement",
        "probe",
        "refusal",
    )

    def __init__(
        self,
        probe: Probe,
        registry: Probes,
        terms: Terms | None = None,
        *,
        can_observe: bool = True,
    ) -> None:
        self.probe = probe
        self._terms = terms
        self.refusal = ""
        self.kept = ""
        self.ended: tuple[State, str] | None = None
        self._put = registry.put
        self._is_secret = registry.is_secret
        self._interval_start = originals.time_ns()
        limiter = limiter_of(probe)
        if terms is not None:
            end = terms.expires_at
            limiter.expires_at = min(limiter.expires_at or end, end)
        may_trip = not (probe.request or probe.acts or probe.protect)
        self.firings = Firings(probe.id, limiter, registry.put, may_trip=may_trip)
        self._overrun = Overrun(self._interval_start) if may_trip else None
        observes = probe.request is None and probe.protect is None
        self.is_whole = can_observe or not observes
        self.compiler = Compiler(
            probe, self.firings, registry.is_secret, has_gates=observes and can_observe
        )
        below = None if terms is None else terms.below
        self._below = (
            Compiler(below, self.firings, registry.is_secret, has_gates=False)
            if below is not None
            else None
        )
        self.placement = Placement(
            probe.target,
            probe.requires,
            self._steps,
            registry.store,
            registry.hooks,
            probe.expect,
        )

    def _steps(self, site: Site) -> tuple[Step, ...]:
        terms = self._terms
        if terms is not None and not terms.cover(site):
            if self._below is not None:
                return self._below.steps(site)
            raise ProbeError(
                f"{site.target} is not among the targets of the policy, which are "
                f"{' '.join(terms.targets.texts)}, or is code of elsewhere: sign the "
                "probe"
            )
        return self.compiler.steps(site)

    def tick(self, now: int) -> None:
        """Ship what was counted; end what is over."""
        table, count = self.compiler.table, self.probe.count
        if table is not None and count is not None:
            over = self.ended is not None
            if over or now - self._interval_start >= count.every_s * _SECOND:
                self.ship(now)
        limiter = self.firings.limiter
        hits = self.probe.limit.hits
        # Gates that count or note ask no limiter, so their hits are looked at here.
        fired = self.firings.count if table is None else table.firings
        if hits and fired >= hits and not limiter.end:
            limiter.close("all its hits are used")
        if limiter.expires_at and now >= limiter.expires_at and not limiter.end:
            limiter.close("its time is over")
        if (
            self._overrun is not None
            and not limiter.end
            and (reason := self._overrun.look(now, self.firings))
        ):
            self.firings.trip(reason)
        if limiter.end and self.ended is None:
            state = State.TRIPPED if self.firings.tripped else State.EXPIRED
            self.ended = (state, f"switched off: {limiter.end}")
            self.placement.remove()

    def switch_off(self, reason: str) -> None:
        """Take it away, whatever it is."""
        self.refusal = reason
        self.firings.limiter.close(reason)
        self.placement.remove()

    def ship(self, now: int) -> None:
        """Report the rows that changed since the last time."""
        table, count = self.compiler.table, self.probe.count
        if table is None or count is None:
            return
        rows = table.take_differences()
        if rows:
            # Loaded by Probes.add, with what counts.
            from remora.agent.actions.aggregate_record import make_aggregate

            record = (
                make_aggregate,
                self.probe,
                self._interval_start,
                now,
                rows,
                table.missed,
                self._is_secret,
            )
            if self._put(record, 200 * len(rows)):
                self.firings.last_firing = now
            else:
                self.firings.dropped += 1
        self._interval_start = now

    def status(self) -> Status:
        """Its state with the sentence that says why."""
        firings, table = self.firings, self.compiler.table
        state, reason = self._state()
        by = firings.suppressed_by
        return Status(
            probe=self.probe.id,
            state=state,
            reason=reason,
            sites=self.placement.sites(),
            site_count=self.placement.site_count,
            firings=firings.count
            + firings.limiter.suppressed
            + (table.firings if table is not None and firings.count == 0 else 0),
            suppressed=sum(by.values()),
            errors=firings.errors,
            dropped=firings.dropped,
            last_error=firings.last_error,
            last_firing=firings.last_firing,
            suppressed_by=tuple(by.items()),
            unmet=firings.unmet.count,
            unread=tuple(firings.unmet.unread.items()),
            cpu_ns=firings.cpu_ns,
            kept=self.kept,
            not_made=tuple(firings.not_made.copy().items()),
        )

    def _state(self) -> tuple[State, str]:
        if self.refusal:
            return State.FAILED, self.refusal
        if self.ended is not None:
            return self.ended
        state, reason = self.placement.state()
        if self.kept:
            reason += f"; kept: {self.kept}"
        for what, count in self.firings.not_made.copy().items():
            reason += f"; {count} checks not made: {what}"
        limiter, unmet = self.firings.limiter, self.firings.unmet
        if limiter.suppressed and limiter.open_at > originals.monotonic():
            return State.LIMITED, f"{reason}; held back just now by {limiter.bound}"
        if state.meaning.in_force and unmet.count and not self._has_fired:
            reason += f"; its condition held in none of {_calls(unmet.count)}"
            if unmet.unread:
                reason += f"; not read: {_listed(unmet.unread)}"
        return state, reason

    @property
    def _has_fired(self) -> bool:
        table = self.compiler.table
        return bool(self.firings.count or (table is not None and table.firings))


def _calls(number: int) -> str:
    if number >= UNMET_LIMIT:
        return f"{UNMET_LIMIT} calls and more"
    return "1 call" if number == 1 else f"{number} calls"


def _listed(unread: Mapping[str, str]) -> str:
    """What a condition could not read, with the reasons in words."""
    return ", ".join(f"{path} ({REASONS[why]})" for path, why in unread.items())
