"""Who this process is for a server: made at start, and anew in each forked child."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from remora.agent.runtime import facts, originals, process
from remora.protocol import Instance
from remora.values import replace
from remora.version import __version__

if TYPE_CHECKING:
    from remora.agent.config import Settings

_TEXT_LIMIT = 400

_SECRET_WORDS = ("password", "passwd", "secret", "token", "key")


def make_instance(settings: Settings, *, master: Instance | None, why: str) -> Instance:
    """This process as an instance; `why` is set for one that only forks others."""
    return Instance(
        id=originals.urandom(16).hex(),
        app=settings.text("app"),
        env=settings.text("env"),
        version=settings.text("version"),
        host=os.uname().nodename,
        pid=originals.getpid(),
        parent_pid=originals.getppid(),
        started=originals.time_ns(),
        python=f"CPython {facts.PYTHON}" if facts.IS_CPYTHON else facts.PYTHON,
        agent=__version__,
        container=process.container(),
        command=shown_command(process.command_line()),
        role="master" if why else "serving",
        note=why,
        master=master,
    )


def spawning_master(settings: Settings) -> Instance | None:
    """The master that has spawned this process, which has no connection of its own."""
    spawned = process.spawned_by()
    if spawned is None:
        return None
    command, identity, why = spawned
    own = make_instance(settings, master=None, why=why)
    return replace(
        own,
        id=identity,
        pid=own.parent_pid,
        parent_pid=0,
        command=shown_command(command),
    )


def shown_command(words: list[str]) -> str:
    """The command without what follows an option that sounds like a secret."""
    shown: list[str] = []
    hides_next = False
    for word in words:
        name, equals, _ = word.partition("=")
        secret = any(part in name.lower() for part in _SECRET_WORDS)
        if hides_next:
            shown.append("[redacted]")
        elif secret and equals:
            shown.append(f"{name}=[redacted]")
        else:
            shown.append(word)
        hides_next = secret and not equals and word.startswith("-")
    return " ".join(shown)[:_TEXT_LIMIT]
