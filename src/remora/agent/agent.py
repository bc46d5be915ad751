"""The agent of this process: starts, forks, is switched off and stops.

Its core (modules, hooks, probes) exists from the first `start` or `hook`, the reporting
chain from `start`. Nothing here runs in a call of the app. What it is made of is in
parts.py, what leaves the process in outlet.py, what the server may ask for in
orders.py, what it says of itself in account.py: these alone know every room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.config import read_settings
from remora.agent.diagnostics import Diagnostics
from remora.agent.outlet import open_outlet
from remora.agent.parts import Parts
from remora.agent.reporting import Routine, Wait
from remora.agent.request import empty_cells, protection
from remora.agent.request import set_user as set_request_user
from remora.agent.runtime import (
    ending,
    facts,
    fork,
    guard,
    originals,
    process,
    uwsgi,
)
from remora.errors import RemoraError
from remora.usage import usage
from remora.values import replace
from remora.version import __version__

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from remora.agent.config import Settings
    from remora.agent.control.protection import Protection
    from remora.agent.interception import AppValue, PhaseName
    from remora.agent.probes import Handle
    from remora.agent.recall import Recall
    from remora.agent.runtime.kill_file import KillFile
    from remora.protocol import Probe

TICK_S = 0.5
"""Between two rounds of housekeeping: aggregates, expiry, modules without a loader."""

_STOPPED = "remora.stop() was called in this process"

_FORKS_OFTEN = 2

_FORK_STOP_S = 0.2
"""A fork waits so long at most for the agent's thread to end, and for its locks."""


