"""`remora attach` and `remora detach`: from settings and a number to what became of it.

The settings are read and checked here, where a person can be told; the target gets
what is not a default, and the contents of the probe files and of the token file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from remora.agent.config import SETTINGS
from remora.boot.attach.injector import Injection
from remora.boot.attach.luggage import pack_start, pack_stop
from remora.errors import AgentNotStartedError, AttachError, CommandError

if TYPE_CHECKING:
    from remora.agent.config import Settings
    from remora.boot.attach.injector import Parcel, Say

_OWN_SOURCES = frozenset({"default", "name of the program"})
"""Settings from there are left to the target: its program has another name."""

_FILES = ("ca_file", "client_cert", "client_key")


@dataclass(frozen=True, slots=True)
class Report:
    """What a process has answered.

    `state` is started, present (it had an agent), stopped or absent (it had none);
    `way` how the text got in, `paused_s` how long one thread stood still.
    """

    pid: int
    state: str
    way: str
    paused_s: float
    app: str = ""
    python: str = ""
    agent: str = ""
    inner_pid: int = 0
    note: str = ""
    server: str = ""
    is_connected: bool = False
    probes: tuple[tuple[str, str, str], ...] = field(default=())


def check_attach(settings: Settings) -> None:
    """Refuse settings that make no sense for a process that runs already."""
    if not settings.flag("enabled"):
        raise CommandError(
            "REMORA_ENABLED is off here, so that nothing is attached: unset it"
        )
    records = settings.text("records")
    if records == "-":
        raise CommandError(
            "records cannot go to standard error here, which is the process's own and "
            "not this terminal: give --records a file, or --server"
        )
    if settings.text("server"):
        return
    if not records:
        raise CommandError(
            "nobody would hear of the records: give --server URL, or --records FILE "
            "with --probes FILE"
        )
    if not settings.texts("probes") and settings.text("protect") == "off":
        raise CommandError(
            "the agent would have nothing to do: give --probes FILE, --protect MODE, "
            "or --server URL"
        )


def pack(settings: Settings) -> Parcel:
    """What starts the agent with these settings, in any number of processes."""
    given = {
        setting.name: settings.values[setting.name]
        for setting in SETTINGS
        if settings.sources[setting.name] not in _OWN_SOURCES
    }
    # what the file says travels instead, and is on no command line
    given.pop("token_file", None)
    if settings.text("token"):
        given["token"] = settings.text("token")
    return pack_start(given, settings.texts("probes") + settings.texts("rules"))


def attach(
    pid: int, settings: Settings, parcel: Parcel, *, timeout_s: float, say: Say
) -> Report:
    """Start the agent in that process. Raises AttachError and its kinds."""
    _check_files(pid, settings)
    return _send(pid, parcel, timeout_s, say)


def detach(pid: int, *, timeout_s: float, say: Say) -> Report:
    """Stop the agent in that process, and take away what has travelled."""
    return _send(pid, pack_stop(), timeout_s, say)


def _check_files(pid: int, settings: Settings) -> None:
    """Files of TLS are read by the process, in its own file system."""
    for name in _FILES:
        path = settings.text(name)
        root = Path(f"/proc/{pid}/root")
        if path and root.exists() and not Path(f"{root}{path}").exists():
            raise AttachError(
                f"process {pid} has no file {path!r}, which {name} names: copy it to "
                "where the process sees it, for example into its container"
            )


def _send(pid: int, parcel: Parcel, timeout_s: float, say: Say) -> Report:
    injection = Injection(pid, parcel, timeout_s=timeout_s, say=say)
    answer = _read(pid, injection.run())
    if "error" in answer:
        raise AgentNotStartedError(
            f"process {pid} goes on without the agent: {_text(answer, 'text')}"
        )
    return Report(
        pid,
        state=_text(answer, "state"),
        way=injection.way,
        paused_s=injection.paused_s,
        app=_text(answer, "app"),
        python=_text(answer, "python"),
        agent=_text(answer, "agent"),
        inner_pid=answer["inner_pid"] if type(answer.get("inner_pid")) is int else 0,
        note=_text(answer, "note"),
        server=_text(answer, "server"),
        is_connected=answer.get("connected") is True,
        probes=_probes(answer),
    )


def _read(pid: int, data: bytes) -> dict[str, Any]:
    """The answer of a program that may say anything."""
    try:
        answer: object = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise AgentNotStartedError(
            f"process {pid} gave no answer that can be read: its standard error may "
            "say more"
        )
    return cast("dict[str, Any]", answer)


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key, "")
    return value if isinstance(value, str) else ""


def _probes(answer: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Id, state and reason of each probe."""
    rows = answer.get("probes")
    if not isinstance(rows, list):
        return ()
    return tuple(
        (_text(row, "id"), _text(row, "state"), _text(row, "reason"))
        for row in cast("list[object]", rows)
        if isinstance(row, dict)
    )
