"""What this process is: its command, its container, whether it only forks others."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from zlib import crc32

from remora.agent.config import environment
from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CONTAINER_ID_LENGTH = 64
_FORKED_NO_EXEC = 0x40
"""PF_FORKNOEXEC of the kernel, among the flags in /proc/self/stat."""

_BOOT = os.path.join("remora", "boot", "site")  # noqa: PTH118 - pathlib is not needed

_CHILDREN_BYTES = 4096
"""Some 500 children of one thread; who has more is looked at in part."""


def command_line() -> list[str]:
    """The arguments that the interpreter was started with."""
    return list(getattr(sys, "orig_argv", None) or sys.argv or [sys.executable])


def container() -> str:
    """The id of the container this process is in, or nothing."""
    for path in ("/proc/self/mountinfo", "/proc/self/cgroup"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is not needed
                text = file.read(200_000)
        except OSError:
            continue
        for part in text.replace("/", " ").replace("-", " ").replace(".", " ").split():
            if len(part) == _CONTAINER_ID_LENGTH and part.isalnum() and _is_hex(part):
                return part[:12]
    return ""


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def is_child_of_multiprocessing() -> bool:
    """Whether it ends as those do: by os._exit, once its threads have ended."""
    module = sys.modules.get("multiprocessing.process")
    parent = getattr(module, "parent_process", None)
    return parent is not None and parent() is not None


def is_main_thread() -> bool:
    """Whether this is the thread that the process began with, as far as can be told."""
    return sys.platform != "linux" or originals.get_native_id() == originals.getpid()


def master_reason() -> str:
    """Why this process is known to only start others; empty where it is not."""
    if _was_forked_by_a_python():
        # A worker that is attached to has the command of its master.
        return ""
    return _judge(command_line(), environment())


def spawned_by() -> tuple[list[str], str, str] | None:
    """Where a master has spawned this process anew: its command, an id, and why.

    The id is made of what all its children see alike, so that they name one master.
    """
    words = read_words(originals.getppid(), "cmdline")
    if _program(words[1:])[0] not in _SPAWNERS:
        # The others fork: a child that was not forked is a program of a worker's.
        return None
    entries = read_words(originals.getppid(), "environ")
    variables = {entry.partition("=")[0]: entry.partition("=")[2] for entry in entries}
    reason = _judge(words, variables)
    return (words, identity(originals.getppid()), reason) if reason else None


def is_uwsgi() -> bool:
    """Whether uWSGI is the program: its forks are seen by nobody but itself."""
    return _program(command_line()[1:])[0] in {"uwsgi", "pyuwsgi"}


def _judge(command: list[str], variables: Mapping[str, str]) -> str:
    words = command[1:]
    program, rest = _program(words)
    judge = _MASTERS.get(program)
    if judge is not None:
        return judge(rest, variables)
    if any("multiprocessing.forkserver" in word for word in words):
        return "multiprocessing's fork server"
    if any("multiprocessing.resource_tracker" in word for word in words):
        return "multiprocessing's resource tracker"
    return ""


def _was_forked_by_a_python() -> bool:
    """Whether its parent runs the same program, and it was forked and ran no other."""
    parent = program_of(originals.getppid())
    return bool(parent) and was_forked("self") and parent == program_of("self")


def was_forked(pid: int | str) -> bool:
    """Whether this process still runs the program of the one that forked it."""
    try:
        return bool(int(_read_stat(pid)[6]) & _FORKED_NO_EXEC)
    except (OSError, ValueError, IndexError):
        return False


def program_of(pid: int | str) -> str:
    """The file of the program that a process runs; empty where that is not known."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - pathlib is not needed
    except OSError:
        return ""


def hands_the_agent_on() -> bool:
    """Whether the Pythons that this process starts are to get the agent too."""
    return leads_to_the_agent([f"PYTHONPATH={environment().get('PYTHONPATH', '')}"])


def leads_to_the_agent(entries: Iterable[str]) -> bool:
    """Whether a Python with these variables (`NAME=value`) finds the boot code."""
    for entry in entries:
        name, _, value = entry.partition("=")
        if name == "PYTHONPATH":
            return any(part.endswith(_BOOT) for part in value.split(os.pathsep))
    return False


def threads(pid: int) -> list[str]:
    """The numbers of a process's threads, as the system has them."""
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - pathlib is not needed
    except OSError:
        return []


def children_of(pid: int, thread: str) -> list[int]:
    """The living processes that a thread of a process has started."""
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - pathlib is not needed
            words = file.read(_CHILDREN_BYTES).rpartition(b" ")[0].split()
            return [int(word) for word in words]
    except (OSError, ValueError):
        return []


