"""Lists the Pythons that were started from here and that the agent is not in.

The boot code in PYTHONPATH gets into every Python that an app starts, but for those
that are too old, that are told to look away (`-I`, `-E`, `-S`), or that get another
environment. They are left alone, and registered as unserved, so that `ps` names them.

Only the living are looked at: children, and what was started by those that the agent is
not in (a shell, `timeout`, another Python). A master has no thread that could look: the
eldest of its served children looks for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from remora.agent.control.identity import shown_command
from remora.agent.reporting import Payload, Routine, Wait
from remora.agent.runtime import originals, process
from remora.errors import (
    ConfigError,
    RequestRefusedError,
    ServerUnreachableError,
    TokenRefusedError,
    WireError,
)
from remora.pythons import Interpreter, is_version, shut_out_by, split_name
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remora.agent.reporting import Client
    from remora.protocol import Instance

LOOK_S = 2.0
"""Between two looks. A child is judged at the second that sees it: what lives shorter
is not worth a line, and by then it runs the program that it was started for."""

LISTED = 20
"""At a time: an app that starts more of them does so by a loop, which 20 lines show."""

AGAIN_S = 3600.0
"""A registered child is registered again: the server forgets those that say nothing."""

_THREADS = 200
"""Of one process that are looked at: each costs a file, read in a step of its own."""

_FOUND = 200
"""Processes of one look: an app that builds others starts thousands."""

_OFF = frozenset(f"REMORA_ENABLED={word}" for word in ("0", "false", "no", "off"))
"""What the boot code obeys: such a child is left alone because somebody wants it so."""

_FAILURES = (
    ServerUnreachableError,
    WireError,
    ConfigError,
    TokenRefusedError,
    RequestRefusedError,
)


def judge(
    program: str, command: Sequence[str], entries: Sequence[str]
) -> tuple[str, str]:
    """Name of a Python and why the agent is not in it; empty for all other processes.

    `entries` are its variables as the system has them. Who may read the name of its
    program may read them.
    """
    implementation, version = split_name(os.path.basename(program)) or ("", "")  # noqa: PTH119 - pathlib is not needed
    if not is_version(version, parts=2) or not _OFF.isdisjoint(entries):
        return "", ""
    python = Interpreter(program, implementation, version, shut_out_by(command[1:]))
    if python.refusal:
        return python.name, python.refusal
    if not process.leads_to_the_agent(entries):
        return python.name, (
            f"{program} was started with another PYTHONPATH, which does not lead to "
            "the agent: hand on the one of its parent"
        )
    return "", ""


class Children:
    """Keeps the list of unserved children on the server. A task of the worker."""

    is_settled = True

    def __init__(
        self,
        client: Client,
        identity: Callable[[], Instance],
        is_registered: Callable[[], bool],
    ) -> None:
        self._client = client
        self._identity = identity
        self._is_registered = is_registered
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._seen: set[int] = set()
        self._judged: dict[int, str] = {}
        self._served: set[int] = set()
        self._listed: dict[int, Instance] = {}
        self._due: dict[int, float] = {}

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """One routine, for ever."""
        return (self._run,)

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Nothing here waits for company."""

    def end(self) -> None:
        """The children may live on: the server lists them for a day more."""

    def close(self) -> None:
        """There is nothing to give back: the link closes the connections."""

    def after_fork_in_child(self) -> None:
        """The parent's children are none of ours."""
        self._start_afresh()

    def _run(self) -> Routine[None]:
        while True:
            now = yield Wait()
            yield Wait(until=now + LOOK_S)
            yield from self._look()
            try:
                yield from self._tell()
            except _FAILURES:
                # the link says what is wrong; the next look tries again
                continue

    def _look(self) -> Routine[None]:
        """Judge who was there at the last look as well."""
        siblings = yield from self._siblings()
        found = yield from self._find(siblings)
        for pid in sorted(found.keys() & self._seen):
            if len(self._listed) >= LISTED:
                break
            # one that was forked may still run another program, as may a shell
            program = process.program_of(pid)
            if self._judged.get(pid) != program and not self._is_fork(pid, found[pid]):
                self._judged[pid] = program
                self._judge(pid, found[pid], program)
                yield Wait()
        self._seen = set(found)
        known = self._seen | siblings.keys()
        self._judged = {k: v for k, v in self._judged.items() if k in known}
        self._served &= known

    def _siblings(self) -> Routine[dict[int, int]]:
        """The children of the master of this process, where it has one."""
        identity = self._identity()
        if identity.master is None or originals.getppid() != identity.parent_pid:
            return {}
        return (yield from _children(identity.parent_pid))

    def _find(self, siblings: Mapping[int, int]) -> Routine[dict[int, int]]:
        """Whom to look at, each with its parent."""
        found = yield from _children(originals.getpid())
        if self._is_eldest(siblings):
            found |= siblings
            found.pop(originals.getpid(), None)
        waiting = list(found)
        for pid in waiting:
            if len(found) >= _FOUND:
                break
            if self._hides_children(pid):
                below = yield from _children(pid)
                waiting += below.keys() - found.keys()
                found = below | found
        return found

    def _is_eldest(self, siblings: Mapping[int, int]) -> bool:
        """Whether it is the one that looks at what their master has started."""
        own = originals.getpid()
        return not any(
            pid < own and (pid in self._served or process.was_forked(pid))
            for pid in siblings
        )

    def _is_fork(self, pid: int, parent: int) -> bool:
        """Whether it still runs the program of a parent that the agent is in."""
        served = {originals.getpid(), self._identity().parent_pid}
        return parent in served and process.was_forked(pid)

    def _hides_children(self, pid: int) -> bool:
        """Whether the agent is not in it, and so nobody looks at what it starts."""
        program = process.program_of(pid)
        return pid in self._listed or bool(program and not _is_python(program))

    def _judge(self, pid: int, parent: int, program: str) -> None:
        command = process.read_words(pid, "cmdline")
        python, why = judge(program, command, process.read_words(pid, "environ"))
        if why:
            self._due[pid] = 0.0
            self._listed[pid] = replace(
                self._identity(),
                id=process.identity(pid),
                pid=pid,
                parent_pid=parent,
                started=originals.time_ns(),
                python=python,
                command=shown_command(command),
                role="unserved",
                note=why,
                master=None,
            )
        elif _is_python(program):
            self._served.add(pid)

    def _tell(self) -> Routine[None]:
        if not self._is_registered():
            return
        for pid, instance in list(self._listed.items()):
            now = yield Wait()
            # Who started it may have ended before it: then it is no child any more.
            if process.identity(pid) != instance.id:
                if self._due[pid]:
                    reason = "the process has ended"
                    goodbye = {"instance": instance.id, "reason": reason}
                    yield from self._post("goodbye", goodbye)
                del self._listed[pid], self._due[pid]
            elif now >= self._due[pid]:
                yield from self._post("register", {"instance": instance.to_json()})
                self._due[pid] = now + AGAIN_S

    def _post(self, name: str, message: Mapping[str, object]) -> Routine[None]:
        path = f"/agent/v1/{name}"
        yield from self._client.request("POST", path, Payload.of(message))


def _children(pid: int) -> Routine[dict[int, int]]:
    """The living children of a process, each with its parent."""
    found: dict[int, int] = {}
    for thread in process.threads(pid)[:_THREADS]:
        found.update(dict.fromkeys(process.children_of(pid, thread), pid))
        yield Wait()
    return found


def _is_python(program: str) -> bool:
    return split_name(os.path.basename(program)) is not None  # noqa: PTH119 - pathlib is not needed
