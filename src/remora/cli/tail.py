"""`remora tail`: records as they come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.aggregates import RunningAggregate
from remora.cli.answers import get_text
from remora.cli.connection import open_client
from remora.cli.names import InstanceNames
from remora.cli.output import Output, open_output, print_json
from remora.cli.records import show_record
from remora.cli.signals import ended_by_signals
from remora.errors import RequestRefusedError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.client import OperatorClient


def tail(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora tail`; ends with KeyboardInterrupt."""
    with ended_by_signals(), open_client(arguments, environ) as client:
        for probe_id in arguments.probe:
            client.probe(probe_id)
        follow_records(
            client,
            open_output(sys.stdout, environ),
            arguments.probe,
            instance=arguments.instance or "",
            as_json=arguments.json,
        )
    return 0


def follow_records(
    client: OperatorClient,
    output: Output,
    probes: Sequence[str],
    *,
    after: str = "",
    instance: str = "",
    as_json: bool = False,
) -> None:
    """Show records until the end comes from outside; `probes` empty means all.

    Returns when the last of `probes` is gone, expired or removed by somebody else.
    """
    filters = {"instance": instance} if instance else {}
    if len(probes) == 1:
        filters["probe"] = probes[0]
    wanted = frozenset(probes)
    names = InstanceNames(client)
    running: dict[str, RunningAggregate] = {}
    with output.live() as show_tables:
        for record in client.stream_records(filters, after=after, on_break=_say_lost):
            if record is None:
                if probes and not _are_there(client, probes):
                    print(f"{', '.join(probes)}: expired or removed", file=sys.stderr)
                    return
                continue
            probe = get_text(record, "probe")
            if wanted and probe not in wanted:
                continue
            if as_json:
                print_json(sys.stdout, record)
            elif output.refreshes and get_text(record, "kind") == "aggregate":
                running.setdefault(probe, RunningAggregate(probe)).add(record)
                show_tables([aggregate.table for aggregate in running.values()])
            else:
                show_record(output, record, names.name(get_text(record, "instance")))


def _are_there(client: OperatorClient, probes: Sequence[str]) -> bool:
    """Whether one of the probes can still report something."""
    for probe_id in probes:
        try:
            client.probe(probe_id)
        except RequestRefusedError as error:
            if error.slug == "unknown-probe":
                continue
        return True
    return False


def _say_lost(reason: str) -> None:
    from remora.cli.escape import escape

    print(f"remora: {escape(reason)}; trying again", file=sys.stderr)
