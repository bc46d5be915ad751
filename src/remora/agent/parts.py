"""The parts of the agent of this process, built once, and how they call each other.

What every other file of this level shares. What probes need is made with the first one:
most processes never get any, and all wait for their start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.agent.asleep import Asleep
from remora.agent.control import make_instance, spawning_master
from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import Drops, Queue, Worker
from remora.agent.request import protection
from remora.agent.runtime import originals, process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.capture import SecretNames
    from remora.agent.config import Settings
    from remora.agent.control import Frameworks, Link
    from remora.agent.control.protection import Protection
    from remora.agent.modules import ModuleStore
    from remora.agent.probes import Handle, Probes
    from remora.protocol import Instance, Probe


_NOTE_LIMIT = 500
"""Characters of an instance's note on the wire."""

_ROOMS = (
    "remora.expression",
    "remora.protocol.probe_reading",
    "remora.agent.modules",
    "remora.agent.targets",
    "remora.agent.interception",
    "remora.agent.hooks",
    "remora.agent.capture",
    "remora.agent.request.adapters",
    "remora.agent.actions",
    "remora.agent.probes",
    "remora.agent.control.frameworks",
)
"""What the first probe needs, from the bottom up: each brings only what is its own."""


class Parts:
    """What the agent is made of, its settings and its identity.

    `master` says why this process is no instance that serves; `files` are the probes
    of the app's own files, `carried` the contents of files that have travelled along,
    `undo` is called in reverse when the agent leaves, `rounds` in every round of
    housekeeping. `ignored` says why a block list is not obeyed, `left_out` why signed
    probes that are remembered are not here. `probes` and `store` come with `wake`,
    which `waking` lets happen once; `lack` says why it cannot.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.diagnostics = Diagnostics(settings.text("log"))
        self.master = process.master_reason()
        self.instance = self._describe()
        self.worker = Worker(self.diagnostics)
        self.queue = Queue(on_first=self._first_record, on_important=self.worker.wake)
        self.drops = Drops(self.queue, self.diagnostics)
        self.store: ModuleStore | None = None
        self.probes: Probes | Asleep = Asleep()
        self.frameworks: Frameworks | None = None
        self.waking = originals.allocate_rlock()
        self.lack = ""
        self._rooms = iter(_ROOMS)
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
        self.left_out = ""

    def take_settings(self, settings: Settings) -> None:
        """Go on under other settings: a hook may have come before the start."""
        self.settings = settings
        self.diagnostics.close()
        self.diagnostics = Diagnostics(settings.text("log"))
        self.instance = self._describe()
        if not isinstance(self.probes, Asleep):
            self.probes.is_secret = self._secret_names()

    def _describe(self) -> Instance:
        master = None if self.master else spawning_master(self.settings)
        return make_instance(self.settings, master=master, why=self.master)

    def wake(self) -> Probes:
        """The probes of this process; what they are made of is imported with the first.

        `waking` is held over these imports, so that a fork waits for their end. They
        are ours, and modules of the standard library that wait for nobody.

        Raises ImportError where our own code is not there any more.
        """
        with self.waking:
            probes = self.probes
            if isinstance(probes, Asleep):
                probes = self._make_probes(probes)
            if self.begun and self.frameworks is None:
                self._make_frameworks(probes)
        return probes

    @property
    def may_be_asked(self) -> bool:
        """Whether a server may want requests and their users, and none is seen yet."""
        return self.frameworks is None and self.link is not None and not self.lack

    def _make_probes(self, asleep: Asleep) -> Probes:
        from remora.agent.hooks import HookTable
        from remora.agent.modules import ModuleStore
        from remora.agent.probes import Probes

        self.store = ModuleStore(self.diagnostics)
        probes = Probes(
            self.store,
            HookTable(),
            self.queue.put,
            self._secret_names(),
            lambda: self.instance,
            self.statuses_changed,
        )
        self.probes = probes
        # Read only now: a kill meanwhile has met one of the two.
        probes.off = asleep.off or probes.off
        if not probes.off:
            self.store.start()
            self.undo.append(self.store.subscribe(probes.module_loaded))
        return probes

    def _make_frameworks(self, probes: Probes) -> None:
        from remora.agent.control import Frameworks

        frameworks = Frameworks(probes.add, self.carried)
        unsubscribe = probes.store.subscribe(frameworks.wake)
        try:
            frameworks.wake()
        except BaseException:
            # An import was overtaken (reporting/worker.py): all is asked for again.
            unsubscribe()
            raise
        self.undo.append(unsubscribe)
        self.frameworks = frameworks

    def _secret_names(self) -> SecretNames:
        from remora.agent.capture import SecretNames

        return SecretNames(self.settings.texts("redact"))

    def warm_up(self, *, everything: bool = False) -> None:
        """Import one more room that the first probe will need, or all of them.

        Done where there is a server to send one: a probe is then in force at once, and
        does not depend on files that may be gone or changed by then.
        """
        with self.waking:
            if not isinstance(self.probes, Asleep):
                return
            for room in self._rooms:
                try:
                    __import__(room)
                except ImportError:
                    self.diagnostics.count("rooms-not-imported")
                if not everything:
                    return

    def become_child(self) -> None:
        """Be another instance, that of a process forked just now."""
        self.waking = originals.allocate_rlock()
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

        return Protection(self.wake(), settings, carried)

    def guard(self, guarding: Protection) -> None:
        """Have these packs and rules looked after."""
        self.guarding = guarding
        self.rounds.append(guarding.tick)

    @property
    def complaint(self) -> str:
        """What is not as it was meant to be here, for whoever lists instances."""
        found = (protection.complaint, self.ignored, self.left_out)
        return "; ".join(each for each in found if each)[:_NOTE_LIMIT]

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
