"""What can be typed: every command and option, as one tree of parsers.

docs/reference/cli.md is checked against this tree by a test.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from remora.cli.command_parser import CommandParser, add_command
from remora.cli.parser_access import add_key, add_token
from remora.cli.parser_attacks import add_attacks, add_notify, add_protect, add_users
from remora.cli.probe_parser import add_probe, add_validity
from remora.cli.run_options import RUN_OPTIONS
from remora.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.cli.command_parser import Subparsers

DEFAULT_ATTACH_S = 30.0
"""How long `attach` waits for each process: outlasts all but the longest C calls."""


def build_parser() -> CommandParser:
    """The parser of `remora`."""
    parser = CommandParser(
        prog="remora",
        description="Probe running Python programs: no restart, no change of source.",
        epilog="Every command: remora COMMAND --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"remora {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for add in _COMMANDS:
        add(commands)
    return parser


def _add_run(commands: Subparsers) -> None:
    parser = add_command(
        commands, "run", "run:run", "Run a command with the agent inside it."
    )
    parser.usage = "remora run [options] -- COMMAND [ARGUMENT ...]"
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """The settings of an agent that is about to be started."""
    for option in RUN_OPTIONS:
        parser.add_argument(
            f"--{option.name}",
            metavar=option.metavar,
            help=option.text,
            choices=option.choices,
            action="append" if option.repeats else "store",
        )


def _add_install(commands: Subparsers) -> None:
    for name, text in (
        ("install", "Start the agent with every Python of an environment."),
        ("uninstall", "Take the agent out of an environment again."),
    ):
        parser = add_command(commands, name, f"install:{name}", text)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--prefix", metavar="DIR", help="folder of a virtual environment"
        )
        which.add_argument(
            "--python", metavar="PYTHON", help="its Python (default: that of remora)"
        )
        parser.add_argument(
            "--system",
            action="store_true",
            help="also where the system's package manager looks after that Python",
        )


def _add_attach(commands: Subparsers) -> None:
    parser = add_command(
        commands,
        "attach",
        "attach:attach_processes",
        "Get the agent into processes that run already.",
    )
    _add_processes(parser)
    _add_settings(parser)


def _add_detach(commands: Subparsers) -> None:
    parser = add_command(
        commands,
        "detach",
        "attach:detach_processes",
        "Take the agent out of processes again.",
    )
    _add_processes(parser)


def _add_processes(parser: argparse.ArgumentParser) -> None:
    """Which processes, and for how long they are waited for."""
    option = parser.add_argument
    option("pid", metavar="PID", nargs="*", help="number of a process")
    option("--all", action="store_true", help="all processes that --match finds")
    option("--match", metavar="TEXT", help="with --all: text that is in their commands")
    option(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=DEFAULT_ATTACH_S,
        help=f"how long each process is waited for ({DEFAULT_ATTACH_S:g})",
    )


def _add_serve(commands: Subparsers) -> None:
    parser = add_command(commands, "serve", "serve:serve", "Run the server.")
    option = parser.add_argument
    option("--host", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    option("--port", metavar="PORT", type=int, help="port to listen on (7878)")
    option("--data", metavar="DIR", help="folder of the database and the tokens")
    option("--keep", metavar="DURATION", help="age at which records go, such as 7d")
    option(
        "--max-size", metavar="SIZE", help="size at which the oldest go, such as 2GB"
    )
    option(
        "--keep-attacks",
        metavar="DURATION",
        help="age at which attacks go, such as 90d",
    )
    option("--tls-cert", metavar="FILE", help="certificate in PEM")
    option("--tls-key", metavar="FILE", help="its private key in PEM")
    option("--client-ca", metavar="FILE", help="agents must show a certificate of it")
    option(
        "--insecure",
        action="store_true",
        help="listen on an address that is not loopback without TLS",
    )
    option("--public-url", metavar="URL", help="address under which others reach it")
    option("--notify-webhook", metavar="URL", help="post a notice of attacks there")
    option("--notify-secret", metavar="FILE", help="secret that signs what is posted")
    option(
        "--notify-syslog",
        metavar="URL",
        help="send a notice of attacks to udp://HOST:PORT or tcp://HOST:PORT",
    )
    option(
        "--notify-every",
        metavar="DURATION",
        help="pause between two notices of one vulnerability (5m)",
    )


def _add_ps(commands: Subparsers) -> None:
    parser = add_command(
        commands, "ps", "instances:ps", "List instances.", operator=True
    )
    option = parser.add_argument
    option("--app", metavar="NAME", help="only this app")
    option("--env", metavar="ENV", help="only this environment")
    option(
        "--state",
        metavar="STATE",
        choices=("connected", "silent", "gone", "idle", "unserved"),
        help="only this state: connected, silent, gone, idle or unserved",
    )


def _add_pack(commands: Subparsers) -> None:
    text = "List and show the packs of probes, and apply one."
    parser = commands.add_parser("pack", help=text, description=text)
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    add_command(
        actions, "list", "packs:list_packs", "List the packs that come with it."
    )
    show = add_command(actions, "show", "packs:show_pack", "Print a pack, as TOML.")
    apply = add_command(
        actions,
        "apply",
        "packs:apply_pack",
        "Add or replace all probes of a pack on the server.",
        operator=True,
    )
    for action in (show, apply):
        action.add_argument("pack", metavar="PACK", help="name of a pack, or a file")
    option = apply.add_argument
    option("--app", metavar="NAME", help="only for this app")
    option("--env", metavar="ENV", help="only for this environment")
    option(
        "--mode",
        choices=("off", "watch", "block"),
        help="mode of its protect probes: off, watch or block",
    )
    option("--key", metavar="FILE", help="sign with the private key of this file")
    add_validity(apply)


def _add_points(commands: Subparsers) -> None:
    parser = add_command(
        commands,
        "points",
        "points:points",
        "List the places of a running instance that a target would reach.",
        operator=True,
    )
    option = parser.add_argument
    option("pattern", metavar="PATTERN", help="a target, mostly a glob")
    option("--app", metavar="NAME", help="ask an instance of this app")
    option("--env", metavar="ENV", help="ask an instance of this environment")
    option("--instance", metavar="ID", help="ask this instance")
    option("--limit", metavar="N", type=int, default=100, help="most places (100)")


def _add_tail(commands: Subparsers) -> None:
    parser = add_command(
        commands, "tail", "tail:tail", "Show records live.", operator=True
    )
    parser.add_argument("probe", metavar="PROBE", nargs="*", help="only these probes")
    parser.add_argument("--instance", metavar="ID", help="only this instance")


def _add_config(commands: Subparsers) -> None:
    add_command(
        commands,
        "config",
        "settings:show_settings",
        "Show every setting, its value and where it comes from.",
        operator=True,
    )


def _add_demo(commands: Subparsers) -> None:
    parser = add_command(commands, "demo", "demo:demo", "Watch remora work on a shop.")
    parser.add_argument(
        "--check", action="store_true", help="do it unattended and verify each step"
    )
    parser.add_argument("--port", metavar="PORT", type=int, help="port of the pages")
    parser.add_argument("--data", metavar="DIR", help="folder for its files")


_COMMANDS: tuple[Callable[[Subparsers], None], ...] = (
    _add_serve,
    _add_run,
    _add_install,
    _add_attach,
    _add_detach,
    _add_ps,
    add_probe,
    _add_pack,
    _add_points,
    _add_tail,
    add_attacks,
    add_users,
    add_protect,
    add_notify,
    add_token,
    add_key,
    _add_config,
    _add_demo,
)
