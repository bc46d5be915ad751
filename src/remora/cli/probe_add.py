"""`remora probe add`: checked here, sent, and followed until it is in place."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from remora.agent.control import read_probe_file
from remora.cli.answers import get_number
from remora.cli.connection import open_client
from remora.cli.draft import draft_probe, given_options
from remora.cli.names import InstanceNames
from remora.cli.output import Output, Span, open_output, print_json
from remora.cli.signals import ended_by_signals
from remora.cli.statuses import read_statuses, status_line
from remora.cli.tail import follow_records
from remora.errors import CommandError, ProbeError, ProbeFileError, RemoraError
from remora.protocol import State, parse_duration

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from remora.cli.client import OperatorClient
    from remora.cli.statuses import InstanceStatus
    from remora.protocol import Probe

SETTLE_S = 3.0
"""How long the first statuses are waited for: a push takes milliseconds, an instance
that reconnects a second or two."""

_POLL_S = 0.1
_SETTLED = frozenset(
    state.value
    for state in State
    if state.meaning.in_force and not state.meaning.needs_attention
)
_ENDED = frozenset(state.value for state in State) - {State.WAITING.value}
_ANSWERED = _ENDED | {State.WAITING.value}


def add_probes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe add`."""
    probes = _sign(arguments, _read_probes(arguments))
    wait_s = _read_wait(arguments)
    with ended_by_signals(), open_client(arguments, environ) as client:
        session = _Adding(client, open_output(sys.stdout, environ), arguments)
        with ExitStack() as cleanup:
            if arguments.tail:
                cleanup.callback(session.remove_all)
            try:
                settled = session.add_all(probes, wait_s)
                if arguments.tail:
                    session.follow()
            except KeyboardInterrupt:
                if not arguments.tail:
                    raise
                return 0
    return 0 if settled or arguments.wait is None else 1


def _read_probes(arguments: Namespace) -> list[Probe]:
    if arguments.file is None:
        if not arguments.target:
            arguments.parser.error("no TARGET: write module:function, or --file FILE")
        return [draft_probe(arguments)]
    if given := [*arguments.target, *given_options(arguments)]:
        arguments.parser.error(f"--file stands alone, but there is also {given[0]}")
    if probes := read_probe_file(arguments.file):
        return probes
    raise ProbeFileError(
        f"the probe file {arguments.file!r} is empty: begin each probe with [[probe]]"
    )


def _sign(arguments: Namespace, probes: list[Probe]) -> list[Probe]:
    if arguments.key is None:
        if arguments.valid is not None:
            arguments.parser.error("--valid belongs to --key FILE, which signs")
        return probes
    # Late, because a key needs the extra `signing`, and most probes need no key.
    from remora.cli.signing import read_key, read_validity, sign_all

    key = read_key(Path(arguments.key))
    return sign_all(probes, key, read_validity(arguments.valid))


def _read_wait(arguments: Namespace) -> float:
    if arguments.wait is None:
        return SETTLE_S
    try:
        return parse_duration(arguments.wait, "--wait")
    except ProbeError as error:
        raise CommandError(str(error)) from None


class _Adding:
    """Probes on their way to the server, and away again where `--tail` was asked."""

    def __init__(
        self, client: OperatorClient, output: Output, arguments: Namespace
    ) -> None:
        self._client = client
        self._output = output
        self._as_json: bool = arguments.json
        # Without --wait, `waiting` and its reason are an answer like any other.
        self._final = _ENDED if arguments.wait else _ANSWERED
        self._names = InstanceNames(client)
        self._added: list[str] = []

    def add_all(self, probes: Sequence[Probe], wait_s: float) -> bool:
        """Add every probe or none, then say what became of each."""
        matched: dict[str, int] = {}
        for probe in probes:
            # Noted first: an interruption between here and the answer must not leave
            # a probe that nobody removes.
            self._added.append(probe.id)
            try:
                answer = self._client.add_probe(probe.to_source())
            except RemoraError as error:
                if not self._client.may_have_arrived(error):
                    self._added.pop()
                # One refused probe of a file takes the others back.
                self.remove_all()
                raise
            matched[probe.id] = get_number(answer, "instances")
        deadline = time.monotonic() + wait_s
        settled = [self._report(probe, matched[probe.id], deadline) for probe in probes]
        return all(settled)

    def _report(self, probe: Probe, matched: int, deadline: float) -> bool:
        """Wait for the statuses of one probe and print them."""
        statuses = self._await_statuses(probe.id, matched, deadline)
        settled = len(statuses) >= matched and all(
            entry.state in _SETTLED for entry in statuses
        )
        if self._as_json:
            print_json(
                sys.stdout,
                {
                    "added": probe.to_source(),
                    "instances": matched,
                    "statuses": [
                        {"instance": entry.instance, "status": entry.status}
                        for entry in statuses
                    ],
                },
            )
            return settled
        self._output.line("added ", Span(probe.id, "magenta"))
        for entry in statuses:
            self._output.line(*status_line(entry))
        if not matched:
            self._output.line(
                "    no instance matches its scope now; it waits for one on the server"
            )
        elif (silent := matched - len(statuses)) > 0:
            self._output.line(
                f"    {silent} of {matched} instances did not answer yet: see "
                f"`remora probe show {probe.id}`"
            )
        return settled

    def _await_statuses(
        self, probe_id: str, matched: int, deadline: float
    ) -> list[InstanceStatus]:
        """The statuses once all instances settled, or what there is at the deadline."""
        statuses: list[InstanceStatus] = []
        while matched:
            statuses = read_statuses(self._client.probe(probe_id), self._names)
            ended = sum(entry.state in self._final for entry in statuses)
            if ended >= matched or time.monotonic() >= deadline:
                break
            time.sleep(_POLL_S)
        return statuses

    def follow(self) -> None:
        """Show the records of the added probes until the end comes from outside."""
        follow_records(
            self._client,
            self._output,
            self._added,
            after="0",
            as_json=self._as_json,
        )

    def remove_all(self) -> None:
        """Take the probes away again and say so, even where nobody listens any more."""
        while self._added:
            probe_id = self._added.pop(0)
            message = f"removed {probe_id}"
            try:
                self._client.remove_probe(probe_id)
            except RemoraError as error:
                message = (
                    f"{probe_id} is gone already"
                    if error.slug == "unknown-probe"
                    else f"could not remove {probe_id}: {error}; it stays until it "
                    f"expires or `remora probe remove {probe_id}`"
                )
            self._say(message)

    def _say(self, message: str) -> None:
        try:
            if self._as_json:
                print(message, file=sys.stderr)
            else:
                self._output.line(message)
        except OSError:
            # The terminal or the pipe is gone; what had to be done is done.
            return