def main_module() -> tuple[str, ...]:
    """What `__main__` is called, before it runs: names, and the end of its file."""
    option, word, _ = _main_words(command_line()[1:])
    if option == "-m":
        last = word.rpartition(".")[2]
        return "__main__", word, f"{word}.__main__", f"{last}.py", "__main__.py"
    return "__main__", os.path.basename(word)  # noqa: PTH119 - pathlib is not needed


def _program(words: list[str]) -> tuple[str, list[str]]:
    """The program's name and its own arguments, past those of the interpreter."""
    option, word, rest = _main_words(words)
    if option == "-m":
        return word.partition(".")[0], rest
    return (_script_name(word), rest) if word else ("", [])


def _main_words(words: list[str]) -> tuple[str, str, list[str]]:
    """`-m` or nothing, the module or the script, and its own arguments."""
    position = 0
    while position < len(words):
        word = words[position]
        if word == "-c":
            break
        if word == "-m" and position + 1 < len(words):
            return word, words[position + 1], words[position + 2 :]
        if word in {"-X", "-W"}:
            position += 1
        elif not word.startswith("-"):
            return "", word, words[position + 1 :]
        position += 1
    return "", "", []


def _script_name(path: str) -> str:
    """The name of a script; gunicorn starts itself anew as `gunicorn/__main__.py`."""
    folder, name = os.path.split(path)
    return os.path.basename(folder) if name == "__main__.py" else name  # noqa: PTH119


def read_words(pid: int, name: str) -> list[str]:
    """What the system keeps of a process as texts that end with a zero byte."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123 - pathlib is not needed
            text = file.read(200_000).decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return text.removesuffix("\0").split("\0") if text else []


def identity(pid: int) -> str:
    """32 hexadecimal digits: the process's id, and since when the machine has it."""
    try:
        started = int(_read_stat(pid)[19])
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123 - the same
            boot = file.read(64)
    except (OSError, ValueError, IndexError):
        started, boot = 0, b""
    return f"{crc32(boot):08x}{started & 0xFFFFFFFFFFFF:012x}{pid:012x}"


def _read_stat(pid: int | str) -> list[bytes]:
    """The words after the program's name, which may hold anything."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is not needed
        return file.read(4096).rpartition(b")")[2].split()


def _gunicorn(_arguments: list[str], _variables: Mapping[str, str]) -> str:
    return "gunicorn's master: its workers are served"


def _uvicorn(arguments: list[str], variables: Mapping[str, str]) -> str:
    if "--reload" in arguments:
        return "uvicorn's reloader: its child is served"
    workers = _text_after("--workers", arguments) or variables.get("WEB_CONCURRENCY")
    if _number(workers) > 1:
        return "uvicorn's master: its workers are served"
    return ""


def _hypercorn(arguments: list[str], _variables: Mapping[str, str]) -> str:
    workers = _text_after("--workers", arguments) or _text_after("-w", arguments)
    if workers == "0":
        return ""
    return "hypercorn's master: its workers are served"


def _celery(arguments: list[str], _variables: Mapping[str, str]) -> str:
    if "worker" not in arguments:
        return ""
    pool = _text_after("--pool", arguments) or _text_after("-P", arguments) or "prefork"
    if pool in {"prefork", "processes"}:
        return "Celery's master: its pool processes are served"
    return ""


def _django(arguments: list[str], variables: Mapping[str, str]) -> str:
    if "runserver" not in arguments or "--noreload" in arguments:
        return ""
    if variables.get("RUN_MAIN") == "true":
        return ""
    return "Django's reloader: its child is served"


def _uwsgi(_arguments: list[str], _variables: Mapping[str, str]) -> str:
    return "uWSGI before it has forked: its workers are served"


_MASTERS: dict[str, Callable[[list[str], Mapping[str, str]], str]] = {
    "gunicorn": _gunicorn,
    "uvicorn": _uvicorn,
    "hypercorn": _hypercorn,
    "celery": _celery,
    "manage.py": _django,
    "django-admin": _django,
    "django": _django,
    "uwsgi": _uwsgi,
    "pyuwsgi": _uwsgi,
}


_SPAWNERS = frozenset({"uvicorn", "hypercorn", "manage.py", "django-admin", "django"})
"""Those whose children are new processes, which no at-fork callback prepares."""


def _text_after(option: str, arguments: list[str]) -> str:
    for position, word in enumerate(arguments):
        if word == option and position + 1 < len(arguments):
            return arguments[position + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
