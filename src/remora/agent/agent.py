"""The agent of this process: builds its parts, starts, forks and stops them.

The only file that knows every room. Its core (modules, hooks, probes) exists from the
first `start` or `hook`, the reporting chain from `start`. Nothing here runs in a call
of the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora import packs
from remora.agent.capture import SecretNames
from remora.agent.config import environment, read_settings
from remora.agent.control import (
    make_instance,
    plan,
    read_probe_files,
    spawning_master,
)
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Handle, Probes
from remora.agent.reporting import (
    Drops,
    FileSink,
    Queue,
    Reporter,
    Routine,
    Wait,
    Worker,
)
from remora.agent.request import protection
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
from remora.agent.targets import points
from remora.errors import RemoraError
from remora.protocol import Cost, State, Status, parse_targets
from remora.usage import usage
from remora.values import replace
from remora.version import __version__

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from remora.agent.capture import ShapeRedactor
    from remora.agent.config import Settings
    from remora.agent.control import Link
    from remora.agent.control.protection import Protection
    from remora.agent.interception import AppValue, PhaseName
    from remora.agent.probes.trust import Terms, Trust
    from remora.agent.reporting import AppLog, ServerSink
    from remora.agent.request.refused import RefusedActors
    from remora.agent.runtime.kill_file import KillFile
    from remora.protocol import Instance, Probe
    from remora.protocol.protection import ProtectionState, RuleState

TICK_S = 0.5
"""Between two rounds of housekeeping: aggregates, expiry, modules without a loader."""

_FORK_STOP_S = 0.2
"""A fork waits so long at most for the agent's thread to end, and for its locks."""

_OBSERVE = "observe"
"""The level of REMORA_ALLOW at which a server may only look."""

_POINTS_LIMIT = 5000


