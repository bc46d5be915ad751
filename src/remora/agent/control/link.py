"""The link to the server: register, follow the stream, report statuses, answer queries.

Two routines in the agent's thread. One follows: it registers, then reads pushes and
queries from a stream, or polls where streams stall (a proxy that buffers). The other
posts: statuses, answers, goodbye. What the server sends is read in messages.py; what
becomes of it is the listener's business.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from remora.agent.control.events import EventReader, ServerEvent
from remora.agent.control.messages import (
    PING_S_DEFAULT,
    Query,
    parse_push,
    parse_query,
    parse_registration,
)
from remora.agent.control.statuses import StatusBook
from remora.agent.reporting import NEVER, Backoff, Payload, Routine, Wait
from remora.errors import (
    ConfigError,
    RequestRefusedError,
    ServerUnreachableError,
    TokenRefusedError,
    WireError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remora.agent.diagnostics import Diagnostics
    from remora.agent.reporting import Answer, Client, Stream
    from remora.protocol import Cost, Instance, Probe, Status
    from remora.protocol.protection import ProtectionState

STATUS_S = 5.0
"""Between two looks at the counters (docs/protocol.md, section Status)."""

COST_S = 30.0
"""So long at most what the server knows of the agent's own cost stays as it is, and the
counts of protection."""

PROTECTION_S = 10.0
"""Between two looks at protection: each takes as long as all statuses together."""

SILENT_PINGS = 3
STALLED_STREAMS = 3
STREAM_AGAIN_S = 300.0
POLL_S = 25.0

SETTLED_S = 5.0
"""A stream that lived so long was no accident: the next failure is a first one."""

QUERIES_WAITING = 16
"""More questions than people ask at once; the rest the server sees time out."""

ANSWER_BYTES = 2 * 2**20

_FAILURES = (
    ServerUnreachableError,
    WireError,
    ConfigError,
    TokenRefusedError,
    RequestRefusedError,
)


class Listener(Protocol):
    """Who obeys. Called in the agent's thread."""

    def apply(self, probes: list[Probe], refused: list[Status], revision: int) -> None:
        """These are all the probes wanted; `refused` could not even be read."""
        ...

    def obey_policy(self, policy: object) -> None:
        """Comes before the probes that may need it; it is not read yet."""
        ...

    def refuse(self, actors: tuple[str, ...]) -> None:
        """These are all whose requests are to be refused."""
        ...

    def rule(self, rules: object) -> None:
        """These are all the rules of protection; they are not read yet."""
        ...

    def protection(self) -> ProtectionState | None:
        """How this process is protected, where it is."""
        ...

    def statuses(self) -> list[Status]:
        """A status for each probe, the refused ones among them."""
        ...

    def cost(self) -> Cost:
        """What the agent takes of its process."""
        ...

    def answer(self, query: dict[str, object]) -> dict[str, object]:
        """The answer to a query, or `{"error": sentence}`."""
        ...


