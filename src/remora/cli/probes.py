"""`remora probe list|show`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_objects, get_text
from remora.cli.connection import open_client
from remora.cli.names import InstanceNames
from remora.cli.output import INDENT, Output, Span, Table, open_output, print_json
from remora.cli.records import format_count, format_date
from remora.cli.statuses import (
    STATE_STYLES,
    read_statuses,
    show_absences,
    show_status,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.answers import JsonObject


def list_probes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe list`."""
    with open_client(arguments, environ) as client:
        answer = client.probes()
    if arguments.json:
        print_json(sys.stdout, answer)
    else:
        output = open_output(sys.stdout, environ)
        show_probes(output, get_objects(answer, "probes"))
        show_kept(output, get_objects(answer, "kept"))
    return 0


def show_probes(output: Output, probes: Sequence[JsonObject]) -> None:
    """Print the probes as a table."""
    if not probes:
        output.line("no probes: add one with `remora probe add TARGET --log TEXT`")
        return
    columns = ("id", "target", "scope", "instances", "firings", "records", "expires")
    table = Table(columns, right=frozenset({"firings", "records"}))
    for entry in probes:
        source = get_object(entry, "probe")
        table.rows.append(
            (
                Span(get_text(source, "id"), "magenta"),
                Span(_targets(source)),
                Span(_pairs(get_object(source, "scope")) or "all"),
                _instances(entry),
                Span(str(get_number(entry, "firings"))),
                Span(str(get_number(entry, "records"))),
                Span(_expiry(entry)),
            )
        )
    output.table(table)


def show_kept(output: Output, kept: Sequence[JsonObject]) -> None:
    """What instances have and the server does not: signed protection stays."""
    for entry in kept:
        probe_id, count = get_text(entry, "id"), get_number(entry, "instances")
        apps = entry.get("apps")
        app = f" of {', '.join(map(str, apps))}" if isinstance(apps, list) else ""
        output.line(
            Span(probe_id, "magenta"),
            Span(" kept", "yellow"),
            f" by {format_count(count, 'instance')}{app} at "
            f"{get_text(entry, 'site') or 'no place yet'}: "
            f"{get_text(entry, 'reason')}; `remora probe remove {probe_id} --key FILE` "
            "takes it away",
        )


def show_probe(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe show`."""
    with open_client(arguments, environ) as client:
        answer = client.probe(arguments.probe)
        if arguments.json:
            print_json(sys.stdout, answer)
            return 0
        output = open_output(sys.stdout, environ)
        show_source(output, answer)
        for entry in read_statuses(answer, InstanceNames(client)):
            show_status(output, entry)
        show_absences(output, answer)
    return 0


def show_source(output: Output, answer: JsonObject) -> None:
    """What the probe says, who made it, how long it lives."""
    source = get_object(answer, "probe")
    output.line(Span(get_text(source, "id"), "bold magenta"))
    for key, value in source.items():
        if key not in {"id", "expires_at"}:
            text = value if isinstance(value, str) else json.dumps(value)
            output.line(INDENT, Span(key, "cyan"), f" = {text}")
    created = format_date(get_number(answer, "created"))
    by = get_text(answer, "created_by") or "unknown"
    output.line(Span(f"{INDENT}created {created} by {by}", "dim"))
    output.line(Span(f"{INDENT}expires {_expiry(answer)}", "dim"))


def _targets(source: JsonObject) -> str:
    target = source.get("target")
    return " ".join(map(str, target)) if isinstance(target, list) else str(target)


def _pairs(table: JsonObject) -> str:
    return " ".join(f"{key}={value}" for key, value in table.items())


def _instances(entry: JsonObject) -> Span:
    states = {
        state: number
        for state, number in get_object(entry, "instances").items()
        if number
    }
    text = ", ".join(f"{number} {state}" for state, number in states.items())
    worst = next((STATE_STYLES[s] for s in ("failed", "tripped") if s in states), "")
    return Span(text or "none", worst)


def _expiry(entry: JsonObject) -> str:
    at = get_number(entry, "expires_at")
    return format_date(at) if at else "never"
