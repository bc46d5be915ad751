"""Protection of this process: its packs of sinks, the rules, and what is told of both.

Imported where protection is on, or where a server has a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.agent.control.changes import plan
from remora.agent.request import protection
from remora.agent.request.rules import RuleBook
from remora.agent.runtime import originals
from remora.errors import RuleError
from remora.protocol import State, parse_probe
from remora.protocol.protect import MODES, read_modes
from remora.protocol.protection import (
    OTHERS,
    Flaw,
    PackState,
    ProtectionState,
    RuleState,
)
from remora.protocol.rules import ID_CHARACTERS, RULES_LIMIT, lowers, parse_rule
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from remora.agent.config import Settings
    from remora.agent.probes import Probes
    from remora.protocol import Probe, Status
    from remora.protocol.protect import Protect
    from remora.protocol.rules import Rule

_OBSERVE = "observe"
"""The level of REMORA_ALLOW at which a server may not even block an attack."""

_RAISED = "watch"
"""The mode of a pack that a rule alone has installed; the rule says what it is."""


class Protection:
    """The packs and rules of one process. All but `wanted` is the agent's thread's.

    `against_raising` says why a server may not raise modes, where that needs trust.
    """

    def __init__(
        self, probes: Probes, settings: Settings, carried: Mapping[str, bytes]
    ) -> None:
        """Raises ConfigError or RuleError."""
        self._probes = probes
        self._settings = settings
        self._carried = carried
        self._modes = read_modes(settings.text("protect"))
        protection.keeps_stored = settings.flag("stored_input")
        self._own: list[Rule] = []
        if paths := settings.texts("rules"):
            # Late, because few apps have any.
            from remora.agent.control.rule_files import read_rule_files

            self._own = read_rule_files(paths, carried, settings.text("env"))
        self.against_raising: Callable[[], str] = _refuse_unsigned
        self._asked: tuple[Rule, ...] = ()
        self._unread: tuple[RuleState, ...] = ()
        self._refusals: dict[str, str] = {}
        self._next_end = 0
        self._book = RuleBook(())
        self._on: dict[str, str] = {}

    def wanted(self) -> list[Probe]:
        """The probes of all packs whose detector is on, by rules too."""
        self._make_book()
        return self._read_packs()

    def _read_packs(self) -> list[Probe]:
        self._on = self._modes_on()
        allowed = self._settings.texts("allowed_hosts")
        probes = read_packs(self._on, allowed, self._carried)
        if probes and protection.keeps_stored:
            probes += read_stored(self._carried)
        return probes

    def obey_own(self) -> None:
        """Let the app's own rules hold, once its probes are there."""
        self._probes.obey(self._book if self._own else None)

    def obey(self, asked: object) -> None:
        """These are all the rules of the server, as it sent them."""
        entries = asked if isinstance(asked, list) else []
        read: list[Rule] = []
        unread: list[RuleState] = []
        for entry in entries[:RULES_LIMIT]:
            try:
                read.append(parse_rule(entry))
            except RuleError as error:
                name = entry.get("id") if isinstance(entry, dict) else None
                if isinstance(name, str):
                    unread.append(RuleState(name[:ID_CHARACTERS], 0, str(error)[:500]))
        self._asked, self._unread = tuple(read), tuple(unread)
        self.obey_again()

    def obey_again(self) -> None:
        """Judge the rules anew: some have ended, or the probes are others."""
        decided = self._book.decided
        self._make_book()
        self._book.decided.update(decided)
        has_rules = bool(self._own or self._asked)
        self._probes.obey(self._book if has_rules else None)
        if self._modes_on() != self._on:
            every = self._probes.installed().items()
            installed = {k: probe for k, probe in every if k.startswith(_PACKED)}
            changes = plan(installed, self._read_packs())
            self._probes.remove(changes.remove)
            self._probes.add((*changes.replace, *changes.add))

    def begin_anew(self) -> None:
        """In a forked child: what its parent's rules decided says nothing about it."""
        self._book.decided.clear()

    def tick(self) -> None:
        """Let rules go whose time has come."""
        if self._next_end and originals.time_ns() >= self._next_end:
            self.obey_again()

    def _make_book(self) -> None:
        now = originals.time_ns()
        own = [rule for rule in self._own if not rule.is_over(now)]
        asked = [rule for rule in self._asked if not rule.is_over(now)]
        ends = [rule.expires_at for rule in (*own, *asked) if rule.expires_at]
        self._next_end = min(ends, default=0)
        before = self._strongest(RuleBook(own))
        self._refusals = {
            rule.id: reason for rule in asked if (reason := self._refuse(rule, before))
        }
        self._book = RuleBook(
            own, [rule for rule in asked if rule.id not in self._refusals]
        )

    def _refuse(self, rule: Rule, before: Mapping[str, str]) -> str:
        """Why a server may not have this rule here; empty where it may.

        A rule is taken as a whole or not at all, by the most that it could do.
        """
        for detector, mode in before.items():
            is_lower = rule.concerns(detector) and lowers(rule.mode, mode)
            if is_lower and (who := self._who_forbids()):
                return f"it lowers {detector} from {mode} to {rule.mode}, and {who}"
        if rule.mode == "block" and (who := self._who_forbids(self.against_raising)):
            return f"it blocks, and {who}"
        return ""

    def _who_forbids(self, ask_policy: Callable[[], str] | None = None) -> str:
        """What keeps a server from changing modes here, but for watching more.

        No policy grants what lowers.
        """
        if self._settings.text("allow") == _OBSERVE:
            return "REMORA_ALLOW is 'observe' here"
        if not self._settings.texts("public_key"):
            return ""
        return _refuse_unsigned() if ask_policy is None else ask_policy()

    def _strongest(self, own: RuleBook) -> dict[str, str]:
        """By detector, the most that happens to attacks without the server's rules."""
        strongest = {k: own.strongest(k, mode) for k, mode in self._modes.items()}
        for name, probe in self._probes.installed().items():
            protect = probe.protect
            if protect is not None and not name.startswith(_PACKED):
                mode = own.strongest(protect.family, protect.mode)
                if lowers(strongest[protect.family], mode):
                    strongest[protect.family] = mode
        return strongest

    def _modes_on(self) -> dict[str, str]:
        """The packs that are on by setting or rule, with the mode of their probes."""
        on: dict[str, str] = {}
        for pack, mode in self._modes.items():
            if self._book.general.get(pack, mode) != "off":
                on[pack] = _RAISED if mode == "off" else mode
            elif self._book.turns_on(pack):
                # its probes sleep in mode off but where such a rule means the call
                on[pack] = "off"
        return on

    def state(self, statuses: Iterable[Status]) -> ProtectionState:
        """What the server is told."""
        installed = self._probes.installed()
        groups: dict[tuple[str, str], list[tuple[Probe, Status]]] = {}
        for status in statuses:
            probe = installed.get(status.probe)
            if probe is not None and probe.protect is not None:
                key = (_pack_of(probe.id), probe.protect.family)
                groups.setdefault(key, []).append((probe, status))
        return ProtectionState(
            self._settings.text("protect"),
            protection.complaint,
            protection.requests,
            protection.refused,
            tuple(self._pack_state(*key, entries) for key, entries in groups.items()),
            self.rule_states(),
        )

    def rule_states(self) -> tuple[RuleState, ...]:
        """What became of each rule: of the app's own, and of the server's."""
        rules = (*self._own, *self._asked)
        return (*self._unread, *map(self._rule_state, rules))[:RULES_LIMIT]

    def _rule_state(self, rule: Rule) -> RuleState:
        decided = self._book.decided.get(rule.id, 0)
        return RuleState(rule.id, decided, self._refusals.get(rule.id, ""))

    def _pack_state(
        self, pack: str, detector: str, entries: list[tuple[Probe, Status]]
    ) -> PackState:
        guarded: list[str] = []
        waiting: list[str] = []
        flaws: list[Flaw] = []
        modes: set[str] = set()
        not_made: dict[str, int] = {}
        for probe, status in entries:
            protect: Protect | None = probe.protect
            assert protect is not None
            for reason, count in status.not_made:
                not_made[reason] = not_made.get(reason, 0) + count
            modes.add(self._book.general.get(detector, protect.mode))
            name = status.probe.removeprefix(f"{packs.PREFIX}{pack}.")
            if status.state.meaning.in_force:
                guarded.append(name)
            elif status.state is State.WAITING:
                waiting.append(name)
            if status.state in _FLAWED:
                flaws.append(Flaw(name, status.state.value, status.reason[:500]))
        return PackState(
            pack,
            detector,
            max(modes, key=MODES.index),
            tuple(guarded),
            tuple(waiting),
            tuple(flaws),
            sum(status.site_count for _, status in entries),
            sum(status.firings for _, status in entries),
            tuple(not_made.items()),
        )


