"""`remora run`: check, say what cannot be served, become the command."""

from __future__ import annotations

import sys

from remora.boot import (
    build_environment,
    check_run,
    exec_command,
    find_interpreter,
    is_loopback,
    register_unserved,
)
from remora.boot.run import find_command
from remora.cli.run_options import RUN_OPTIONS
from remora.errors import ServerUnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.agent.config import Settings
    from remora.cli.run_options import RunWords


def run(arguments: Namespace | RunWords, environ: Mapping[str, str]) -> int:
    """Carry out `remora run`; does not return where the command can be started."""
    command = arguments.rest
    options = {option.key: getattr(arguments, option.key) for option in RUN_OPTIONS}
    prepared = build_environment(options, environ)
    find_command(command[0], prepared)
    offer_local_token(prepared)
    settings = check_run(prepared)
    if settings.flag("enabled"):
        _name_unserved(settings, command, prepared)
    exec_command(command, prepared)


def offer_local_token(environ: dict[str, str]) -> None:
    """A server on this machine, run by this person, has left its token in a file."""
    server = environ.get("REMORA_SERVER", "")
    if environ.get("REMORA_TOKEN") or environ.get("REMORA_TOKEN_FILE"):
        return
    if not server or not is_loopback(server):
        return
    # Late, because most apps do without it and wait for this process.
    from remora.cli.places import data_folder

    path = data_folder(environ) / "agent.token"
    if path.is_file():
        environ["REMORA_TOKEN_FILE"] = str(path)


def _name_unserved(
    settings: Settings, command: Sequence[str], environ: dict[str, str]
) -> None:
    """Say at once that the command's interpreter cannot be served, and tell `ps`."""
    interpreter = find_interpreter(command, environ)
    if interpreter is None or (refusal := interpreter.refusal) is None:
        return
    print(f"remora: {refusal}", file=sys.stderr)
    environ["REMORA_UNSERVED_SAID"] = "1"
    if settings.text("server"):
        try:
            register_unserved(settings, interpreter, command)
        except ServerUnreachableError as error:
            print(f"remora: {error}", file=sys.stderr)