class Agent:
    """The agent of this process. `begin` follows where it is to report or obey."""

    def __init__(self, settings: Settings) -> None:
        self.parts = Parts(settings)
        self._restarts = False
        self._forks = 0
        self._held: list[RLock] = []
        self._kill_file: KillFile | None = None
        self._off_is_told = False
        self._recall: Recall | None = None
        self.parts.probes.off = off_reason(settings)
        if not self.parts.probes.off:
            self._take_part(settings.text("kill_file"))

    def _take_part(self, kill_file: str) -> None:
        """Put into the interpreter what must be there from now on."""
        parts = self.parts
        parts.undo += [
            fork.subscribe(self),
            ending.at_exit(self._at_exit, self._at_end_of_main),
        ]
        if process.is_uwsgi():
            self._watch_uwsgi()
        if kill_file:
            from remora.agent.runtime.kill_file import KillFile

            self._kill_file = KillFile(kill_file, self._kill)
            parts.undo.append(self._kill_file.watch())

    def _kill(self) -> bool:
        """Take everything away; maybe in the middle of anything, so without a word."""
        probes = self.parts.probes
        if not probes.try_switch_off(_killed(self.parts.settings)):
            return False
        if probes is not self.parts.probes:
            return False  # they were just being made
        self.parts.diagnostics.count("killed")
        return True

    def begin(self, settings: Settings, carried: Mapping[str, bytes]) -> None:
        """Build the reporting chain, install what files ask for, begin to talk.

        `carried` are the contents of files that have travelled along, by their names.
        """
        parts = self.parts
        files = _read_files(settings.texts("probes"), carried)
        protecting: list[Probe] = []
        guarding: Protection | None = None
        if settings.text("protect") != "off" or settings.texts("rules"):
            guarding = parts.make_protection(settings, carried)
            protecting = guarding.wanted()
        if settings is not parts.settings:
            parts.take_settings(settings)
        parts.carried = carried
        if proxies := settings.texts("trusted_proxies"):
            # Late, because few apps name any.
            from remora.agent.request.actor import trust_proxies

            trust_proxies(proxies)
        parts.begun = True
        orders = open_outlet(parts)
        parts.worker.add(Housekeeping(self._tick, self._ship))
        parts.files = files
        if guarding is not None:
            parts.guard(guarding)
            guarding.obey_own()
        if protecting or files or parts.master or parts.store is not None:
            # A master's children share what it has imported.
            parts.wake().add([*protecting, *files])
        if orders is not None and settings.text("state"):
            # Late, because few apps remember anything.
            from remora.agent.recall import recall

            self._recall = recall(parts, orders)
        if not facts.CAN_SWAP_CODE:
            parts.diagnostics.say(
                f"Python {facts.PYTHON} is not one that remora was tested on: nothing "
                "will be diverted"
            )
        if not parts.master and (self._needs_thread or self._needs_looks(files)):
            parts.worker.start()

    @property
    def _needs_thread(self) -> bool:
        """Whether there is work for the agent's thread before the first record."""
        is_starting = self._recall is not None and self._recall.is_starting
        return self.parts.link is not None or is_starting

    def _needs_looks(self, files: Sequence[Probe]) -> bool:
        """Whether the thread has to look for what file probes mean, before a record."""
        if not files:
            return False
        from remora.agent.control import may_mean_main
        from remora.protocol import State

        states = {each.probe: each.state for each in self.parts.probes.statuses()}
        waiting = [probe for probe in files if states.get(probe.id) is State.WAITING]
        return may_mean_main(waiting)

    def _watch_uwsgi(self) -> None:
        """Notice the forks of a server that runs no at-fork callbacks."""
        post_fork = uwsgi.PostForkHook(self._in_uwsgi_worker)

        def look(_module: object) -> None:
            post_fork.chain()
            if originals.getpid() != self.parts.instance.pid:
                self._in_uwsgi_worker()

        store = self.parts.wake().store
        self.parts.undo += [store.subscribe(look), post_fork.remove]

    def _in_uwsgi_worker(self) -> None:
        """This process serves: forked just now, or the first one where none leads."""
        if originals.getpid() != self.parts.instance.pid or self.parts.master:
            if not uwsgi.has_master():
                self.parts.master = ""
            self.after_fork_in_child()

    def hook(
        self,
        target: str | list[str],
        phases: dict[PhaseName, Callable[..., object] | None],
    ) -> Handle:
        """Install a local hook."""
        # Late, because most processes have none.
        from remora.agent.probes import Handle

        parts = self.parts
        handle = Handle(target, phases, parts.wake())
        parts.handles = [h for h in parts.handles if h.state != "removed"]
        parts.handles.append(handle)
        return handle

    def open_requests(self) -> None:
        """Have request contexts from now on.

        Without them a user who is named in one request stays that of its thread.
        """
        try:
            self.parts.wake()
        except ImportError as error:
            # Once: the next request must not wait for it again.
            self.parts.lack = f"the agent's code cannot be imported: {error}"
            self.parts.diagnostics.say(self.parts.lack)

    def close(self) -> None:
        """Put everything back."""
        parts = self.parts
        with parts.waking:
            # what the agent's thread is told meanwhile
            parts.probes.off = _STOPPED
        self._off_is_told = True
        for handle in parts.handles:
            handle.remove()
        parts.probes.clear()
        protection.rules = None
        protection.end()
        empty_cells()
        for undo in reversed(parts.undo):
            undo()
        if parts.store is not None:
            parts.store.stop()
        parts.worker.close(parts.settings.number("exit_s"))
        parts.diagnostics.close()

    def _tick(self) -> None:
        parts = self.parts
        if parts.store is not None:
            parts.store.look()
        elif parts.link is not None and parts.link.is_connected:
            parts.warm_up()
        parts.probes.tick()
        for look in parts.rounds:
            look()
        if parts.complaint != parts.instance.note and not parts.master:
            self._complain(parts.complaint)
        if self._kill_file is None:
            return
        self._kill_file.look()
        if parts.probes.off and not self._off_is_told:
            self._off_is_told = True
            parts.diagnostics.say(parts.probes.off)
            parts.statuses_changed()

    def _ship(self) -> None:
        """Report what was counted so far, by the probes that there are by then."""
        self.parts.probes.ship()

    def _complain(self, complaint: str) -> None:
        """Say what is wrong here, or that it no longer is, also to the server."""
        parts = self.parts
        parts.diagnostics.say(complaint or f"no longer so: {parts.instance.note}")
        parts.instance = replace(parts.instance, note=complaint)
        if parts.link is not None:
            parts.link.register_again()

    def before_fork(self) -> None:
        """Let the thread end, and nothing change: see runtime/fork.py."""
        self._forks += 1
        if self._forks == _FORKS_OFTEN and self.parts.link is not None:
            # Who forks twice forks often: the children share what is imported by now.
            self.parts.warm_up(everything=True)
        worker = self.parts.worker
        self._restarts = worker.running
        if self._restarts:
            worker.stop(_FORK_STOP_S)
        # A child must not inherit a change that another thread has half done.
        locks = (_lock, self.parts.waking, *self.parts.probes.locks)
        self._held = _acquire(locks, _FORK_STOP_S)

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        for lock in reversed(self._held):
            lock.release()
        self._held = []
        if not self._restarts:
            return
        if process.is_main_thread():
            fork.after_fork_returned(self.parts.worker.start)
        else:
            # The main thread may wait for this one; and the app has been warned of its
            # own threads.
            self.parts.worker.start()

    def after_fork_in_child(self) -> None:
        """Begin anew, as an instance of its own."""
        global _lock  # noqa: PLW0603 - a thread of the parent may hold the old one
        _lock = originals.allocate_rlock()
        self._held = []
        guard.forget_other_threads()
        protection.begin_anew()
        parts = self.parts
        parts.become_child()
        parts.probes.after_fork_in_child()
        parts.worker.after_fork_in_child()
        if self._needs_thread:
            parts.worker.start()

    def note_start(self, before: tuple[int, int]) -> None:
        """Keep what the process has used since `before`: this was our start."""
        cpu_ns, memory = (now - then for now, then in zip(usage(), before, strict=True))
        self.parts.start_cost = cpu_ns, max(0, memory)

    def _at_end_of_main(self) -> None:
        """Other threads go on; a child of multiprocessing ends with them, unheard."""
        if process.is_child_of_multiprocessing():
            self.parts.worker.flush(self.parts.settings.number("exit_s"))

    def _at_exit(self) -> None:
        self.parts.worker.close(self.parts.settings.number("exit_s"))
        ending.before_modules_end(self._let_go)

    def _let_go(self) -> None:
        """No root of the interpreter may lead through us to what the app holds."""
        self.parts.probes.abandon()
        if self.parts.store is not None:
            self.parts.store.stop()