def _refuse_unsigned() -> str:
    return "the app has a REMORA_PUBLIC_KEY and the rule is not signed"


_PACKED = tuple(
    f"{packs.PREFIX}{pack}."
    for pack in (*packs.PROTECTION, packs.THREADS, packs.STORED)
)
_FLAWED = frozenset({State.FAILED, State.PARTLY})


def read_packs(
    modes: Mapping[str, str], allowed: tuple[str, ...], carried: Mapping[str, bytes]
) -> list[Probe]:
    """The probes of these packs, each pack's in its mode.

    `allowed` are the hosts that requests may choose.
    """
    probes: list[Probe] = []
    for pack, mode in modes.items():
        found = map(parse_probe, packs.read_made(pack, carried))
        probes += [_turned(probe, pack, mode, allowed) for probe in found]
    return probes + _read_plain(packs.THREADS, carried) if probes else probes


def read_stored(carried: Mapping[str, bytes]) -> list[Probe]:
    """The probes that look for stored input in what databases give."""
    return _read_plain(packs.STORED, carried)


def _read_plain(pack: str, carried: Mapping[str, bytes]) -> list[Probe]:
    """The probes of a pack that has no modes."""
    return [
        replace(probe, id=f"{packs.PREFIX}{pack}.{probe.id}")
        for probe in map(parse_probe, packs.read_made(pack, carried))
    ]


def _pack_of(probe_id: str) -> str:
    if probe_id.startswith(packs.PREFIX):
        return probe_id.removeprefix(packs.PREFIX).partition(".")[0]
    return OTHERS


def _turned(probe: Probe, pack: str, mode: str, allowed: tuple[str, ...]) -> Probe:
    protect = probe.protect
    assert protect is not None
    if protect.family == "url":
        protect = replace(protect, allowed=(*protect.allowed, *allowed))
    protect = replace(protect, mode=mode)
    return replace(probe, id=f"{packs.PREFIX}{pack}.{probe.id}", protect=protect)
