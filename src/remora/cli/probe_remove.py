"""`remora probe remove`: also from apps that keep what a key has vouched for.

Such an app lets signed protection go for a signed word alone. The word is the probe in
mode off, signed. It takes the probe's place on the server until every instance that is
to have it has let go; only then is there nothing left to take away.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from remora.cli.answers import get_number, get_object
from remora.cli.connection import open_client
from remora.cli.names import InstanceNames
from remora.cli.output import Span, open_output, print_json
from remora.cli.statuses import read_statuses, status_line
from remora.errors import RequestRefusedError
from remora.protocol import Probe, State, parse_probe
from remora.values import replace

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.cli.answers import JsonObject
    from remora.cli.client import OperatorClient
    from remora.cli.output import Output
    from remora.cli.statuses import InstanceStatus

LETTING_GO_S = 5.0
"""How long the instances are waited for: a push takes milliseconds, an instance that
reconnects a second or two."""

_POLL_S = 0.1


class Sign(Protocol):
    """Signs a word."""

    def __call__(self, probe: Probe) -> Probe:
        """The probe with a signature of this moment."""
        ...


def remove_probes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe remove`: all that can be, then the first complaint."""
    sign = _signer(arguments)
    with open_client(arguments, environ) as client:
        session = _Removing(client, sign)
        for probe_id in dict.fromkeys(arguments.probe):
            session.remove(probe_id)
    if arguments.json:
        print_json(sys.stdout, session.to_json())
    else:
        session.show(open_output(sys.stdout, environ))
    if session.refusal is not None:
        raise session.refusal
    return 1 if session.left else 0


def _signer(arguments: Namespace) -> Sign | None:
    if arguments.key is None:
        if arguments.valid is not None:
            arguments.parser.error("--valid belongs to --key FILE, which signs")
        return None
    # Late, because a key needs the extra `signing`, and most removals need no key.
    from remora.cli.signing import read_key, read_validity, sign_all

    key, valid_s = read_key(Path(arguments.key)), read_validity(arguments.valid)
    return lambda probe: sign_all([probe], key, valid_s)[0]


class _Removing:
    """Probes on their way out: `left` has, by id, the instances that did not let go."""

    def __init__(self, client: OperatorClient, sign: Sign | None) -> None:
        self._client = client
        self._sign = sign
        self._names = InstanceNames(client)
        self.removed: list[str] = []
        self.vouched: list[str] = []
        self.left: dict[str, tuple[int, list[InstanceStatus]]] = {}
        self.refusal: RequestRefusedError | None = None

    def remove(self, probe_id: str) -> None:
        """Take one probe away; a refusal is kept for the end."""
        try:
            source = self._source(probe_id)
            if self._sign is not None and (not source or "protect" in source):
                self._lift(probe_id, source, self._sign)
            if probe_id in self.left:
                return
            self._client.remove_probe(probe_id)
        except RequestRefusedError as error:
            self.refusal = self.refusal or error
            return
        self.removed.append(probe_id)
        if self._sign is None and {"protect", "signature"} <= source.keys():
            self.vouched.append(probe_id)

    def _source(self, probe_id: str) -> JsonObject:
        """What the server has; with a key also nothing, for apps may have it still."""
        try:
            return get_object(self._client.probe(probe_id), "probe")
        except RequestRefusedError as error:
            if self._sign is None or error.slug != "unknown-probe":
                raise
            return {}

    def _lift(self, probe_id: str, source: JsonObject, sign: Sign) -> None:
        """Send the signed word, and note who has not let go in time."""
        word = sign(_word(probe_id, source)).to_source()
        send = self._client.replace_probe if source else self._client.add_probe
        meant = get_number(send(word), "instances")
        deadline = time.monotonic() + LETTING_GO_S
        while True:
            answered = read_statuses(self._client.probe(probe_id), self._names)
            # A process that has ended lets go of nothing any more.
            said = [each for each in answered if each.presence != "gone"]
            keeping = [each for each in said if each.state != State.FAILED.value]
            if len(said) >= meant and not keeping:
                return
            if time.monotonic() >= deadline:
                self.left[probe_id] = (max(0, meant - len(said)), keeping)
                return
            time.sleep(_POLL_S)

    def to_json(self) -> dict[str, object]:
        """What became of the probes, for scripts."""
        table: dict[str, object] = {"removed": self.removed}
        if self._sign is not None:
            table["left"] = {
                probe_id: {
                    "unanswered": silent,
                    "statuses": [
                        {"instance": each.instance, "status": each.status}
                        for each in keeping
                    ],
                }
                for probe_id, (silent, keeping) in self.left.items()
            }
        return table

    def show(self, output: Output) -> None:
        """The same for people."""
        for probe_id in self.removed:
            output.line("removed ", Span(probe_id, "magenta"))
        for probe_id in self.vouched:
            output.line(
                f"apps with a REMORA_PUBLIC_KEY keep {probe_id} until its signature "
                f"ends: `remora probe remove {probe_id} --key FILE` takes it from them"
            )
        for probe_id, (silent, keeping) in self.left.items():
            output.line(
                Span(probe_id, "magenta"),
                " is switched off by a signed word, which stays on the server until "
                "all have heard it: run this again",
            )
            for each in keeping:
                output.line(*status_line(each))
            if silent:
                output.line(f"    {silent} instances did not answer yet")


def _word(probe_id: str, source: JsonObject) -> Probe:
    """The probe in mode off; of one that no server has any more, its id says enough."""
    if not source:
        nothing = {"detector": "sql", "argument": 0, "mode": "off"}
        table = {"id": probe_id, "target": "removed:probe", "protect": nothing}
        return parse_probe(table)
    probe = parse_probe(source)
    assert probe.protect is not None
    off = replace(probe.protect, mode="off")
    return replace(probe, protect=off, enabled=True, expires_at=0, signature=None)