class Agent:
    """The agent of this process. `begin` follows where it is to report or obey."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.diagnostics = Diagnostics(settings.text("log"))
        self.master = process.master_reason()
        self.instance = self._describe(settings)
        self.queue = Queue(on_first=self._first_record)
        self.worker = Worker(self.diagnostics)
        self.store = ModuleStore(self.diagnostics)
        self.probes = Probes(
            self.store,
            HookTable(),
            self.queue.put,
            SecretNames(settings.texts("redact")),
            lambda: self.instance,
            self._statuses_changed,
        )
        self.handles: list[Handle] = []
        self.files: list[Probe] = []
        self.link: Link | None = None
        self.begun = False
        self._drops = Drops(self.queue, self.diagnostics)
        self._start_cost = (0, 0)
        self._preparation: tuple[ShapeRedactor, AppLog] | None = None
        self._restarts = False
        self._trust: Trust | None = None
        self._refused: RefusedActors | None = None
        self._carried: Mapping[str, bytes] = {}
        self._guarding: Protection | None = None
        self._held: list[RLock] = []
        self._undo: list[Callable[[], None]] = []
        self.probes.off = off_reason(settings)
        self._kill_file: KillFile | None = None
        self._off_is_told = False
        if not self.probes.off:
            self._take_part(settings.text("kill_file"))

    def _take_part(self, kill_file: str) -> None:
        """Put into the interpreter what must be there from now on."""
        self.store.start()
        self._undo = [
            self.store.subscribe(self.probes.module_loaded),
            fork.subscribe(self),
            ending.at_exit(self._at_exit),
        ]
        if process.is_uwsgi():
            self._watch_uwsgi()
        if kill_file:
            from remora.agent.runtime.kill_file import KillFile

            self._kill_file = KillFile(kill_file, self._kill)
            self._undo.append(self._kill_file.watch())

    def _kill(self) -> bool:
        """Take everything away; maybe in the middle of anything, so without a word."""
        if not self.probes.try_switch_off(_killed(self.settings)):
            return False
        self.diagnostics.count("killed")
        return True

    def begin(self, settings: Settings, carried: Mapping[str, bytes]) -> None:
        """Build the reporting chain, install what files ask for, begin to talk.

        `carried` are the contents of files that have travelled along, by their names.
        """
        files = read_probe_files(settings.texts("probes"), carried)
        packed = [
            replace(probe, id=f"{packs.PREFIX}{probe.id}")
            for probe in read_probe_files((packs.FRAMEWORKS,), carried)
        ]
        guarding: Protection | None = None
        if settings.text("protect") != "off" or settings.texts("rules"):
            guarding = _make_protection(self.probes, settings, carried)
            packed += guarding.wanted()
        if settings is not self.settings:
            self.settings = settings
            self.diagnostics.close()
            self.diagnostics = Diagnostics(settings.text("log"))
            self.instance = self._describe(settings)
            self.probes.is_secret = SecretNames(settings.texts("redact"))
            self._preparation = None
        if proxies := settings.texts("trusted_proxies"):
            # Late, because few apps name any.
            from remora.agent.request.actor import trust_proxies

            trust_proxies(proxies)
        self.begun = True
        server = self._connect() if settings.text("server") else None
        records = settings.text("records") or ("" if server is not None else "-")
        self.worker.add(
            Reporter(
                self.queue,
                self._drops,
                self.diagnostics,
                prepare=self._prepare,
                expects_records=lambda: self.probes.reports,
                file=self._record_file(records) if records else None,
                server=server,
            )
        )
        self.worker.add(Housekeeping(self._tick, self.probes.ship))
        self.files = files
        self._carried, self._guarding = carried, guarding
        if guarding is not None:
            guarding.obey_own()
        self.probes.add([*packed, *files])
        if not facts.CAN_SWAP_CODE:
            self.diagnostics.say(
                f"Python {facts.PYTHON} is not one that remora was tested on: nothing "
                "will be diverted"
            )
        if self.link is not None and not self.master:
            self.worker.start()

    def _describe(self, settings: Settings) -> Instance:
        master = None if self.master else spawning_master(settings)
        return make_instance(settings, master=master, why=self.master)

    def _watch_uwsgi(self) -> None:
        """Notice the forks of a server that runs no at-fork callbacks."""
        post_fork = uwsgi.PostForkHook(self._in_uwsgi_worker)

        def look(_module: object) -> None:
            post_fork.chain()
            if originals.getpid() != self.instance.pid:
                self._in_uwsgi_worker()

        self._undo += [self.store.subscribe(look), post_fork.remove]

    def _in_uwsgi_worker(self) -> None:
        """This process serves: forked just now, or the first one where none leads."""
        if originals.getpid() != self.instance.pid or self.master:
            if not uwsgi.has_master():
                self.master = ""
            self.after_fork_in_child()

    def hook(
        self,
        target: str | list[str],
        phases: dict[PhaseName, Callable[..., object] | None],
    ) -> Handle:
        """Install a local hook."""
        handle = Handle(target, phases, self.probes)
        self.handles = [h for h in self.handles if h.state != "removed"]
        self.handles.append(handle)
        return handle

    def close(self) -> None:
        """Put everything back."""
        for handle in self.handles:
            handle.remove()
        self.probes.clear()
        protection.rules = None
        protection.turn("off")
        for undo in reversed(self._undo):
            undo()
        self.store.stop()
        self.worker.close(self.settings.number("exit_s"))
        self.diagnostics.close()

    def _tick(self) -> None:
        self.store.look()
        self.probes.tick()
        if self._guarding is not None:
            self._guarding.tick()
        if protection.complaint != self.instance.note and not self.master:
            self._complain()
        if self._kill_file is None:
            return
        self._kill_file.look()
        if self.probes.off and not self._off_is_told:
            self._off_is_told = True
            self.diagnostics.say(self.probes.off)
            self._statuses_changed()

    def _complain(self) -> None:
        """Say that no request is seen, or that they are by now, also to the server."""
        self.instance = replace(self.instance, note=protection.complaint)
        self.diagnostics.say(protection.complaint or "requests are seen by now")
        if self.link is not None:
            self.link.register_again()

    def _first_record(self) -> None:
        """The thread has work in a process that had none for it so far."""
        if self.begun and not self.worker.start():
            self.queue.rearm()

    def _statuses_changed(self) -> None:
        """Something was placed or has ended: the server hears of it at once."""
        if not self.begun:
            return
        if self.link is not None:
            self.link.statuses_changed()
            self.worker.wake()
        elif self.probes.is_behind and not self.master:
            self.worker.start()

    def before_fork(self) -> None:
        """Let the thread end, and nothing change: see runtime/fork.py."""
        self._restarts = self.worker.running
        if self._restarts:
            self.worker.stop(_FORK_STOP_S)
        # A child must not inherit a change that another thread has half done.
        self._held = _acquire((_lock, *self.probes.locks), _FORK_STOP_S)

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        for lock in reversed(self._held):
            lock.release()
        self._held = []
        if not self._restarts:
            return
        if process.is_main_thread():
            fork.after_fork_returned(self.worker.start)
        else:
            # The main thread may wait for this one; and the app has been warned of its
            # own threads.
            self.worker.start()

    def after_fork_in_child(self) -> None:
        """Begin anew, as an instance of its own."""
        global _lock  # noqa: PLW0603 - a thread of the parent may hold the old one
        _lock = originals.allocate_rlock()
        self._held = []
        guard.forget_other_threads()
        protection.begin_anew()
        if self._guarding is not None:
            self._guarding.begin_anew()
        parent = self.instance if self.master else None
        self.master = ""
        self.instance = make_instance(self.settings, master=parent, why="")
        self._start_cost = (0, 0)  # the parent's
        self.probes.after_fork_in_child()
        self.worker.after_fork_in_child()
        if self.link is not None:
            self.worker.start()

    def apply(self, probes: list[Probe], refused: list[Status], revision: int) -> None:
        """Make the server's probes the ones that are installed besides our own."""
        del revision
        files = {probe.id for probe in self.files}
        own = files | self._pack_ids()
        installed = {k: v for k, v in self.probes.installed().items() if k not in own}
        wanted = [probe for probe in probes if probe.id not in files]
        taken = [_taken(probe) for probe in probes if probe.id in files]
        self.store.look()
        changes = plan(installed, wanted)
        self.probes.remove(changes.remove)
        asked = (*changes.replace, *changes.add)
        # before the registry's lock is taken: verifying imports a library
        distrusted, terms = self._distrust(asked)
        self.probes.add(asked, self.settings.text("allow"), distrusted, terms)
        self.probes.remember_refused([*refused, *taken])

    def refuse(self, actors: tuple[str, ...]) -> None:
        """Know whose requests are to be refused, where the app lets a server say it."""
        if self.settings.text("allow") == _OBSERVE or self.settings.texts("public_key"):
            if actors:
                self.diagnostics.say_once(
                    "the server names users to refuse, and is not trusted to: "
                    "REMORA_ALLOW is observe, or there is a REMORA_PUBLIC_KEY"
                )
            return
        if self._refused is None and actors:
            # Late, because most processes never refuse anybody.
            from remora.agent.request.refused import refused_actors

            self._refused = protection.listed = refused_actors
            self._undo.append(refused_actors.clear)
        if self._refused is not None:
            self._refused.replace(actors)

    def rule(self, rules: object) -> None:
        """Let the server's rules of protection hold, as far as the app lets it."""
        if rules and self._guarding is None:
            self._begin_guarding()
        if self._guarding is not None:
            self._guarding.obey(rules)

    def _begin_guarding(self) -> Protection:
        """Late, in an app that has no protection of its own."""
        made = _make_protection(self.probes, self.settings, self._carried)
        self._guarding = made
        return made

    def protection(self) -> ProtectionState | None:
        """How this process is protected, where it is."""
        guarding = self._guarding
        if guarding is None:
            if not protection.watches:
                return None
            guarding = self._begin_guarding()
        return guarding.state(self.probes.statuses())

    def _distrust(
        self, probes: Iterable[Probe]
    ) -> tuple[dict[str, str], dict[str, Terms]]:
        """By id, what is against acting probes, and what bounds the others."""
        acting = [probe for probe in probes if probe.acts]
        trust = self._find_trust() if acting else None
        if trust is None:
            return {}, {}
        return trust.refuse_all(acting, self.instance), trust.terms(acting)

    def _find_trust(self) -> Trust | None:
        """Who judges signatures here, where the app wants any."""
        keys = self.settings.texts("public_key")
        if keys and self._trust is None:
            # Late, because only few processes ever get a signed probe.
            from remora.agent.probes.trust import Trust

            state = self.settings.text("state")
            self._trust = Trust(keys, self.queue.put, self.diagnostics, state)
        return self._trust

    def obey_policy(self, policy: object) -> None:
        """Take in what the operator lets the server do unsigned.

        Under a new one, what is here unsigned is judged anew by the push it came with.
        """
        trust = self._find_trust()
        if trust is not None and trust.accept_policy(policy, self.instance):
            own = {probe.id for probe in self.files} | self._pack_ids()
            unsigned = [
                name
                for name, probe in self.probes.installed().items()
                if name not in own and probe.acts and probe.signature is None
            ]
            self.probes.remove(unsigned)

    def _pack_ids(self) -> set[str]:
        return {k for k in self.probes.installed() if k.startswith(packs.PREFIX)}

    def statuses(self) -> list[Status]:
        """One status for each id, as the server knows ids: a refusal comes last."""
        return list({status.probe: status for status in self._asked_for()}.values())

    def _asked_for(self) -> list[Status]:
        """Statuses of the probes that people asked for, in files and on the server."""
        packed = self._pack_ids()
        return [s for s in self.probes.statuses() if s.probe not in packed]

    def answer(self, query: dict[str, object]) -> dict[str, object]:
        """Answer the server's question; so far there is one, for points."""
        if query.get("kind") != "points":
            return {"error": f"this agent is {__version__}: it has no such query"}
        try:
            targets = parse_targets(query.get("pattern"))
        except RemoraError as error:
            return {"error": str(error)}
        limit = query.get("limit")
        count = limit if isinstance(limit, int) and 0 < limit <= _POINTS_LIMIT else 500
        self.store.look()
        found, more = points(targets, self.store, count)
        return {"points": [point.to_json() for point in found], "more": more}

    def status(self) -> dict[str, object]:
        """What `remora.status()` shows."""
        return {
            "version": __version__,
            "python": facts.PYTHON,
            "instance": self.instance.to_json(),
            "server": self.settings.text("server"),
            "connected": self.link is not None and self.link.is_connected,
            "off": self.probes.off,
            "probes": [status.to_json() for status in self._asked_for()],
            "hooks": [handle.describe() for handle in self.handles],
            "protection": self._protection(),
            "drops": self._drops.counts,
            "agent": {**self.cost().to_json(), "counters": self.diagnostics.counters},
            "settings": self.settings.explain(),
        }

    def _protection(self) -> dict[str, object]:
        """How this process is protected, and what came of each guarded place."""
        installed = self.probes.installed()
        return {
            "mode": self.settings.text("protect"),
            "complaint": protection.complaint,
            "outside": protection.outside,
            "requests": protection.requests,
            "refused": protection.refused,
            "cut": protection.cut,
            "rules": [rule.to_json() for rule in self._rule_states()],
            "probes": [
                status.to_json()
                for status in self.probes.statuses()
                if (probe := installed.get(status.probe)) and probe.protect is not None
            ],
        }

    def _rule_states(self) -> tuple[RuleState, ...]:
        guarding = self._guarding
        return () if guarding is None else guarding.rule_states()

    def note_start(self, before: tuple[int, int]) -> None:
        """Keep what the process has used since `before`: this was our start."""
        cpu_ns, memory = (now - then for now, then in zip(usage(), before, strict=True))
        self._start_cost = cpu_ns, max(0, memory)

    def cost(self) -> Cost:
        """What the agent itself takes of this process."""
        found: list[tuple[int, int]] = []
        guard.run(lambda: found.append(usage()))
        ((process_ns, memory),) = found
        start_ns, start_memory = self._start_cost
        return Cost(
            threads=int(self.worker.running),
            cpu_ms=round(self.worker.own_cpu_s * 1000),
            start_cpu_ms=start_ns // 1_000_000,
            process_cpu_ms=process_ns // 1_000_000,
            queued=len(self.queue),
            queued_bytes=self.queue.size_bytes,
            start_memory_bytes=start_memory,
            memory_bytes=memory,
        )

    def _prepare(self, record: dict[str, object]) -> dict[str, object]:
        """What a record goes through in the worker before it is written."""
        redactor, app_log = self._preparation or self._prepare_first()
        shown = redactor.redact(record)
        app_log.tell(shown)
        return shown

    def _prepare_first(self) -> tuple[ShapeRedactor, AppLog]:
        # Here, because many a process never reports a record.
        from remora.agent.capture import ShapeRedactor
        from remora.agent.reporting import AppLog

        self._preparation = (
            ShapeRedactor(emails=self.settings.flag("redact_emails")),
            AppLog(self.diagnostics),
        )
        return self._preparation

    def _connect(self) -> ServerSink:
        # Here, because a process without a server needs none of them.
        from remora.agent.control import Link
        from remora.agent.reporting import Client, ServerSettings, ServerSink, TlsFiles

        settings = self.settings
        client = Client(
            ServerSettings(
                settings.text("server"),
                settings.text("token"),
                environment(),
                TlsFiles(
                    settings.text("ca_file"),
                    settings.text("client_cert"),
                    settings.text("client_key"),
                ),
            ),
            self.diagnostics,
        )
        link = Link(client, self, lambda: self.instance, self.diagnostics)
        self.link = link
        self.worker.add(link)
        if settings.flag("children") and process.hands_the_agent_on():
            from remora.agent.control import Children

            self.worker.add(
                Children(
                    client,
                    lambda: self.instance,
                    lambda: link.instance_id is not None,
                )
            )
        return ServerSink(
            client, self._drops, lambda: link.instance_id, link.register_again
        )

    def _record_file(self, path: str) -> FileSink:
        return FileSink(
            path,
            int(self.settings.number("records_limit")),
            self._origin,
            self._drops,
            self.diagnostics,
        )

    def _origin(self) -> dict[str, object]:
        """What each line of a records file says of its process."""
        instance: Instance = self.instance
        return {"instance": instance.id, "pid": instance.pid, "app": instance.app}

    def _at_exit(self) -> None:
        self.worker.close(self.settings.number("exit_s"))
        ending.before_modules_end(self._let_go)

    def _let_go(self) -> None:
        """No root of the interpreter may lead through us to what the app holds."""
        self.probes.hooks.abandon()
        self.store.stop()


