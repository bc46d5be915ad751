"""Lists the Pythons that this process has started and that the agent is not in.

The boot code in PYTHONPATH gets into every Python that an app starts, but for those
that are too old, that are told to look away (`-I`, `-E`, `-S`), or that get another
environment. They are left alone, and registered as unserved, so that `ps` names them.
Only living children are looked at; those of a shell or of another child are not.
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
"""Of this process that are looked at: each costs a file, read in a step of its own."""

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
        self._judged: set[int] = set()
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
            living = yield from self._look()
            try:
                yield from self._tell(living)
            except _FAILURES:
                # the link says what is wrong; the next look tries again
                continue

    def _look(self) -> Routine[set[int]]:
        """Judge who was there at the last look; returns who is there now."""
        living: set[int] = set()
        for thread in process.threads()[:_THREADS]:
            living.update(process.children_of(thread))
            yield Wait()
        for pid in sorted((living & self._seen) - self._judged):
            if len(self._listed) >= LISTED:
                break
            if process.was_forked(pid):
                # not judged: it may still run another program
                continue
            self._judged.add(pid)
            self._judge(pid)
            yield Wait()
        self._seen = living
        self._judged &= living
        return living

    def _judge(self, pid: int) -> None:
        command = process.read_words(pid, "cmdline")
        program = process.program_of(pid)
        python, why = judge(program, command, process.read_words(pid, "environ"))
        if why:
            self._due[pid] = 0.0
            self._listed[pid] = replace(
                self._identity(),
                id=process.identity(pid),
                pid=pid,
                parent_pid=originals.getpid(),
                started=originals.time_ns(),
                python=python,
                command=shown_command(command),
                role="unserved",
                note=why,
                master=None,
            )

    def _tell(self, living: set[int]) -> Routine[None]:
        if not self._is_registered():
            return
        for pid, instance in list(self._listed.items()):
            now = yield Wait()
            if pid not in living:
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