class Link:
    """Keeps this instance registered and obedient. A task of the worker."""

    def __init__(
        self,
        client: Client,
        listener: Listener,
        identity: Callable[[], Instance],
        diagnostics: Diagnostics,
    ) -> None:
        self._client = client
        self._listener = listener
        self._identity = identity
        self._diagnostics = diagnostics
        self._book = StatusBook()
        self._queries: deque[Query] = deque()
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._registered: str | None = None
        self._revision = 0
        self._ping_s = PING_S_DEFAULT
        self._stalled = 0
        self._stream_again_at = 0.0
        self._backoff = Backoff()
        self._post_backoff = Backoff()
        self._has_news = False
        self._gist: tuple[object, ...] = ()
        self._tell_anew()
        self._is_ending = False
        self._book.forget()
        self._queries.clear()

    @property
    def instance_id(self) -> str | None:
        """The id under which the server knows this process, or None."""
        return self._registered

    @property
    def revision(self) -> int:
        """The revision of the probes that were applied last; 0 for none."""
        return self._revision

    @property
    def is_connected(self) -> bool:
        """Whether the server knows us and nothing is wrong as far as we know."""
        return self._registered is not None and not self._client.contact.trouble

    def statuses_changed(self) -> None:
        """Post the statuses soon; wake the worker to make that at once."""
        self._has_news = True

    def register_again(self) -> None:
        """The server does not know this instance (any more)."""
        self._registered = None
        self._book.forget()
        self._client.end_streams()

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """Following and posting."""
        return (self._follow, self._post_all)

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Nothing here waits for company."""

    @property
    def is_settled(self) -> bool:
        """Whether goodbye was said, where that was asked for and there is anybody."""
        return not self._is_ending or self._registered is None

    def end(self) -> None:
        """Say goodbye."""
        self._is_ending = True

    def close(self) -> None:
        """Close the connections."""
        self._registered = None
        self._client.close()
        self._client.contact.close()

    def after_fork_in_child(self) -> None:
        """A new instance with connections of its own."""
        self._start_afresh()
        self._client.after_fork_in_child()

    # Following

    def _follow(self) -> Routine[None]:
        while True:
            yield Wait(until=NEVER if self._is_ending else 0.0)
            try:
                if self._registered is None:
                    yield from self._register()
                now = yield Wait()
                if now >= self._stream_again_at:
                    yield from self._read_stream()
                else:
                    yield from self._poll()
                    continue
            except _FAILURES as error:
                self._diagnostics.count("link-failures")
                if isinstance(error, WireError):
                    self._client.contact.failed(str(error))
            # A server that has restarted knows nothing any more of what is not stored.
            self._tell_anew()
            now = yield Wait()
            yield Wait(until=now + self._backoff.next_s())

    def _register(self) -> Routine[None]:
        instance = self._identity()
        payload = Payload.of({"instance": instance.to_json()})
        answer = yield from self._client.request("POST", "/agent/v1/register", payload)
        if answer.status >= 300:
            raise _refusal(self._client, "the registration", answer)
        self._ping_s = parse_registration(answer.body).ping_s
        self._book.forget()
        self._registered = instance.id
        self._has_news = True

    def _read_stream(self) -> Routine[None]:
        path = f"/agent/v1/stream?{self._query()}"
        stream = yield from self._client.open_stream(path)
        try:
            if stream.status == 409:
                self.register_again()
                return
            if stream.status != 200:
                raise ServerUnreachableError(f"no stream: status {stream.status}")
            yield from self._read_events(stream)
        finally:
            stream.close()

    def _read_events(self, stream: Stream) -> Routine[None]:
        """Until the stream ends, stalls, or this instance has to register again."""
        reader = EventReader()
        has_heard = False
        now = yield Wait()
        settled_at = now + SETTLED_S
        while self._registered is not None:
            now = yield Wait()
            if now >= settled_at:
                self._backoff.reset()
            data = yield from stream.receive(now + SILENT_PINGS * self._ping_s)
            if data is None:
                self._note_stall(now, has_heard=has_heard)
                return
            if not data:
                return
            has_heard = True
            self._stalled = 0
            for event in reader.feed(data):
                self._obey(event)

    def _note_stall(self, now: float, *, has_heard: bool) -> None:
        """A stream that never said anything may be held back by a proxy: then poll."""
        self._diagnostics.count("stalled-streams")
        self._client.contact.failed("the stream fell silent")
        if has_heard:
            return
        self._stalled += 1
        if self._stalled >= STALLED_STREAMS:
            self._stream_again_at = now + STREAM_AGAIN_S
            self._diagnostics.say_once(
                "streams do not get through (a proxy that buffers?): polling instead"
            )

    def _poll(self) -> Routine[None]:
        """One long poll, on a connection of its own: others may not wait for it."""
        path = f"/agent/v1/poll?{self._query()}&wait={POLL_S:g}"
        stream = yield from self._client.open_stream(path, answer_s=POLL_S + 10)
        try:
            now = yield Wait()
            body = yield from stream.read_all(now + POLL_S)
        finally:
            stream.close()
        if stream.status == 409:
            self.register_again()
            return
        if stream.status == 200:
            self._obey(ServerEvent("push", body))
        elif stream.status != 204:
            raise ServerUnreachableError(f"no poll: status {stream.status}")
        self._backoff.reset()

    def _query(self) -> str:
        return f"instance={self._registered}&revision={self._revision}"

    def _obey(self, event: ServerEvent) -> None:
        if event.name == "push":
            push = parse_push(event.data)
            if push.policy is not None:
                self._listener.obey_policy(push.policy)
            self._listener.refuse(push.blocked)
            self._listener.apply(list(push.probes), list(push.refused), push.revision)
            self._listener.rule(push.rules)
            self._revision = push.revision
            self._has_news = True
        elif event.name == "query":
            if len(self._queries) < QUERIES_WAITING:
                self._queries.append(parse_query(event.data))
            else:
                self._diagnostics.count("queries-refused")

    # Posting

    def _post_all(self) -> Routine[None]:
        now = yield Wait()
        while True:
            look_at = now + STATUS_S
            now = yield Wait(
                until=look_at if self._registered is not None else NEVER,
                ready=self._has_to_post,
            )
            if self._registered is None:
                continue
            try:
                yield from self._post_once()
                self._post_backoff.reset()
                now = yield Wait()
            except _FAILURES:
                self._diagnostics.count("link-failures")
                now = yield Wait()
                now = yield Wait(until=now + self._post_backoff.next_s())

    def _has_to_post(self) -> bool:
        return self._registered is not None and (
            self._has_news or bool(self._queries) or self._is_ending
        )

    def _post_once(self) -> Routine[None]:
        while self._queries:
            query = self._queries.popleft()
            yield from self._post("answers", self._answer(query))
        if self._has_news:
            self._tell_protection_anew()
        self._has_news = False
        revision = self._revision
        parts = self._book.news(self._listener.statuses(), revision)
        now = yield Wait()
        guarded = self._protection_to_tell(now)
        if not parts and (guarded is not None or now >= self._cost_due_at):
            parts = [[]]
        for statuses in parts:
            message: dict[str, object] = {
                "revision": revision,
                "statuses": [status.to_json() for status in statuses],
                "cost": self._listener.cost().to_json(),
            }
            if guarded is not None:
                message["protection"] = guarded.to_json()
            # Before it is sent: a connection lost meanwhile makes all due again.
            self._cost_due_at = now + COST_S
            if guarded is not None:
                self._protection_due_at = now + COST_S
                self._gist = guarded.gist
            was_taken = False
            try:
                was_taken = yield from self._post("statuses", message)
            finally:
                if not was_taken:
                    self._tell_anew()
            if was_taken:
                self._book.acknowledged(statuses, revision)
        if self._is_ending and self._registered is not None:
            yield from self._post("goodbye", {"reason": "the process ends"})
            self._registered = None

    def _protection_to_tell(self, now: float) -> ProtectionState | None:
        """How this process is protected, if that is news or was long not said."""
        if now < self._protection_look_at:
            return None
        self._protection_look_at = now + PROTECTION_S
        guarded = self._listener.protection()
        is_due = now >= self._protection_due_at
        return guarded if guarded and (is_due or guarded.gist != self._gist) else None

    def _tell_protection_anew(self) -> None:
        self._protection_look_at = self._protection_due_at = 0.0

    def _tell_anew(self) -> None:
        """The server may not know any more what it was told."""
        self._cost_due_at = 0.0
        self._tell_protection_anew()

    def _answer(self, query: Query) -> dict[str, object]:
        message: dict[str, object] = {
            "query": query.id,
            "answer": self._listener.answer(query.value),
        }
        if len(Payload.of(message).data) > ANSWER_BYTES:
            message["answer"] = {
                "error": f"the answer exceeds {ANSWER_BYTES} bytes: ask for less"
            }
        return message

    def _post(self, name: str, message: dict[str, object]) -> Routine[bool]:
        instance = self._registered
        if instance is None:
            return False
        payload = Payload.of({"instance": instance, **message})
        answer = yield from self._client.request("POST", f"/agent/v1/{name}", payload)
        if answer.status == 409:
            self.register_again()
            return False
        if answer.status >= 300:
            self._diagnostics.say_once(f"the server refuses {name}: {answer.sentence}")
            if answer.status >= 500 or answer.status == 429:
                raise ServerUnreachableError(answer.sentence)
            # It will not like them better the second time.
        return True


def _refusal(client: Client, what: str, answer: Answer) -> Exception:
    sentence = f"{what} is refused ({answer.sentence})"
    if answer.status < 500:
        sentence += f"; is {client.url} the address of a remora server?"
    client.contact.failed(sentence)
    return ServerUnreachableError(sentence)
