"""All probes of this process: installed, replaced, removed, watched, explained.

One lock orders changes; calls of the app never take it. What ends by itself (expiry,
hits, a tripped breaker) is taken away by `tick`, on the worker's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.probes.active import ActiveProbe
from remora.agent.probes.permission import ACT, refuse
from remora.agent.probes.placement import Placement
from remora.agent.request import protection
from remora.agent.runtime import guard, originals
from remora.agent.targets import may_concern
from remora.protocol import Status

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from remora.agent.capture import SecretNames
    from remora.agent.hooks import HookTable
    from remora.agent.modules import LoadedModule, ModuleStore
    from remora.agent.probes.trust import Terms
    from remora.agent.request.rules import RuleBook
    from remora.agent.request.turning import Mode
    from remora.protocol import Instance, Probe


class Probes:
    """The probes of this process. All methods may be called from any thread."""

    def __init__(
        self,
        store: ModuleStore,
        hooks: HookTable,
        put: Callable[..., bool],
        is_secret: SecretNames,
        identity: Callable[[], Instance],
        changed: Callable[[], object],
    ) -> None:
        self.store = store
        self.hooks = hooks
        self.put = put
        self.is_secret = is_secret
        self._identity = identity
        self._changed = changed
        self.is_behind = False
        """Whether `tick` has a version to look up."""
        self.off = ""
        """Why nothing may be placed in this process; empty where it may."""
        self._lock = originals.allocate_rlock()
        self._lack = ""
        self._active: dict[str, ActiveProbe] = {}
        self._refused: dict[str, Status] = {}
        self._local: list[Placement] = []

    def installed(self) -> dict[str, Probe]:
        """The probes by their ids."""
        return {name: active.probe for name, active in self._active.items()}

    def in_force(self) -> dict[str, Probe]:
        """Those that were not refused and have not ended, by their ids."""
        return {
            name: active.probe
            for name, active in self._active.items()
            if active.ended is None and not active.refusal
        }

    def keep(self, reasons: Mapping[str, str]) -> None:
        """Let the statuses of these say why they stay, and those of no others."""
        with self._lock:
            for name, active in self._active.items():
                active.kept = reasons.get(name, "")

    def add(
        self,
        probes: Iterable[Probe],
        allowed: str = ACT,
        distrusted: Mapping[str, str] | None = None,
        terms: Mapping[str, Terms] | None = None,
    ) -> None:
        """Install probes; a probe of the same id is replaced.

        `allowed` is the most that whoever asks for them may have them do, `distrusted`
        has by id what is against single ones, `terms` what bounds single ones.
        """
        wanted = tuple(probes)
        self._read_versions(wanted)
        self._load_actions(wanted)
        turns = False
        with self._lock:
            for probe in wanted:
                earlier = self._active.pop(probe.id, None)
                # No call may slip through between one that protects and the next.
                stays = earlier is not None and earlier.probe.protect is not None
                turns |= stays or probe.protect is not None
                if earlier is not None and not stays:
                    self._end(earlier)
                terms_of_it = (terms or {}).get(probe.id)
                active = ActiveProbe(
                    probe, self, terms_of_it, can_observe=not self._lack
                )
                self._active[probe.id] = active
                active.refusal = (
                    self.off
                    or refuse(probe, allowed, self._identity)
                    or (distrusted or {}).get(probe.id, "")
                    or ("" if active.is_whole else self._lack)
                )
                if not active.refusal:
                    active.placement.place()
                if earlier is not None and stays:
                    self._end(earlier)
            if turns:
                self._turn_protection()

    def remove(self, identifiers: Iterable[str]) -> None:
        """Take probes away; what they had counted is reported."""
        with self._lock:
            for identifier in identifiers:
                active = self._active.pop(identifier, None)
                if active is not None:
                    self._end(active)
            self._turn_protection()

    @staticmethod
    def _end(active: ActiveProbe) -> None:
        active.firings.limiter.close("removed")
        active.placement.remove()
        active.ship(originals.time_ns())

    def _load_actions(self, probes: Sequence[Probe]) -> None:
        """Import what they do before the lock is taken, as with versions below.

        That fails where the package was taken away, or cannot be read by this user.
        """
        if any(probe.request is None and probe.protect is None for probe in probes):
            try:
                __import__("remora.agent.probes.gate")
                __import__("remora.agent.actions.aggregate_record")
            except ImportError as error:
                self._lack = f"its code cannot be imported ({error}): restart the app"
            else:
                self._lack = ""
        if any(probe.protect is not None for probe in probes):
            __import__("remora.agent.probes.guarding")
            if not protection.watches:
                _turn("watch")

    def obey(self, rules: RuleBook | None) -> None:
        """Let attacks from now on be treated as these rules say."""
        with self._lock:
            protection.rules = rules
            self._turn_protection()

    def _turn_protection(self) -> None:
        """Let requests be watched, and refused, as far as the probes need it."""
        rules = protection.rules
        modes = {
            protect.mode
            if rules is None
            else rules.strongest(protect.family, protect.mode)
            for active in self._active.values()
            if (protect := active.probe.protect) is not None
            and active.ended is None
            and not active.refusal
        }
        if protection.watches or modes:
            weaker = "watch" if "watch" in modes else "off"
            _turn("block" if "block" in modes else weaker)

    def try_switch_off(self, reason: str) -> bool:
        """Take everything away for good; False where a change is under way just now.

        For any thread at any moment: it waits for no lock.
        """
        lock = self._lock
        # One that this thread has is no better: a change of its own was interrupted.
        if lock._is_owned() or not lock.acquire(blocking=False):  # noqa: SLF001 # pyright: ignore[reportAttributeAccessIssue] - not in its stub
            return False
        try:
            self.off = reason
            for active in self._active.values():
                active.switch_off(reason)
            for placement in self._local:
                placement.remove()
            self._local.clear()
            protection.end()
        finally:
            lock.release()
        return True

    def remember_refused(self, statuses: Iterable[Status]) -> None:
        """Probes that were asked for and could not even be read."""
        with self._lock:
            self._refused = {status.probe: status for status in statuses}

    def attach_local(self, placement: Placement) -> None:
        """Keep a local hook's placement up to date with modules to come."""
        with self._lock:
            if self.off:
                return
            placement.place()
            self._local.append(placement)

    def detach_local(self, placement: Placement) -> None:
        """Take a local hook's steps away."""
        with self._lock:
            if placement in self._local:
                self._local.remove(placement)
            placement.remove()

    def module_loaded(self, module: LoadedModule) -> None:
        """Place what waited for this module; runs in the importing thread.

        A probe that requires a version is left to `tick`: finding the version reads
        files, and an import of the app must not wait for that.
        """
        with self._lock:
            # what we call on the way may carry a probe
            is_news = guard.run(lambda: self._place_in(module))
        if is_news:
            self._changed()

    def _place_in(self, module: LoadedModule) -> bool:
        is_news = False
        for active in self._active.values():
            if active.ended is not None or active.refusal:
                continue
            if active.probe.requires is not None:
                self.is_behind = is_news = True
            else:
                is_news |= active.placement.place(module)
        for placement in self._local:
            placement.place(module)
        return is_news

    def tick(self) -> None:
        """Work of the worker's thread: aggregates, ends, code that waits to return."""
        now = originals.time_ns()
        is_behind, self.is_behind = self.is_behind, False
        if is_behind:
            self._read_versions(self.installed().values())
        is_news = False
        with self._lock:
            for active in self._active.values():
                was_over = active.ended is not None or bool(active.refusal)
                if is_behind and active.probe.requires is not None and not was_over:
                    is_news |= active.placement.place()
                active.tick(now)
                is_news |= active.ended is not None and not was_over
            if is_news:
                self._turn_protection()
            self.hooks.settle()
            for placement in self._placements():
                placement.forget_gone()
        if is_news:
            self._changed()

    def _placements(self) -> list[Placement]:
        return [*(active.placement for active in self._active.values()), *self._local]

    def _read_versions(self, probes: Iterable[Probe]) -> None:
        """Read versions that are required, before the lock is taken.

        Reading imports modules of the standard library. Under the lock that could wait
        for a thread that is importing and itself waits for the lock.
        """
        for probe in probes:
            if probe.requires is None:
                continue
            for module in self.store.loaded():
                if any(may_concern(t, module) for t in probe.target.include):
                    _ = module.distribution

    def ship(self) -> None:
        """Report at once what was counted so far."""
        now = originals.time_ns()
        with self._lock:
            for active in self._active.values():
                active.ship(now)

    def statuses(self) -> list[Status]:
        """One status a probe, refused ones included."""
        with self._lock:
            return [
                *(active.status() for active in self._active.values()),
                *self._refused.values(),
            ]

    def clear(self) -> None:
        """Take everything away."""
        with self._lock:
            self.remove(tuple(self._active))
            for placement in tuple(self._local):
                self.detach_local(placement)
            # What stood under a tool that has left meanwhile: no tick comes any more.
            self.hooks.settle()
            self._refused.clear()

    @property
    def reports(self) -> bool:
        """Whether anything here may ever report."""
        return any(
            active.probe.request is None and active.ended is None
            for active in self._active.values()
        )

    def abandon(self) -> None:
        """Let go of what the app holds: the interpreter ends."""
        self.hooks.abandon()

    @property
    def locks(self) -> tuple[RLock, ...]:
        """What to hold for a moment in which nothing changes, in this order."""
        return (self._lock, *self.hooks.locks)

    def after_fork_in_child(self) -> None:
        """A lock held by a thread of the parent would never be released here."""
        self._lock = originals.allocate_rlock()
        self.hooks.after_fork_in_child()


def _turn(mode: Mode) -> None:
    # Late, because only few processes have protection.
    from remora.agent.request import turn_protection

    turn_protection(mode)
