"""What /proc says of a process, and which processes are meant by a text."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remora.errors import AttachError, NoSuchProcessError

_TRACKER = "multiprocessing.resource_tracker"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was when it was read.

    `owner` is the user it runs as, `files_owner` whose its files in /proc are: root's,
    and not the owner's, where it has made itself untraceable.
    """

    pid: int
    parent: int
    name: str
    state: str
    owner: int
    files_owner: int
    tracer: int
    has_program: bool
    command: tuple[str, ...]


def read_process(pid: int) -> Process:
    """Read it. Raises NoSuchProcessError, and AttachError where there is no /proc."""
    if not Path("/proc/self/status").exists():
        raise AttachError(
            "attach and detach need Linux with /proc: start the app with `remora run`"
        )
    folder = Path(f"/proc/{pid}")
    try:
        status = _read_status(folder)
        command = folder.joinpath("cmdline").read_bytes()
        return Process(
            pid,
            parent=int(status.get("PPid", "0")),
            name=status.get("Name", ""),
            state=status.get("State", "?")[:1],
            owner=int(status.get("Uid", "0").split()[0]),
            files_owner=folder.stat().st_uid,
            tracer=int(status.get("TracerPid", "0")),
            has_program=status.get("Kthread", "0") == "0" and "VmSize" in status,
            command=tuple(command.decode("utf-8", "replace").split("\0")[:-1]),
        )
    except (FileNotFoundError, ProcessLookupError):
        raise NoSuchProcessError(
            f"there is no process {pid}: look for it with ps; inside a container a "
            "process has another number than outside"
        ) from None


def _read_status(folder: Path) -> dict[str, str]:
    text = folder.joinpath("status").read_text("utf-8", "replace")
    rows = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in rows}


def check_process(process: Process) -> None:
    """Refuse what cannot have an agent, whoever asks. Raises AttachError."""
    pid = process.pid
    if process.state in "ZX":
        raise AttachError(
            f"process {pid} ({process.name}) has ended and waits only for its parent "
            "to notice: nothing runs there any more"
        )
    if not process.has_program:
        raise AttachError(
            f"process {pid} ({process.name}) is a thread of the kernel and no program"
        )
    if pid == os.getpid():
        raise AttachError(f"process {pid} is this very command: give another number")


def is_stopped(pid: int) -> bool:
    """Whether it was stopped, by SIGSTOP or by Ctrl-Z."""
    return read_process(pid).state == "T"


def is_runnable(thread: int) -> bool:
    """Whether a thread would run if a processor were free."""
    try:
        text = Path(f"/proc/{thread}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in {"R", "t"}


def threads_of(pid: int) -> list[int]:
    """The numbers of its threads, the main one first."""
    try:
        found = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda thread: (thread != pid, thread))


def read_system_call(pid: int, thread: int) -> list[int]:
    """The system call a thread sleeps in, with its arguments; empty where it runs."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/syscall").read_text("ascii")
    except OSError:
        return []
    words = text.split()
    if not words or not words[0].isdigit():
        return []
    return [int(words[0]), *(int(word, 16) for word in words[1:])]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `find_processes` has found: those to serve, and why others are left."""

    serving: tuple[int, ...]
    left: tuple[tuple[int, str], ...]


def find_processes(text: str) -> Choice:
    """Every process with this text in its command, and their children.

    Workers that a server spawns have a command that does not name it. This command and
    those that have started it carry the text too, and are not meant.
    """
    serving: list[int] = []
    left: list[tuple[int, str]] = []
    for process in _find_family(text):
        if not process.has_program:
            continue
        reason = _reason_to_leave(process)
        if reason:
            left.append((process.pid, reason))
        else:
            serving.append(process.pid)
    return Choice(tuple(serving), tuple(left))


def _find_family(text: str) -> list[Process]:
    """Those with the text, and all that descends from them, but not through us."""
    ours = _ancestors()
    present: list[Process] = []
    for name in (path.name for path in Path("/proc").iterdir()):
        if name.isdigit():
            with suppress(NoSuchProcessError):
                present.append(read_process(int(name)))
    found = {
        process.pid
        for process in present
        if process.pid not in ours and text in " ".join(process.command)
    }
    grown = 0
    while grown != len(found):
        grown = len(found)
        found |= {process.pid for process in present if process.parent in found}
    return sorted(
        (process for process in present if process.pid in found),
        key=lambda process: process.pid,
    )


def _reason_to_leave(process: Process) -> str:
    if process.state in "ZX":
        return "it has ended"
    if any(_TRACKER in word for word in process.command):
        return "multiprocessing's resource tracker: it serves nobody"
    try:
        text = Path(f"/proc/{process.pid}/maps").read_text("utf-8", "replace")
    except OSError:
        # attaching will say what the kernel has against it
        return ""
    if "python" not in text and "python" not in " ".join(process.command[:1]):
        return f"{process.name} is no Python"
    return ""


def _ancestors() -> set[int]:
    found: set[int] = set()
    pid = os.getpid()
    while pid:
        found.add(pid)
        try:
            status = _read_status(Path(f"/proc/{pid}"))
        except OSError:
            break
        pid = int(status.get("PPid", "0"))
    return found
