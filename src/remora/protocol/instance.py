"""What an instance says of itself: who it is, and what its agent takes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.protocol.reading import Message
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Instance:
    """One running process of an app.

    `id` is random, `started` in nanoseconds since the epoch, `role` is `serving`, or
    `master` for a process that only forks others and has no connection of its own.
    """

    id: str
    app: str
    env: str
    version: str
    host: str
    pid: int
    parent_pid: int
    started: int
    python: str
    agent: str
    runtime: str = "python"
    container: str = ""
    command: str = ""
    role: str = "serving"
    note: str = ""
    master: Instance | None = None

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Instance."""
        result: dict[str, object] = {
            name: getattr(self, name)
            for name in self.__match_args__
            if name != "master"
        }
        if self.master is not None:
            result["master"] = self.master.to_json()
        return result


@frozen
class Cost:
    """What the agent takes of its process, counted by itself.

    `cpu_ms` is that of its thread and `start_cpu_ms` what its start took before, out of
    `process_cpu_ms` in all. `start_memory_bytes` is what the process has grown by in
    that start, `queued_bytes` what waits to be reported, out of `memory_bytes` in all.
    """

    threads: int
    cpu_ms: int
    start_cpu_ms: int
    process_cpu_ms: int
    queued: int
    queued_bytes: int
    start_memory_bytes: int
    memory_bytes: int

    @property
    def cpu_share(self) -> float:
        """The part of the process's CPU time that the agent's thread has used."""
        whole = self.process_cpu_ms
        return round(min(1.0, self.cpu_ms / whole), 4) if whole else 0.0

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md, section Status."""
        counts = {name: getattr(self, name) for name in self.__match_args__}
        return {**counts, "cpu_share": self.cpu_share}


_TEXTS = (
    "id",
    "app",
    "env",
    "version",
    "host",
    "python",
    "agent",
    "runtime",
    "container",
    "command",
    "role",
    "note",
)
_NUMBERS = ("pid", "parent_pid", "started")
_OPTIONAL = {"runtime", "container", "command", "role", "note"}
_TEXT_LIMIT = 500


def parse_instance(value: object, *, with_master: bool = True) -> Instance:
    """Read an instance from the wire. Raises WireError."""
    if not isinstance(value, dict):
        raise WireError(f"instance {str(value)[:60]!r} is no object")
    table: Mapping[str, object] = value
    texts: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for key in _TEXTS:
        text = table.get(key)
        if text is None and key in _OPTIONAL:
            continue
        if not isinstance(text, str) or len(text) > _TEXT_LIMIT:
            raise WireError(
                f"instance.{key} = {str(text)[:60]!r} is no text of at most "
                f"{_TEXT_LIMIT} signs"
            )
        texts[key] = text
    for key in _NUMBERS:
        number = table.get(key)
        if type(number) is not int or not 0 <= number < 2**63:
            raise WireError(
                f"instance.{key} = {str(number)[:60]!r} is no positive integer"
            )
        numbers[key] = number
    if not texts["id"] or not texts["app"]:
        raise WireError("instance.id and instance.app must not be empty")
    if texts.get("role", "serving") not in {"serving", "master", "unserved"}:
        raise WireError(f"instance.role = {texts['role']!r} is not known")
    master = table.get("master") if with_master else None
    return Instance(
        **texts,  # pyright: ignore[reportArgumentType] - the keys were checked above
        **numbers,  # pyright: ignore[reportArgumentType] - the keys were checked above
        master=None if master is None else parse_instance(master, with_master=False),
    )


def parse_cost(value: object) -> Cost:
    """Read a cost from the wire. Raises WireError."""
    message = Message(value, "cost")
    return Cost(**{key: message.count(key) for key in Cost.__match_args__})
