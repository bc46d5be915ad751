"""`remora attacks`: attacks by the place in the code, one by one, and one by itself."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_objects, get_text
from remora.cli.connection import open_client
from remora.cli.escape import escape
from remora.cli.output import INDENT, Output, Span, Table, open_output, print_json
from remora.cli.records import format_date
from remora.errors import CommandError
from remora.protocol import parse_duration

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.answers import JsonObject

MARK_STYLE = "bold red"

_COUNTS = ("attacks", "blocked", "by")
_FILTERS = ("app", "env", "detector", "actor")


def list_attacks(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora attacks`."""
    filters = read_filters(arguments)
    with open_client(arguments, environ) as client:
        if arguments.list:
            name, rows = "attacks", client.attacks(**filters)
        else:
            name, rows = "vulnerabilities", client.vulnerabilities(**filters)
    if arguments.json:
        print_json(sys.stdout, {name: rows})
        return 0
    output = open_output(sys.stdout, environ)
    if not rows:
        output.line("no attacks: none was reported, or the filters leave none")
    elif arguments.list:
        show_attacks(output, rows)
    else:
        show_vulnerabilities(output, rows)
    return 0


def show_attack(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora attacks show`."""
    if not (arguments.attack.isascii() and arguments.attack.isdigit()):
        raise CommandError(
            f"{arguments.attack!r} is no id of an attack: take a number from "
            "`remora attacks --list`"
        )
    with open_client(arguments, environ) as client:
        attack = client.attack(arguments.attack)
    if arguments.json:
        print_json(sys.stdout, attack)
    else:
        tell_attack(open_output(sys.stdout, environ), attack)
    return 0


def read_filters(arguments: Namespace) -> dict[str, str]:
    """What the options ask for, as parameters. Raises ProbeError."""
    given = {name: getattr(arguments, name, None) for name in _FILTERS}
    filters = {name: value for name, value in given.items() if value}
    if arguments.since:
        seconds = parse_duration(arguments.since, "--since")
        filters["since"] = str(max(1, time.time_ns() - int(seconds * 1e9)))
    return filters


def show_vulnerabilities(output: Output, rows: Sequence[JsonObject]) -> None:
    """Print vulnerabilities as a table."""
    table = Table(
        ("id", "detector", "app", "place", *_COUNTS, "first", "last"),
        right=frozenset(_COUNTS),
    )
    for row in rows:
        table.rows.append(
            (
                Span(get_text(row, "id")),
                Span(get_text(row, "detector"), "red"),
                Span(get_text(row, "app")),
                Span(_place(get_object(row, "place")) or get_text(row, "site")),
                Span(str(get_number(row, "attacks"))),
                _blocked_count(row),
                Span(str(get_number(row, "actors"))),
                Span(format_date(get_number(row, "first")), "dim"),
                Span(format_date(get_number(row, "last")), "dim"),
            )
        )
    output.table(table)


def show_attacks(output: Output, rows: Sequence[JsonObject]) -> None:
    """Print single attacks as a table."""
    table = Table(("id", "time", "app", "detector", "outcome", "actor", "at", "place"))
    for row in rows:
        frame = _own_frame(row)
        table.rows.append(
            (
                Span(get_text(row, "id")),
                Span(format_date(get_number(row, "time")), "dim"),
                Span(get_text(row, "app")),
                Span(get_text(row, "detector"), "red"),
                _outcome(row),
                Span(get_text(row, "actor"), "magenta"),
                Span(_route(row)),
                Span(_place(frame) or get_text(row, "site")),
            )
        )
    output.table(table)


def tell_attack(output: Output, attack: JsonObject) -> None:
    """Print all that is known of an attack, the line to mend first."""
    detector = get_text(attack, "detector")
    output.line(
        Span(f"attack {get_text(attack, 'id')}: {detector} ", "bold"), _outcome(attack)
    )
    request = get_object(attack, "request")
    facts = (
        ("what", get_text(attack, "sentence")),
        ("when", format_date(get_number(attack, "time"))),
        ("app", f"{get_text(attack, 'app')} {get_text(attack, 'env')}"),
        ("by", get_text(attack, "actor")),
        ("from", get_text(request, "client")),
        ("at", _route(attack)),
        ("sink", get_text(attack, "site")),
        ("probe", get_text(attack, "probe")),
        ("not made", get_text(attack, "not_made")),
        ("rule", get_text(attack, "rule")),
    )
    for name, text in facts:
        if text.strip():
            output.line(INDENT, Span(f"{name:<9}", "dim"), text)
    if frame := _own_frame(attack):
        output.line(Span("line to mend", "bold"))
        _tell_code(output, frame)
    where = f"{get_text(attack, 'source')} {get_text(attack, 'parameter')}".strip()
    for key, title in (
        ("value", f"value of {where}" if where else "value"),
        ("statement", "what it would have become"),
    ):
        if text := get_text(attack, key):
            output.line(Span(title, "bold"))
            show_marked(output, text, _mark(attack.get(f"{key}_marked")))
    for key, title in (("before", "meant as"), ("after", "came out as")):
        if text := get_text(attack, key):
            output.line(Span(f"{title:<12}", "dim"), text)
    if stack := get_objects(attack, "stack"):
        output.line(Span("stack", "bold"))
    for frame in stack:
        style = "" if frame.get("own") is True else "dim"
        output.line(
            Span(f"{INDENT}at {get_text(frame, 'function')}  ", style),
            Span(_file(frame), style),
        )


def show_marked(output: Output, text: str, mark: tuple[int, int]) -> None:
    """Print a text with a part of it marked: by colour, else from below."""
    start, end = mark
    for line in text.split("\n"):
        low = max(0, min(start, len(line)))
        high = max(low, min(end, len(line)))
        before, inside, after = line[:low], line[low:high], line[high:]
        output.line(INDENT, before, Span(inside, MARK_STYLE), after)
        if inside and not output.has_colours:
            output.line(INDENT, " " * len(escape(before)), "^" * len(escape(inside)))
        start, end = start - len(line) - 1, end - len(line) - 1


def _tell_code(output: Output, frame: JsonObject) -> None:
    """The line, with those around it where the record has them."""
    output.line(INDENT, _file(frame), Span(f" in {get_text(frame, 'function')}", "dim"))
    number = get_number(frame, "line")
    before, after = _texts(frame.get("before")), _texts(frame.get("after"))
    for offset, text in enumerate(before):
        output.line(INDENT, Span(f"{number - len(before) + offset:>6}   {text}", "dim"))
    if source := get_text(frame, "source"):
        output.line(INDENT, Span(f"{number:>6} > {source}", MARK_STYLE))
    for offset, text in enumerate(after, 1):
        output.line(INDENT, Span(f"{number + offset:>6}   {text}", "dim"))


def _own_frame(attack: JsonObject) -> JsonObject:
    """The innermost frame of the app's own code."""
    frames = get_objects(attack, "stack")
    return next((frame for frame in frames if frame.get("own") is True), {})


def _place(frame: JsonObject) -> str:
    return f"{_file(frame)} {get_text(frame, 'function')}".strip() if frame else ""


def _file(frame: JsonObject) -> str:
    return f"{get_text(frame, 'file')}:{get_text(frame, 'line')}"


def _route(attack: JsonObject) -> str:
    request = get_object(attack, "request")
    route = get_text(request, "route") or get_text(request, "path")
    return f"{get_text(request, 'method')} {route}".strip()


def _outcome(attack: JsonObject) -> Span:
    if attack.get("blocked") is True:
        return Span("blocked", "green")
    if attack.get("excepted") is True:
        return Span("excepted", "yellow")
    return Span("NOT blocked", "bold red")


def _blocked_count(row: JsonObject) -> Span:
    """How many were blocked, in the colour of whether all were that should be."""
    blocked = get_number(row, "blocked")
    all_were = blocked + get_number(row, "excepted") == get_number(row, "attacks")
    return Span(str(blocked), "green" if all_were else "bold red")


def _mark(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        start, end = value
        if isinstance(start, int) and isinstance(end, int):
            return start, end
    return 0, 0


def _texts(value: object) -> list[str]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, str)]
