"""`remora users block|unblock|blocks`: whom apps are to refuse."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_text
from remora.cli.connection import open_client
from remora.cli.output import Output, Span, Table, open_output, print_json
from remora.cli.records import format_date

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.answers import JsonObject


def block(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora users block`."""
    wanted: dict[str, object] = {
        "actor": arguments.actor,
        "app": arguments.app or "",
        "reason": arguments.reason,
        "expires": arguments.expires,
    }
    with open_client(arguments, environ) as client:
        made = client.block(wanted)
    if arguments.json:
        print_json(sys.stdout, made)
        return 0
    expires = get_number(made, "expires_at")
    until = f"until {format_date(expires)}" if expires else "until unblocked"
    place = _place(get_text(made, "app"))
    output = open_output(sys.stdout, environ)
    output.line(f"blocked {get_text(made, 'actor')} {place} {until}")
    return 0


def unblock(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora users unblock`."""
    app = arguments.app or ""
    with open_client(arguments, environ) as client:
        client.unblock(arguments.actor, app)
    if arguments.json:
        print_json(sys.stdout, {"unblocked": arguments.actor, "app": app})
    else:
        output = open_output(sys.stdout, environ)
        output.line(f"unblocked {arguments.actor} {_place(app)}")
    return 0


def list_blocks(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora users blocks`."""
    with open_client(arguments, environ) as client:
        blocks = client.blocks()
    if arguments.json:
        print_json(sys.stdout, {"blocks": blocks})
        return 0
    output = open_output(sys.stdout, environ)
    if blocks:
        show_blocks(output, blocks)
    else:
        output.line("nobody is blocked")
    return 0


def show_blocks(output: Output, blocks: Sequence[JsonObject]) -> None:
    """Print blocks as a table."""
    table = Table(("actor", "app", "expires", "by", "created", "reason"))
    for each in blocks:
        expires = get_number(each, "expires_at")
        table.rows.append(
            (
                Span(get_text(each, "actor"), "magenta"),
                Span(get_text(each, "app") or "(every)"),
                Span(format_date(expires) if expires else "never"),
                Span(get_text(each, "created_by")),
                Span(format_date(get_number(each, "created")), "dim"),
                Span(get_text(each, "reason")),
            )
        )
    output.table(table)


def _place(app: str) -> str:
    return f"in {app}" if app else "in every app"