def _read_files(paths: tuple[str, ...], carried: Mapping[str, bytes]) -> list[Probe]:
    if not paths:
        return []
    # Late, because it reads TOML, which few processes have to.
    from remora.agent.control import read_probe_files

    return read_probe_files(paths, carried)


def _acquire(locks: Iterable[RLock], timeout_s: float) -> list[RLock]:
    """Take as many of the locks, in their order, as can be had in the time in all."""
    held: list[RLock] = []
    deadline = originals.monotonic() + timeout_s
    for lock in locks:
        if not lock.acquire(timeout=max(0.0, deadline - originals.monotonic())):
            break
        held.append(lock)
    return held


def off_reason(settings: Settings) -> str:
    """Why this process is not to be touched at all; empty where it may be."""
    if not settings.flag("enabled"):
        return f"switched off by enabled = off ({settings.sources['enabled']})"
    if kill_file := settings.text("kill_file"):
        from remora.agent.runtime.kill_file import is_there

        if is_there(kill_file):
            return _killed(settings)
    return ""


def _killed(settings: Settings) -> str:
    return (
        f"switched off by the file {settings.text('kill_file')}: remove it and restart "
        "the process to use remora again"
    )


class Housekeeping:
    """What is due from time to time; a task of the worker."""

    is_settled = True

    def __init__(
        self, tick: Callable[[], object], last_words: Callable[[], object]
    ) -> None:
        self._tick = tick
        self._last_words = last_words

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """One routine, for ever."""
        return (self._run,)

    def _run(self) -> Routine[None]:
        now = originals.monotonic()
        while True:
            self._tick()
            now = yield Wait(until=now + TICK_S)

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Report what was counted so far, so that the end does not lose it."""
        if is_urgent:
            self._last_words()

    def end(self) -> None:
        """There is nobody to say goodbye to."""

    def close(self) -> None:
        """There is nothing to give back."""

    def after_fork_in_child(self) -> None:
        """The probes themselves are told by the agent."""


_agent: Agent | None = None
_lock = originals.allocate_rlock()


def start(
    arguments: Mapping[str, object],
    carried: Mapping[str, bytes] | None = None,
    before: tuple[int, int] | None = None,
) -> None:
    """Start the agent of this process. Raises ConfigError or ProbeFileError.

    `carried` are the contents of files that have travelled along, by their names, and
    `before` is what the process had used when this module was not yet imported.
    """
    global _agent  # noqa: PLW0603 - one agent a process
    settings = read_settings(arguments)
    if reason := off_reason(settings):
        if settings.flag("enabled"):
            Diagnostics(settings.text("log")).say(reason)
        return
    with _lock:
        agent = _agent or Agent(settings)
        parts = agent.parts
        if parts.probes.off:
            parts.diagnostics.say(parts.probes.off)
            return
        if parts.begun:
            parts.diagnostics.say("start() was called again: the first start holds")
            return
        try:
            agent.begin(settings, carried or {})
        except RemoraError:
            if _agent is None:
                agent.close()
            raise
        if before is not None:
            agent.note_start(before)
        _agent = agent


def hook(
    target: str | list[str], phases: dict[PhaseName, Callable[..., object] | None]
) -> Handle:
    """Install a local hook; before `start` nothing is reported anywhere."""
    global _agent  # noqa: PLW0603 - one agent a process
    with _lock:
        if _agent is None:
            _agent = Agent(read_settings())
        return _agent.hook(target, phases)


def is_begun() -> bool:
    """Whether an agent was started here and not stopped."""
    return _agent is not None and _agent.parts.begun


def is_connecting() -> bool:
    """Whether a server was named that has not answered so far."""
    agent = _agent
    if agent is None or agent.parts.master:
        return False
    link = agent.parts.link
    return link is not None and link.instance_id is None


def set_user(identifier: str, attributes: Mapping[str, AppValue]) -> None:
    """Name the account behind the request that is being served."""
    agent = _agent
    if agent is not None and agent.parts.may_be_asked:
        agent.open_requests()
    set_request_user(identifier, attributes)


def status() -> dict[str, object]:
    """What is installed, where, at what cost, and why not."""
    if _agent is not None:
        # Late, because few processes are asked.
        from remora.agent.account import describe

        return describe(_agent.parts)
    return {
        "version": __version__,
        "python": facts.PYTHON,
        "settings": read_settings().explain(),
    }


def stop() -> None:
    """Put everything back and let go of everything."""
    global _agent
    with _lock:
        agent, _agent = _agent, None
        if agent is not None:
            agent.close()
