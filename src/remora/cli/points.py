"""`remora points`: the places that a target would reach in a running instance."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_objects, get_text
from remora.cli.connection import open_client
from remora.cli.output import Output, Span, Table, open_output, print_json
from remora.errors import RequestRefusedError
from remora.protocol import parse_target

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.cli.answers import JsonObject


def points(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora points`."""
    parse_target(arguments.pattern)
    query: dict[str, object] = {"pattern": arguments.pattern, "limit": arguments.limit}
    for key in ("app", "env", "instance"):
        if (value := getattr(arguments, key)) is not None:
            query[key] = value
    with open_client(arguments, environ) as client:
        answer = client.points(query)
    if error := get_text(answer, "error"):
        raise RequestRefusedError(error)
    if arguments.json:
        print_json(sys.stdout, answer)
    else:
        show_points(open_output(sys.stdout, environ), answer, arguments.pattern)
    return 0


def show_points(output: Output, answer: JsonObject, pattern: str) -> None:
    """Print the places as a table."""
    places = get_objects(answer, "points")
    if not places:
        output.line(f"nothing that is imported now matches {pattern!r}")
        return
    table = Table(("target", "kind", "where", "note"))
    for place in places:
        file, line = get_text(place, "file"), get_text(place, "line")
        table.rows.append(
            (
                Span(get_text(place, "target"), "magenta"),
                Span(get_text(place, "kind")),
                Span(f"{file}:{line}" if file and line not in {"", "0"} else file),
                Span(get_text(place, "note"), "dim"),
            )
        )
    output.table(table)
    if more := get_number(answer, "more"):
        output.line(Span(f"… {more} more: narrow the pattern or give --limit", "dim"))
