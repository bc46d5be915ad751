"""The parsers of `remora attacks`, `users`, `protect` and `notify`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from remora.cli.command_parser import add_command

if TYPE_CHECKING:
    from remora.cli.command_parser import Subparsers


def add_attacks(commands: Subparsers) -> None:
    """`remora attacks` by itself lists; below it stands `show`."""
    parser = add_command(
        commands,
        "attacks",
        "attacks:list_attacks",
        "List attacks by the place in the code.",
        operator=True,
    )
    parser.add_argument("--list", action="store_true", help="list single attacks")
    _add_filters(parser, actor=True)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    show = _add_action(actions, "show", "attacks:show_attack", "Show one attack.")
    show.add_argument("attack", metavar="ID", help="id of the attack, see --list")


def add_users(commands: Subparsers) -> None:
    """`remora users` by itself lists; below it stand `show` and the blocks."""
    parser = add_command(
        commands,
        "users",
        "users:list_users",
        "List who attacks, and block them.",
        operator=True,
    )
    _add_filters(parser, actor=False)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    show = _add_action(
        actions, "show", "users:show_user", "Show what one account attacked and used."
    )
    show.add_argument("actor", metavar="ACTOR", help="user:ID or an address")
    show.add_argument("--app", metavar="NAME", help="in this app")
    for name, text in (
        ("block", "Have apps refuse the requests of somebody."),
        ("unblock", "Let somebody in again."),
    ):
        action = _add_action(actions, name, f"blocks:{name}", text)
        action.add_argument(
            "actor", metavar="ACTOR", help="user:ID, an address, or a network"
        )
        action.add_argument("--app", metavar="NAME", help="this app (default: every)")
        if name == "block":
            action.add_argument(
                "--reason", metavar="TEXT", default="", help="why, for others to read"
            )
            action.add_argument(
                "--expires", metavar="DURATION", default="", help="end, such as 1h"
            )
    _add_action(actions, "blocks", "blocks:list_blocks", "List who is blocked.")


def add_protect(commands: Subparsers) -> None:
    """`remora protect` by itself shows; below it stand the rules."""
    parser = add_command(
        commands,
        "protect",
        "protection:show_protection",
        "Show how apps are protected, and change it while they run.",
        operator=True,
    )
    parser.add_argument("--app", metavar="NAME", help="only this app")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    change = _add_action(
        actions, "set", "protection:set_mode", "Set the mode of an app or a route."
    )
    _add_rule(change)
    exception = _add_action(
        actions,
        "except",
        "protection:add_exception",
        "Let attacks at one place, route or parameter pass, for a time.",
    )
    option = exception.add_argument
    option(
        "vulnerability",
        metavar="ID",
        nargs="?",
        default=None,
        help="a vulnerability, see `remora attacks`",
    )
    _add_rule(exception, mode="watch")
    option("--parameter", metavar="NAME", default=None, help="as in query:q, a glob")
    option(
        "--place", metavar="FILE:FUNCTION", default=None, help="the app's own function"
    )
    option("--line", metavar="TEXT", default=None, help="the text of its line")
    remove = _add_action(
        actions, "remove", "protection:remove_rule", "Take a rule out again."
    )
    remove.add_argument("rule", metavar="ID", help="id of the rule")


def _add_rule(parser: argparse.ArgumentParser, mode: str = "") -> None:
    """What every rule may say; with `mode` as a default it is an exception."""
    option = parser.add_argument
    option("--app", metavar="NAME", help="this app (default: every)")
    option("--env", metavar="ENV", default=None, help="only where it runs there: prod")
    option("--detector", metavar="NAME", default=None, help="this one (default: every)")
    option("--route", metavar="GLOB", default=None, help="these routes, as in /search*")
    option(
        "--mode",
        choices=("off", "watch", "block"),
        default=mode or None,
        required=not mode,
        help="off, watch (report) or block",
    )
    option("--reason", metavar="TEXT", required=True, help="why, for others to read")
    option(
        "--expires",
        metavar="DURATION",
        default="30d" if mode else None,
        help="end, such as 7d, or never (30d)" if mode else "end, such as 7d",
    )


def add_notify(commands: Subparsers) -> None:
    """`remora notify test`."""
    text = "Try the ways by which the server tells of attacks."
    parser = commands.add_parser("notify", help=text, description=text)
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    add_command(
        actions,
        "test",
        "notify:send_test",
        "Send a notice of no attack by each way that is set.",
        operator=True,
    )


def _add_filters(parser: argparse.ArgumentParser, *, actor: bool) -> None:
    option = parser.add_argument
    option("--app", metavar="NAME", help="only in this app")
    option("--env", metavar="ENV", help="only in this environment")
    option("--since", metavar="DURATION", help="only of the last 24h, 7d, …")
    option("--detector", metavar="NAME", help="only of this detector, such as sql")
    if actor:
        option("--actor", metavar="ACTOR", help="only by user:ID or address:IP")


def _add_action(
    actions: Subparsers, name: str, handler: str, text: str
) -> argparse.ArgumentParser:
    """An action of a command that does something without one, too.

    What was given before the action's name holds for it too: it has no defaults.
    """
    return add_command(
        actions, name, handler, text, operator=True, defaults=argparse.SUPPRESS
    )
