"""`remora token list|create|revoke`."""

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


def list_tokens(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora token list`."""
    with open_client(arguments, environ) as client:
        tokens = client.tokens()
    if arguments.json:
        print_json(sys.stdout, {"tokens": tokens})
    else:
        show_tokens(open_output(sys.stdout, environ), tokens)
    return 0


def show_tokens(output: Output, tokens: Sequence[JsonObject]) -> None:
    """Print the tokens as a table."""
    table = Table(("id", "kind", "name", "app", "access", "created"))
    for token in tokens:
        texts = [get_text(token, key) for key in table.columns[:-1]]
        created = format_date(get_number(token, "created"))
        table.rows.append((*map(Span, texts), Span(created, "dim")))
    output.table(table)


def create_token(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora token create`: its value alone goes to standard output."""
    if arguments.kind == "operator" and arguments.app is not None:
        arguments.parser.error("--app binds agent tokens; an operator sees all apps")
    if arguments.kind == "agent" and arguments.access is not None:
        arguments.parser.error("--access belongs to operator tokens")
    wanted: dict[str, object] = {"kind": arguments.kind, "name": arguments.name}
    if arguments.app is not None:
        wanted["app"] = arguments.app
    if arguments.kind == "operator":
        wanted["access"] = arguments.access or "full"
    with open_client(arguments, environ) as client:
        answer = client.create_token(wanted)
    if arguments.json:
        print_json(sys.stdout, answer)
        return 0
    print("this is the only time that the token is shown:", file=sys.stderr)
    open_output(sys.stdout, environ).line(get_text(answer, "token"))
    return 0


def revoke_token(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora token revoke`."""
    with open_client(arguments, environ) as client:
        client.revoke_token(arguments.token)
    if arguments.json:
        print_json(sys.stdout, {"revoked": arguments.token})
    else:
        open_output(sys.stdout, environ).line(f"revoked {arguments.token}")
    return 0