def _make_protection(
    probes: Probes, settings: Settings, carried: Mapping[str, bytes]
) -> Protection:
    # Late, because few processes have protection.
    from remora.agent.control.protection import Protection

    return Protection(probes, settings, carried)


def _acquire(locks: Iterable[RLock], timeout_s: float) -> list[RLock]:
    """Take as many of the locks, in their order, as can be had in the time in all."""
    held: list[RLock] = []
    deadline = originals.monotonic() + timeout_s
    for lock in locks:
        if not lock.acquire(timeout=max(0.0, deadline - originals.monotonic())):
            break
        held.append(lock)
    return held


def _taken(probe: Probe) -> Status:
    """Why a server's probe is not installed where a file has one of its id."""
    reason = f"a probe file of this process has a probe {probe.id!r}: choose another id"
    return Status(probe.id, State.FAILED, reason)


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
        if agent.probes.off:
            agent.diagnostics.say(agent.probes.off)
            return
        if agent.begun:
            agent.diagnostics.say("start() was called again: the first start holds")
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
    return _agent is not None and _agent.begun


def is_connecting() -> bool:
    """Whether a server was named that has not answered so far."""
    agent = _agent
    if agent is None or agent.link is None or agent.master:
        return False
    return agent.link.instance_id is None


def set_user(identifier: str, attributes: Mapping[str, AppValue]) -> None:
    """Name the account behind the request that is being served."""
    set_request_user(identifier, attributes)


def status() -> dict[str, object]:
    """What is installed, where, at what cost, and why not."""
    if _agent is not None:
        return _agent.status()
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
