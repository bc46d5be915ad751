"""Which Python a command will run, found without running the command.

Follows `env`, shebang lines and pip's long-path launchers. A command that hides its
interpreter deeper (a shell script, a compiled launcher) is not looked into: the boot
code says the same thing there, only later.
"""

from __future__ import annotations

import os
import sys

from remora.boot.programs import find_program
from remora.pythons import Interpreter, is_version, shut_out_by, split_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEPTH_LIMIT = 5
_ASK = (
    "import sys;i=getattr(sys,'implementation',None);"
    "sys.stdout.write('%s %d.%d.%d'%((i.name if i else "
    "'pypy' if hasattr(sys,'pypy_version_info') else 'cpython',)"
    "+tuple(sys.version_info[:3])))"
)
_ASK_TIMEOUT_S = 5.0


def find_interpreter(
    command: Sequence[str], environ: Mapping[str, str]
) -> Interpreter | None:
    """The Python that `command` will run, or None where that cannot be seen."""
    words = list(command)
    for _ in range(_DEPTH_LIMIT):
        path = find_program(words[0], environ) if words else None
        if path is None:
            return None
        name = os.path.basename(path)
        if split_name(name):
            return _identify(path, words[1:], environ)
        if name == "env":
            words = _after_env(words[1:])
        elif shebang := read_shebang(path):
            words = [*shebang, path, *words[1:]]
        else:
            return None
    return None


def read_shebang(path: str) -> list[str]:
    """The interpreter line of a script as words; empty where there is none."""
    try:
        with open(path, "rb") as file:
            lines = file.read(1024).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    if not lines or not lines[0].startswith("#!"):
        return []
    import shlex

    try:
        if len(lines) > 1 and lines[1].startswith("'''exec' "):
            # pip writes this where the interpreter's path is too long for the kernel.
            words = shlex.split(lines[1].removeprefix("'''exec' "))
            return [word for word in words if word not in {"$0", "$@"}]
        return shlex.split(lines[0][2:])
    except ValueError:
        return []


def _after_env(words: list[str]) -> list[str]:
    """The command of `env [-S] [NAME=VALUE]… COMMAND…`."""
    import shlex

    for position, word in enumerate(words):
        if word.startswith("-S") and len(word) > 2:
            return _after_env([*shlex.split(word[2:]), *words[position + 1 :]])
        if word in {"-u", "-C"}:
            return _after_env(words[position + 2 :])
        if not word.startswith("-") and "=" not in word:
            return words[position:]
    return []


def _identify(
    path: str, arguments: Sequence[str], environ: Mapping[str, str]
) -> Interpreter | None:
    ignores = shut_out_by(arguments)
    real = os.path.realpath(path)
    if real == os.path.realpath(sys.executable):
        version = ".".join(map(str, sys.version_info[:3]))
        return Interpreter(path, sys.implementation.name, version, ignores)
    implementation, version = split_name(os.path.basename(real)) or ("", "")
    if is_version(version, parts=2):
        return Interpreter(path, implementation, version, ignores)
    # Rarely needed, and as slow to import as all the rest here together.
    import subprocess

    try:
        answer = subprocess.run(  # noqa: S603 - the very interpreter that comes next
            [path, "-E", "-S", "-c", _ASK],
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    implementation, _, version = answer.stdout.decode("ascii", "replace").partition(" ")
    if answer.returncode or not is_version(version, parts=3):
        return None
    return Interpreter(path, implementation, version, ignores)
