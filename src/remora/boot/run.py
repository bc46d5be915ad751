"""`remora run`: the environment that carries the agent into a command, and the exec.

The command gets our process id, our terminal and our signals: nothing of ours stays
between it and whoever started it. All that can be refused is refused before.
"""

from __future__ import annotations

import os
import sys

from remora.agent.config import Settings, read_settings
from remora.boot.programs import find_program
from remora.errors import CommandError, CommandNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

BOOT_FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "site")
"""The folder that goes first in PYTHONPATH; it holds nothing but sitecustomize.py."""

_PATHS = frozenset({"ca_file", "client_cert", "client_key", "token_file"})
"""Settings that name a file: made absolute, because the app may change its folder."""


def build_environment(
    options: Mapping[str, str | Sequence[str] | None], environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a command with the agent in it.

    `options` are settings by name as the command line gives them; None leaves what
    `environ` says.
    """
    result = dict(environ)
    for name, value in options.items():
        if value is None:
            continue
        result[f"REMORA_{name.upper()}"] = _setting_text(name, value)
    if options.get("token") is not None:
        result.pop("REMORA_TOKEN_FILE", None)
    entries = [BOOT_FOLDER]
    if existing := environ.get("PYTHONPATH"):
        # An empty entry means the current folder and has to stay one.
        entries += [part for part in existing.split(os.pathsep) if part != BOOT_FOLDER]
    result["PYTHONPATH"] = os.pathsep.join(entries)
    return result


def _setting_text(name: str, value: str | Sequence[str]) -> str:
    if not isinstance(value, str):
        return os.pathsep.join(_absolute(part) for part in value)
    if name in _PATHS or (name == "records" and value != "-"):
        return _absolute(value)
    return value


def _absolute(path: str) -> str:
    return os.path.join(os.getcwd(), os.path.expanduser(path)) if path else path


def check_run(environ: Mapping[str, str]) -> Settings:
    """Refuse settings and probe files that the agent would refuse.

    Raises what the agent would say, while there is a person to read it.
    """
    settings = read_settings(None, environ)
    token = settings.text("token")
    if token.startswith("rmo_"):
        raise CommandError(
            f"the token from {settings.sources['token']} is an operator token (rmo_…): "
            "an app needs an agent token (rma_…); make one with "
            "`remora token create agent`"
        )
    if paths := settings.texts("probes"):
        from remora.agent.control import read_probe_files

        read_probe_files(paths)
    if paths := settings.texts("rules"):
        from remora.agent.control.rule_files import read_rule_files

        read_rule_files(paths)
    return settings


def exec_command(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become `command`. Raises CommandNotFoundError or CommandError."""
    path = find_command(command[0], environ)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(path, list(command), dict(environ))  # noqa: S606 - the person's own command
    except OSError as error:
        raise CommandError(
            f"cannot start {path!r}: {error.strerror}: check that it is a program for "
            "this machine and that its interpreter exists"
        ) from error


def find_command(name: str, environ: Mapping[str, str]) -> str:
    """The file that `name` means, looked up as a shell does."""
    path = find_program(name, environ)
    if path is None:
        exists = os.sep in name and os.path.exists(name)
        what = "is no program that may be started" if exists else "was not found"
        remedy = "make it executable" if exists else "check its name and PATH"
        raise CommandNotFoundError(f"the command {name!r} {what}: {remedy}")
    return path
