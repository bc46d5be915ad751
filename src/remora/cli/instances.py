"""`remora ps`: the instances that a server knows."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from remora.cli.answers import (
    get_number,
    get_object,
    get_objects,
    get_text,
    tell_not_made,
)
from remora.cli.connection import open_client
from remora.cli.names import ID_SHOWN, name_instance
from remora.cli.output import Output, Span, Table, open_output, print_json
from remora.cli.records import format_age

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from remora.cli.answers import JsonObject

STATE_STYLES = {
    "connected": "green",
    "idle": "dim",
    "silent": "yellow",
    "gone": "dim",
    "unserved": "red",
}

_COLUMNS = (
    "app",
    "env",
    "version",
    "host",
    "pid",
    "python",
    "state",
    "probes",
    "protection",
    "agent cpu",
    "age",
)


def ps(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora ps`."""
    with open_client(arguments, environ) as client:
        instances = client.instances(
            app=arguments.app, env=arguments.env, state=arguments.state
        )
    if arguments.json:
        print_json(sys.stdout, {"instances": instances})
        return 0
    show_instances(open_output(sys.stdout, environ), instances, time.time_ns())
    return 0


def show_instances(output: Output, instances: Sequence[JsonObject], now: int) -> None:
    """Print the instances as a table, and below it why some are not served."""
    if not instances:
        output.line("no instances: start an app with `remora run --server URL -- …`")
        return
    table = Table(
        (*_COLUMNS, "id"), right=frozenset({"pid", "probes", "agent cpu", "age"})
    )
    for instance in instances:
        table.rows.append(_row(instance, now))
    output.table(table)
    for instance in instances:
        for remark in _remarks(instance):
            output.line(Span(f"{name_instance(instance)}: ", "blue"), remark)


def _remarks(instance: JsonObject) -> Iterator[str]:
    if note := get_text(instance, "note"):
        yield note
    for pack in get_objects(get_object(instance, "protection"), "packs"):
        for flaw in get_objects(pack, "flaws"):
            yield (
                f"{get_text(pack, 'pack')} {get_text(flaw, 'probe')} "
                f"{get_text(flaw, 'state')}: {get_text(flaw, 'reason')}"
            )
        for told in tell_not_made(pack):
            yield f"{get_text(pack, 'pack')}: {told}"
    drops = get_object(instance, "drops")
    if counted := [f"{drops[reason]} {reason}" for reason in drops if drops[reason]]:
        yield f"records dropped: {', '.join(counted)}"


def _row(instance: JsonObject, now: int) -> tuple[Span, ...]:
    state = get_text(instance, "state")
    started = get_number(instance, "started")
    age = format_age((now - started) / 1e9) if started else "-"
    cells = {
        "state": Span(state, STATE_STYLES.get(state, "")),
        "probes": Span(get_text(instance, "probes") or "0"),
        "protection": _protection(instance),
        "agent cpu": Span(_cpu_share(instance)),
        "age": Span(age),
    }
    named = [cells.get(key, Span(get_text(instance, key))) for key in _COLUMNS]
    return (*named, Span(get_text(instance, "id")[:ID_SHOWN], "dim"))


def _protection(instance: JsonObject) -> Span:
    """The modes that hold, and at how many places; details are `remora protect`'s."""
    told = get_object(instance, "protection")
    packs = get_objects(told, "packs")
    if get_text(told, "complaint"):
        return Span("unprotected", "red")
    modes = {get_text(pack, "mode") for pack in packs} - {"off"}
    if not modes:
        return Span("-", "dim")
    places = sum(get_number(pack, "places") for pack in packs)
    return Span(f"{'/'.join(sorted(modes))} {places}")


def _cpu_share(instance: JsonObject) -> str:
    """The agent's part of the process's CPU time."""
    share = get_object(instance, "cost").get("cpu_share")
    return f"{share:.1%}" if isinstance(share, float) else "-"
