"""The agent in every Python of an environment: one `.pth` file, and its removal.

`site` carries the file's line out at each start of that environment's Python. The line
asks for the switch REMORA_ENABLED and whether the agent is still there, so that neither
a process that nobody meant nor a removed package notices anything.
"""

from __future__ import annotations

import os

from remora.boot.run import BOOT_FOLDER
from remora.errors import CommandError
from remora.pythons import Interpreter
from remora.values import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE_NAME = "remora-agent.pth"
_MARK = "# Made by `remora install`; `remora uninstall` removes it."
_LINE = (
    "import os; f = {file!r}; "
    "os.environ.get('REMORA_ENABLED', '').lower() in ('1', 'true', 'yes', 'on') "
    "and os.path.exists(f) and exec(compile(open(f).read(), f, 'exec'), "
    "{{'__name__': 'remora_agent_pth', '__file__': f}})"
)
_ASK = (
    "import json, os, sys, sysconfig;"
    "marker = os.path.join(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED');"
    "print(json.dumps({'folder': sysconfig.get_path('purelib'),"
    "'implementation': sys.implementation.name,"
    "'version': '%d.%d.%d' % tuple(sys.version_info[:3]),"
    "'is_managed': sys.prefix == sys.base_prefix and os.path.exists(marker)}))"
)
_ASK_TIMEOUT_S = 20.0


@frozen
class Environment:
    """A Python and the folder where its packages are."""

    python: str
    version: str
    folder: str

    @property
    def file(self) -> str:
        """Where the agent's file is, or would be."""
        return os.path.join(self.folder, FILE_NAME)


def find_environment(python: str, *, allow_system: bool) -> Environment:
    """Ask a Python about its environment. Raises CommandError where it is refused."""
    answer = _ask(python)
    version = str(answer["version"])
    interpreter = Interpreter(python, str(answer["implementation"]), version)
    if interpreter.refusal is not None:
        raise CommandError(interpreter.refusal)
    if answer["is_managed"] and not allow_system:
        raise CommandError(
            f"{python!r} belongs to the system, whose package manager looks after it: "
            "name a virtual environment with --prefix, or add --system"
        )
    return Environment(python, interpreter.name, str(answer["folder"]))


def python_of(prefix: str) -> str:
    """The Python of the environment in a folder. Raises CommandError."""
    python = os.path.join(prefix, "bin", "python")
    if not os.path.exists(python):
        raise CommandError(
            f"{prefix!r} is no environment: there is no {python!r}; name the folder "
            "that `python -m venv` has made"
        )
    return python


def install(environment: Environment) -> bool:
    """Write the file; False where it stood there already. Raises CommandError."""
    boot = os.path.join(BOOT_FOLDER, "sitecustomize.py")
    text = f"{_MARK}\n{_LINE.format(file=boot)}\n"
    present = _read(environment.file)
    if present == text:
        return False
    if present is not None:
        _check_ours(environment, present)
    fresh = f"{environment.file}.{os.getpid()}"
    try:
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, environment.file)
    except OSError as error:
        raise CommandError(
            f"cannot write {environment.file!r}: {error.strerror}: run this as who "
            "owns the environment"
        ) from error
    return True


def uninstall(environment: Environment) -> bool:
    """Remove the file; False where there was none. Raises CommandError."""
    present = _read(environment.file)
    if present is None:
        return False
    _check_ours(environment, present)
    try:
        os.unlink(environment.file)
    except OSError as error:
        raise CommandError(
            f"cannot remove {environment.file!r}: {error.strerror}: run this as who "
            "owns the environment"
        ) from error
    return True


def _check_ours(environment: Environment, present: str) -> None:
    if not present.startswith(_MARK):
        raise CommandError(
            f"{environment.file!r} was not made by `remora install`: look what it is, "
            "and move it away"
        )


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"cannot read {path!r}: {error.strerror}") from error


def _ask(python: str) -> dict[str, Any]:
    # Late: who runs an app with `remora run` never needs them.
    import json
    import subprocess

    command = [python, "-E", "-s", "-c", _ASK]
    try:
        answer = subprocess.run(  # noqa: S603 - the interpreter that the person names
            command,
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise CommandError(
            f"{python!r} cannot be asked about its environment "
            f"({type(error).__name__}): name a Python 3.11 or newer"
        ) from error
