"""`remora config`: each setting, its value and where it comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.config import read_settings
from remora.cli.connection import find_connection
from remora.cli.output import Span, Table, open_output, print_json
from remora.cli.places import data_folder

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping


def show_settings(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora config`."""
    agent = read_settings(None, environ).explain()
    operator = explain_operator(arguments, environ)
    if arguments.json:
        print_json(sys.stdout, {"operator": operator, "agent": agent})
        return 0
    output = open_output(sys.stdout, environ)
    for title, rows in (
        ("this command line", operator),
        ("an agent started from here", agent),
    ):
        output.line(Span(title, "bold"))
        output.table(_table(rows))
    return 0


def explain_operator(
    arguments: Namespace, environ: Mapping[str, str]
) -> list[dict[str, str]]:
    """The settings of the operator's commands; the token is only named."""
    connection = find_connection(arguments, environ)
    folder_source = "XDG_DATA_HOME" if environ.get("XDG_DATA_HOME") else "default"
    ca_source = "--ca-file" if arguments.ca_file else "REMORA_CA_FILE"
    rows = (
        ("server", connection.server, connection.server_source, "server that is asked"),
        (
            "token",
            "(set)" if connection.token else "",
            connection.token_source,
            "operator token",
        ),
        (
            "ca_file",
            connection.ca_file,
            ca_source if connection.ca_file else "default",
            "certificate authorities in PEM; empty: the system's",
        ),
        (
            "data",
            str(data_folder(environ)),
            folder_source,
            "where `remora serve` keeps its files",
        ),
    )
    keys = ("name", "value", "source", "meaning")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _table(rows: list[dict[str, str]]) -> Table:
    table = Table(("name", "value", "source", "meaning"))
    for row in rows:
        table.rows.append(
            (
                Span(row["name"], "cyan"),
                Span(row["value"]),
                Span(row["source"]),
                Span(row["meaning"], "dim"),
            )
        )
    return table
