"""`remora users`: who attacks, and what else they touched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_objects, get_text
from remora.cli.attacks import read_filters, show_attacks, show_vulnerabilities
from remora.cli.connection import open_client
from remora.cli.output import INDENT, Output, Span, Table, open_output, print_json
from remora.cli.records import format_count, format_date

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.answers import JsonObject


def list_users(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora users`."""
    with open_client(arguments, environ) as client:
        users = client.users(**read_filters(arguments))
    if arguments.json:
        print_json(sys.stdout, {"users": users})
        return 0
    output = open_output(sys.stdout, environ)
    if users:
        show_users(output, users)
    else:
        output.line("nobody attacks: no attack was reported, or the filters leave none")
    return 0


def show_user(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora users show`."""
    with open_client(arguments, environ) as client:
        user = client.user(arguments.actor, arguments.app or "")
    if arguments.json:
        print_json(sys.stdout, user)
    else:
        tell_user(open_output(sys.stdout, environ), user)
    return 0


def show_users(output: Output, users: Sequence[JsonObject]) -> None:
    """Print accounts as a table."""
    table = Table(
        ("actor", "app", "attacks", "blocked", "detectors", "first", "last", "state"),
        right=frozenset({"attacks", "blocked"}),
    )
    for user in users:
        table.rows.append(
            (
                Span(get_text(user, "actor"), "magenta"),
                Span(get_text(user, "app")),
                Span(str(get_number(user, "attacks"))),
                Span(str(get_number(user, "blocked"))),
                Span(_detectors(user)),
                Span(format_date(get_number(user, "first")), "dim"),
                Span(format_date(get_number(user, "last")), "dim"),
                Span("blocked", "red") if user.get("is_blocked") is True else Span(""),
            )
        )
    output.table(table)


def tell_user(output: Output, user: JsonObject) -> None:
    """Print all that is known of an account."""
    output.line(
        Span(get_text(user, "actor"), "bold magenta"), f" in {get_text(user, 'app')}"
    )
    attacks, blocked = get_number(user, "attacks"), get_number(user, "blocked")
    said = f"{format_count(attacks, 'attack')}, {blocked} blocked"
    output.line(INDENT, f"{said}: {_detectors(user)}")
    first, last = (format_date(get_number(user, key)) for key in ("first", "last"))
    output.line(INDENT, f"from {first} to {last}")
    if block := get_object(user, "block"):
        reason = get_text(block, "reason")
        output.line(
            INDENT,
            Span(f"blocked as {get_text(block, 'actor')}", "red"),
            f" by {get_text(block, 'created_by')}{f': {reason}' if reason else ''}",
        )
    if routes := get_objects(user, "routes"):
        output.line(Span("routes it touched", "bold"))
        output.table(_routes(routes))
    if found := get_objects(user, "vulnerabilities"):
        output.line(Span("places it attacked", "bold"))
        show_vulnerabilities(output, found)
    if newest := get_objects(user, "newest"):
        output.line(Span("its last attacks", "bold"))
        show_attacks(output, newest)


def _routes(routes: Sequence[JsonObject]) -> Table:
    numbers = ("attacks", "records")
    table = Table(("method", "route", *numbers), right=frozenset(numbers))
    for route in routes:
        counts = [Span(str(get_number(route, name))) for name in numbers]
        names = [Span(get_text(route, name)) for name in ("method", "route")]
        table.rows.append((*names, *counts))
    return table


def _detectors(user: JsonObject) -> str:
    names = user.get("detectors")
    return ", ".join(map(str, names)) if isinstance(names, list) else ""
