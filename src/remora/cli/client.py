"""The operator's endpoints of docs/protocol.md, as methods."""

from __future__ import annotations

import json
import random
import ssl
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import httpx

from remora.boot import is_loopback
from remora.cli.answers import get_objects, get_text
from remora.cli.events import EventReader
from remora.errors import (
    RemoraError,
    RequestRefusedError,
    ServerUnreachableError,
    TokenRefusedError,
    WireError,
)
from remora.version import PROTOCOL_VERSION, __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

from remora.cli.answers import JsonObject

ANSWER_TIMEOUT_S = 15.0
"""`points` waits up to ten seconds for an instance; all else answers at once."""

SILENCE_TIMEOUT_S = 60.0
"""A stream that says nothing for four pings is dead."""

RECORDS_PAGE = 1000
"""Records of one answer: what a server gives at most."""

RECONNECT_S = 30.0
"""How long a broken stream is tried again: a server's restart takes a few seconds."""


class OperatorClient:
    """Speaks to one server with one operator token.

    Every failure is a RemoraError whose sentence names the address and the remedy.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        ca_file: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.server = server
        context: ssl.SSLContext | bool = True
        if server.startswith("https:"):
            # The system's authorities, as the agent does; httpx brings its own.
            context = ssl.create_default_context(cafile=ca_file or None)
        self._http = httpx.Client(
            base_url=server,
            headers={
                "Authorization": f"Bearer {token}",
                "Remora-Protocol": str(PROTOCOL_VERSION),
                "User-Agent": f"remora/{__version__}",
            },
            timeout=ANSWER_TIMEOUT_S,
            verify=context,
            # A proxy cannot reach this machine's loopback, whatever is set.
            trust_env=not is_loopback(server),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def whoami(self) -> JsonObject:
        """Name, kind and access of the token, version of the server."""
        return self._ask("GET", "/api/v1/whoami")

    def instances(self, **filters: str) -> list[JsonObject]:
        """Instances, by `app`, `env` and `state`."""
        given = {key: value for key, value in filters.items() if value}
        return self._list("/api/v1/instances", "instances", given)

    def probes(self) -> JsonObject:
        """All `probes` with their counters, and those that are `kept` besides."""
        return self._ask("GET", "/api/v1/probes")

    def add_probe(self, source: JsonObject) -> JsonObject:
        """Add one probe, given as its source keys."""
        return self._ask("POST", "/api/v1/probes", body={"probe": source})

    def replace_probe(self, source: JsonObject) -> JsonObject:
        """Put a probe in the place of the one of its id."""
        path = _probe_path(str(source["id"]))
        return self._ask("PUT", path, body={"probe": source})

    def probe(self, probe_id: str) -> JsonObject:
        """One probe with its statuses."""
        return self._ask("GET", _probe_path(probe_id))

    def remove_probe(self, probe_id: str) -> None:
        """Remove one probe."""
        self._ask("DELETE", _probe_path(probe_id))

    def set_policy(self, policy: JsonObject) -> JsonObject:
        """Set what the server may ask for unsigned."""
        return self._ask("PUT", "/api/v1/policies", body={"policy": policy})

    def points(self, query: JsonObject) -> JsonObject:
        """Ask an instance for the places that a pattern reaches."""
        return self._ask("POST", "/api/v1/points", body=query)

    def records(self, limit: int) -> Iterator[JsonObject]:
        """The newest records, the newest first."""
        before = ""
        while limit > 0:
            page = str(min(limit, RECORDS_PAGE))
            parameters = {"limit": page} | ({"before": before} if before else {})
            answer = self._ask("GET", "/api/v1/records", parameters=parameters)
            found = get_objects(answer, "records")
            yield from found[:limit]
            limit -= len(found)
            before = get_text(answer, "next")
            if not before or not found:
                return

    def tokens(self) -> list[JsonObject]:
        """All tokens, without their values."""
        return self._list("/api/v1/tokens", "tokens", {})

    def create_token(self, wanted: JsonObject) -> JsonObject:
        """Create a token; the answer holds its value, this once."""
        return self._ask("POST", "/api/v1/tokens", body=wanted)

    def revoke_token(self, token_id: str) -> None:
        """Revoke a token."""
        self._ask("DELETE", f"/api/v1/tokens/{quote(token_id, safe='')}")

    def attacks(self, **filters: str) -> list[JsonObject]:
        """Attacks, newest first, by app, env, detector, actor and `since`."""
        return self._list("/api/v1/attacks", "attacks", filters)

    def attack(self, attack_id: str) -> JsonObject:
        """One attack."""
        return self._ask("GET", f"/api/v1/attacks/{quote(attack_id, safe='')}")

    def vulnerabilities(self, **filters: str) -> list[JsonObject]:
        """The same attacks by the place in the code."""
        return self._list("/api/v1/vulnerabilities", "vulnerabilities", filters)

    def users(self, **filters: str) -> list[JsonObject]:
        """The same attacks by who made them."""
        return self._list("/api/v1/users", "users", filters)

    def user(self, actor: str, app: str) -> JsonObject:
        """One of those, with what else it did."""
        asked = {"actor": actor, "app": app}
        return self._ask("GET", "/api/v1/users/one", parameters=asked)

    def blocks(self) -> list[JsonObject]:
        """Whom apps are to refuse."""
        return self._list("/api/v1/blocks", "blocks", {})

    def block(self, wanted: JsonObject) -> JsonObject:
        """Block somebody."""
        return self._ask("POST", "/api/v1/blocks", body=wanted)

    def unblock(self, actor: str, app: str) -> None:
        """Let somebody in again."""
        asked = {"actor": actor, "app": app}
        self._ask("DELETE", "/api/v1/blocks", parameters=asked)

    def protection(self, app: str) -> list[JsonObject]:
        """How the apps are protected."""
        return self._list("/api/v1/protection", "apps", {"app": app} if app else {})

    def rules(self) -> list[JsonObject]:
        """The rules of protection."""
        return self._list("/api/v1/rules", "rules", {})

    def set_rule(self, wanted: JsonObject) -> JsonObject:
        """Let a rule hold."""
        return self._ask("POST", "/api/v1/rules", body=wanted)

    def remove_rule(self, rule_id: str) -> None:
        """Take a rule out."""
        self._ask("DELETE", f"/api/v1/rules/{quote(rule_id, safe='')}")

    def test_notices(self) -> list[JsonObject]:
        """Have a notice of no attack sent by each way, and what became of it."""
        return get_objects(self._ask("POST", "/api/v1/notices/test"), "channels")

    def stream_records(
        self,
        filters: Mapping[str, str],
        *,
        after: str = "",
        on_break: Callable[[str], None] | None = None,
    ) -> Iterator[JsonObject | None]:
        """Records as they come, without end, across broken connections.

        None stands for a ping of a connection with nothing to report. Raises
        ServerUnreachableError when the server stays away; `on_break` hears of each
        break that may heal.
        """
        wait_s, lost_at = 0.2, 0.0
        last = after
        connected_once = False
        while True:
            try:
                for record in self._stream_once(filters, last):
                    if record is None:
                        connected_once, wait_s, lost_at = True, 0.2, 0.0
                    else:
                        last = get_text(record, "id") or last
                    yield record
                reason = "the server ended the stream"
            except ServerUnreachableError as error:
                if not connected_once:
                    raise
                reason = str(error)
            now = time.monotonic()
            if not lost_at:
                lost_at = now
                if on_break is not None:
                    on_break(reason)
            elif now - lost_at > RECONNECT_S:
                raise ServerUnreachableError(
                    f"the connection to {self.server} was lost and did not come "
                    f"back in {RECONNECT_S:.0f} s: {reason}"
                )
            time.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, 5.0)

    def _stream_once(
        self, filters: Mapping[str, str], after: str
    ) -> Iterator[JsonObject | None]:
        """One connection: None when it stands and at each ping, and its records."""
        parameters = {**filters, **({"after": after} if after else {})}
        timeout = httpx.Timeout(ANSWER_TIMEOUT_S, read=SILENCE_TIMEOUT_S)
        try:
            with self._http.stream(
                "GET", "/api/v1/records/stream", params=parameters, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    response.read()
                    self._check(response)
                if "event-stream" not in response.headers.get("content-type", ""):
                    raise self._no_server("records arrive as no event stream")
                yield None
                reader = EventReader()
                for chunk in response.iter_bytes():
                    if not (events := reader.feed(chunk)):
                        yield None
                    for event in events:
                        if event.kind == "record":
                            yield self._parse_record(event.data)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _parse_record(self, data: str) -> JsonObject:
        try:
            record = json.loads(data)
        except ValueError as error:
            raise WireError(f"{self.server} sent a record that is no JSON") from error
        if not isinstance(record, dict):
            raise WireError(f"{self.server} sent a record that is no object")
        return record

    @staticmethod
    def may_have_arrived(error: RemoraError) -> bool:
        """Whether a request that failed so may have been carried out nevertheless."""
        return isinstance(error, ServerUnreachableError) and not isinstance(
            error.__cause__, httpx.ConnectError
        )

    def _list(
        self, path: str, name: str, parameters: Mapping[str, str]
    ) -> list[JsonObject]:
        return get_objects(self._ask("GET", path, parameters=parameters), name)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
    ) -> JsonObject:
        try:
            response = self._http.request(
                method,
                path,
                params=dict(parameters or {}),
                json=None if body is None else dict(body),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        return self._check(response)

    def _check(self, response: httpx.Response) -> JsonObject:
        """The object that was answered. Raises what the status means."""
        if response.status_code == 204:
            return {}
        try:
            answer = response.json()
        except ValueError as error:
            raise self._no_server(
                f"it answered {response.status_code} with no JSON"
            ) from error
        if not isinstance(answer, dict):
            raise self._no_server(f"it answered {response.status_code} with no object")
        if response.is_success:
            return answer
        slug, message = get_text(answer, "error"), get_text(answer, "message")
        if not slug:
            raise self._no_server(f"it answered {response.status_code}")
        if response.status_code in {401, 403}:
            raise TokenRefusedError(
                f"{self.server} refused the token: {message}: {_remedy(response)}"
            )
        if response.status_code == 503:
            raise ServerUnreachableError(f"{self.server}: {message}: try again")
        error = RequestRefusedError(message or f"{self.server} answered {slug}")
        error.slug = slug
        raise error

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.RemoteProtocolError):
            return ServerUnreachableError(
                f"{self.server} broke off ({reason}): check that it is a remora "
                "server, and whether it has to be https://"
            )
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return ServerUnreachableError(
                f"the certificate of {self.server} cannot be trusted ({reason}): give "
                "its authority with --ca-file or REMORA_CA_FILE"
            )
        return ServerUnreachableError(
            f"no server answers at {self.server} ({reason}): start it with "
            "`remora serve` or set --server"
        )

    def _no_server(self, what: str) -> RequestRefusedError:
        return RequestRefusedError(
            f"{self.server} is no remora server ({what}): check --server and "
            "REMORA_SERVER"
        )


def _remedy(response: httpx.Response) -> str:
    if response.status_code == 401:
        return "this command needs a valid operator token (rmo_…) in REMORA_TOKEN"
    if response.request.method == "GET":
        return "this command needs an operator token (rmo_…)"
    return "this command needs an operator token with full access"


def _probe_path(probe_id: str) -> str:
    return f"/api/v1/probes/{quote(probe_id, safe='')}"
