"""`remora probe test`: what the probes of a file would have done."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from difflib import get_close_matches
from typing import TYPE_CHECKING, TextIO

from remora.agent.control import read_probe_file
from remora.cli.connection import open_client
from remora.cli.dry_run import run, unchecked
from remora.cli.output import INDENT, Span, open_output, print_json
from remora.cli.records import format_count
from remora.errors import CommandError, RemoraError
from remora.protocol import parse_instance

if TYPE_CHECKING:
    from argparse import Namespace
    from collections import Counter
    from collections.abc import Iterable, Iterator, Mapping

    from remora.cli.answers import JsonObject
    from remora.cli.dry_run import Trial
    from remora.cli.output import Output
    from remora.protocol import Instance

ROWS_SHOWN = 10
"""Values, accounts and reasons that are listed of each kind; --json has more."""

ROWS_IN_JSON = 1000

SITES_SHOWN = 5


def test_probes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe test`; status 1 where a probe could not be judged."""
    probes = read_probe_file(arguments.file)
    unread = [0]
    with ExitStack() as stack:
        instances: dict[str, Instance] = {}
        records: Iterable[JsonObject]
        if arguments.records:
            records = _read_files(arguments.records, unread)
        else:
            client = stack.enter_context(open_client(arguments, environ))
            instances = _read_instances(client.instances())
            records = client.records(arguments.limit)
        trials, sites = run(probes, records, instances)
    knows_instances = not arguments.records
    if arguments.json:
        tables = [_to_json(each, knows_instances=knows_instances) for each in trials]
        print_json(sys.stdout, {"probes": tables, "unread_lines": unread[0]})
    else:
        output = open_output(sys.stdout, environ)
        for trial in trials:
            _show(output, trial, sites, knows_instances=knows_instances)
        if unread[0]:
            output.line(f"{unread[0]} lines were no records and were left out")
    return 0 if all(trial.told for trial in trials) else 1


def _read_files(paths: Iterable[str], unread: list[int]) -> Iterator[JsonObject]:
    for path in paths:
        if path == "-":
            yield from _read_lines(sys.stdin, unread)
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as the agent opens it
                yield from _read_lines(file, unread)
        except OSError as error:
            raise CommandError(
                f"the file of records {path!r} cannot be read: {error.strerror}"
            ) from None


def _read_lines(file: TextIO, unread: list[int]) -> Iterator[JsonObject]:
    for line in file:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield record
        else:
            unread[0] += 1


def _read_instances(tables: Iterable[JsonObject]) -> dict[str, Instance]:
    found: dict[str, Instance] = {}
    for table in tables:
        try:
            instance = parse_instance(table)
        except RemoraError:
            continue  # of another version: its records are judged without a scope
        found[instance.id] = instance
    return found


def _show(
    output: Output, trial: Trial, sites: Counter[str], *, knows_instances: bool
) -> None:
    probe = trial.probe
    verb = "acted" if probe.acts else "fired"
    if probe.acts and probe.protect is not None:
        verb = "blocked"
    targets = " ".join(probe.target.texts)
    output.line(Span(probe.id, "bold magenta"), f"  {targets}")
    if not trial.calls:
        output.line(f"{INDENT}no call of it was recorded{_nearest(targets, sites)}")
        values, first = "arguments", "record some first"
        if probe.protect is not None:
            values += ",remora.request.query,remora.request.headers"
            first = "add it in mode 'watch' first, which records attacks, or"
        output.line(
            f"{INDENT}{first}: remora probe add {probe.target.texts[0]} --snapshot "
            f"{values}"
        )
        return
    recorders = ", ".join(sorted(trial.recorders)[:SITES_SHOWN])
    output.line(f"{INDENT}{format_count(trial.calls, 'recorded call')}, by {recorders}")
    output.line(
        Span(f"{INDENT}would have {verb} {format_count(trial.fired, 'time')}", "bold"),
        f", not {format_count(trial.quiet, 'time')}",
    )
    if trial.fired:
        _rows(output, "on", trial.values)
        _rows(output, "for", trial.users)
        _rows(output, "would", trial.outcomes)
    _rows(output, "outside", trial.outside)
    _rows(output, "cannot be told", trial.untold)
    if len(trial.recorders) > 1:
        output.line(
            Span(f"{INDENT}a call that several probes recorded counts for each", "dim")
        )
    for sentence in unchecked(probe, knows_instances=knows_instances):
        output.line(Span(f"{INDENT}{sentence}", "dim"))


def _rows(output: Output, word: str, counter: Counter[str]) -> None:
    rows = counter.most_common(ROWS_SHOWN)
    for text, number in rows:
        output.line(f"{INDENT}{word}  ", Span(text, "cyan"), f"  {number}")
    if rest := counter.total() - sum(number for _, number in rows):
        output.line(Span(f"{INDENT}{word}  others  {rest}", "dim"))


def _nearest(targets: str, sites: Counter[str]) -> str:
    if not sites:
        return ": there are no records of calls at all"
    close = get_close_matches(targets, sites, SITES_SHOWN, 0.3)
    return f"; recorded are {', '.join(close or list(sites)[:SITES_SHOWN])}"


def _to_json(trial: Trial, *, knows_instances: bool) -> dict[str, object]:
    return {
        "probe": trial.probe.id,
        "calls": trial.calls,
        "fired": trial.fired,
        "quiet": trial.quiet,
        "acts": trial.probe.acts,
        **{
            name: dict(counter.most_common(ROWS_IN_JSON))
            for name, counter in (
                ("values", trial.values),
                ("users", trial.users),
                ("outcomes", trial.outcomes),
                ("outside", trial.outside),
                ("untold", trial.untold),
            )
        },
        "recorders": sorted(trial.recorders),
        "unchecked": unchecked(trial.probe, knows_instances=knows_instances),
    }
