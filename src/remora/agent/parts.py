"""The parts of the agent of this process, built once, and how they call each other.

What every other file of this level shares. Nothing starts here and nothing ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.agent.capture import SecretNames
from remora.agent.control import make_instance, spawning_master
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.agent.reporting import Drops, Queue, Worker
from remora.agent.request import protection
from remora.agent.runtime import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.config import Settings
    from remora.agent.control import Link
    from remora.agent.control.protection import Protection
    from remora.agent.probes import Handle
    from remora.protocol import Instance, Probe


_NOTE_LIMIT = 500
"""Characters of an instance's note on the wire."""


class Parts:
    """What the agent is made of, its settings and its identity.

    `master` says why this process is no instance that serves; `files` are the probes
    of the app's own files, `carried` the contents of files that have travelled along,
    `undo` is called in reverse when the agent leaves, `rounds` in every round of
    housekeeping. `ignored` says why a block list is not obeyed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.diagnostics = Diagnostics(settings.text("log"))
        self.master = process.master_reason()
        self.instance = self._describe()
        self.queue = Queue(on_first=self._first_record)
        self.drops = Drops(self.queue, self.diagnostics)
        self.worker = Worker(self.diagnostics)
        self.store = ModuleStore(self.diagnostics)
        self.probes = Probes(
            self.store,
            HookTable(),
            self.queue.put,
            SecretNames(settings.texts("redact")),
            lambda: self.instance,
            self.statuses_changed,
        )
        self.handles: list[Handle] = []
        self.files: list[Probe] = []
        self.link: Link | None = None
        self.guarding: Protection | None = None
        self.carried: Mapping[str, bytes] = {}
        self.begun = False
        self.start_cost: tuple[int, int] = (0, 0)
        self.undo: list[Callable[[], None]] = []
        self.rounds: list[Callable[[], object]] = []
        self.ignored = ""

    def take_settings(self, settings: Settings) -> None:
        """Go on under other settings: a hook may have come before the start."""
        self.settings = settings
        self.diagnostics.close()
        self.diagnostics = Diagnostics(settings.text("log"))
        self.instance = self._describe()
        self.probes.is_secret = SecretNames(settings.texts("redact"))

    def _describe(self) -> Instance:
        master = None if self.master else spawning_master(self.settings)
        return make_instance(self.settings, master=master, why=self.master)

    def become_child(self) -> None:
        """Be another instance, that of a process forked just now."""
        parent = self.instance if self.master else None
        self.master = ""
        self.instance = make_instance(self.settings, master=parent, why="")
        self.start_cost = (0, 0)  # the parent's
        if self.guarding is not None:
            self.guarding.begin_anew()

    def make_protection(
        self, settings: Settings, carried: Mapping[str, bytes]
    ) -> Protection:
        """Packs and rules under these settings. Raises ProbeFileError, RuleError."""
        # Late, because few processes have protection.
        from remora.agent.control.protection import Protection

        return Protection(self.probes, settings, carried)

    def guard(self, guarding: Protection) -> None:
        """Have these packs and rules looked after."""
        self.guarding = guarding
        self.rounds.append(guarding.tick)

    @property
    def complaint(self) -> str:
        """What is not as it was meant to be here, for whoever lists instances."""
        both = (protection.complaint, self.ignored)
        return "; ".join(each for each in both if each)[:_NOTE_LIMIT]

    def pack_ids(self) -> set[str]:
        """Ids of the installed probes that came from packs."""
        return {k for k in self.probes.installed() if k.startswith(packs.PREFIX)}

    def statuses_changed(self) -> None:
        """Something was placed or has ended: the server hears of it at once."""
        if not self.begun:
            return
        if self.link is not None:
            self.link.statuses_changed()
            self.worker.wake()
        elif self.probes.is_behind and not self.master:
            self.worker.start()

    def _first_record(self) -> None:
        """The thread has work in a process that had none for it so far."""
        if self.begun and not self.worker.start():
            self.queue.rearm()
