import contextlib
import os
import socket
import time

import pytest

from remora.agent.control import Link, link
from remora.agent.reporting import (
    Client,
    Drops,
    Queue,
    Reporter,
    ServerSettings,
    ServerSink,
    TlsFiles,
    Worker,
)
from remora.protocol import Cost, Instance, State, Status
from remora.protocol.protection import PackState, ProtectionState


class Obedient:
    def __init__(self):
        self.pushes = []
        self.refused = []
        self.blocked = ()
        self.rules = None
        self.guarded = None
        self.looks = 0
        self.extra = []
        self.own_cost = Cost(1, 20, 60, 400, 0, 0, 2**20, 2**24)
        self.policies = []
        self.answering = lambda query: {"points": [], "more": 0}

    def obey_policy(self, policy):
        self.policies.append(policy)

    def apply(self, probes, refused, revision):
        self.refused = refused
        self.pushes.append((revision, [probe.id for probe in probes]))

    def refuse(self, actors):
        self.blocked = actors

    def rule(self, rules):
        self.rules = rules

    def protection(self):
        self.looks += 1
        return self.guarded

    def statuses(self):
        probes = self.pushes[-1][1] if self.pushes else []
        own = [Status(name, State.INSTALLED, "at 1 site") for name in probes]
        return [*own, *self.refused, *self.extra]

    def cost(self):
        return self.own_cost

    def answer(self, query):
        return self.answering(query)


class Part:
    """What an agent would put together."""

    def __init__(self, url, heard, *, token="rma_test", environment=(), tls=None):
        self.listener = Obedient()
        self.identity_calls = 0
        self.queue = Queue()
        self.drops = Drops(self.queue, heard)
        settings = ServerSettings(url, token, dict(environment), tls or TlsFiles())
        self.client = Client(settings, heard)
        self.link = Link(self.client, self.listener, self.identity, heard)
        self.sink = ServerSink(
            self.client,
            self.drops,
            lambda: self.link.instance_id,
            self.link.register_again,
        )
        self.reporter = Reporter(self.queue, self.drops, heard, server=self.sink)
        self.worker = Worker(heard)
        self.worker.add(self.reporter)
        self.worker.add(self.link)

    def identity(self):
        self.identity_calls += 1
        return Instance(
            id=f"{os.getpid():032x}",
            app="shop",
            env="prod",
            version="1",
            host="here",
            pid=os.getpid(),
            parent_pid=1,
            started=1,
            python="3.11.0",
            agent="0.1.0",
        )

    def report(self, count, start=0):
        for number in range(start, start + count):
            record = (lambda n: {"kind": "log", "message": str(n)}, number)
            assert self.queue.put(record, 50)


@pytest.fixture
def part_of(heard):
    parts = []

    def make(url, **options):
        part = Part(url, heard, **options)
        parts.append(part)
        part.worker.start()
        return part

    yield make
    for part in parts:
        part.worker.close(0.2)
        assert not part.worker.running


def probe(name="p", **more):
    log = {"text": "hello", "tree": ["hello"]}
    return {"id": name, "target": "shop:f", "log": log, **more}


def test_a_push_is_applied_and_answered_with_a_status(fake_server, part_of, until):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    fake_server.push([probe("one"), probe("two")])
    until(lambda: part.listener.pushes == [(1, ["one", "two"])])
    until(lambda: set(fake_server.statuses) == {"one", "two"})
    until(lambda: fake_server.status_posts[-1]["revision"] == 1)


def test_a_policy_comes_before_the_probes_that_stand_on_it(fake_server, part_of, until):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    part.listener.apply = lambda *_: part.listener.policies.append("probes")
    fake_server.more = {"policy": {"unsigned": ["raise"]}}
    fake_server.push([probe()])
    until(lambda: part.listener.policies == [{"unsigned": ["raise"]}, "probes"])


def test_blocked_actors_are_known_when_the_probes_of_their_push_are(
    fake_server, part_of, until
):
    fake_server.blocked = ("user:alice",)
    fake_server.push([probe()])
    part = part_of(fake_server.url)
    until(lambda: part.listener.pushes)
    assert part.listener.blocked == ("user:alice",)


def test_rules_come_with_a_push_and_protection_is_told_when_it_changes(
    fake_server, part_of, until
):
    fake_server.more = {"rules": [{"id": "r"}]}
    part = part_of(fake_server.url)
    pack = PackState("sql", "sql", "block")
    part.listener.guarded = ProtectionState("block", packs=(pack,))
    fake_server.push([{"id": "p", "target": "m:f", "log": "x"}])
    until(lambda: part.listener.rules == [{"id": "r"}])

    def told():
        return [
            post["protection"]["complaint"]
            for post in fake_server.status_posts
            if "protection" in post
        ]

    until(lambda: "" in told())
    part.listener.guarded = ProtectionState("block", complaint="unprotected")
    part.link.statuses_changed()
    part.worker.wake()
    until(lambda: told()[-1] == "unprotected")


def test_a_check_that_was_not_made_is_told_before_the_next_counts(
    fake_server, part_of, until, monkeypatch
):
    """Half a minute went by before anybody heard that a detector had given up."""
    monkeypatch.setattr(link, "STATUS_S", 0.05)
    monkeypatch.setattr(link, "PROTECTION_S", 0.1)
    part = part_of(fake_server.url)

    def guard(**counts):
        pack = PackState("sql", "sql", "block", **counts)
        part.listener.guarded = ProtectionState("block", requests=1, packs=(pack,))

    def told():
        posts = [post for post in fake_server.status_posts if "protection" in post]
        return [post["protection"]["packs"][0] for post in posts]

    guard(checks=1)
    until(lambda: told() and told()[-1]["checks"] == 1)
    before = len(told())
    guard(checks=2)
    looks = part.listener.looks
    until(lambda: part.listener.looks > looks + 2)
    assert len(told()) == before
    guard(checks=3, not_made=(("too long", 1),))
    until(lambda: len(told()) > before)
    assert told()[-1]["not_made"] == {"too long": 1}


def test_a_push_reaches_an_idle_agent_in_a_tenth_of_a_second(
    fake_server, part_of, until
):
    part = part_of(fake_server.url)
    fake_server.ping_s = 5
    until(lambda: fake_server.streams)
    began = time.monotonic()
    fake_server.push([probe()])
    until(lambda: part.listener.pushes)
    assert time.monotonic() - began < 0.5


def test_a_probe_that_cannot_be_read_fails_alone(fake_server, part_of, until):
    fake_server.push(
        [
            probe("good"),
            probe("newer", teleport=True),
            {"id": "bad"},
            "nonsense",
            probe("broken", when={"tree": 1}),
        ]
    )
    part = part_of(fake_server.url)
    until(lambda: len(fake_server.statuses) == 5)
    assert part.listener.pushes == [(1, ["good"])]
    assert fake_server.statuses["good"]["state"] == "installed"
    newer = fake_server.statuses["newer"]
    assert newer["state"] == "failed"
    assert newer["reason"].startswith("needs a newer agent than 0.1.0: 'teleport'")
    assert "no target" in fake_server.statuses["bad"]["reason"]
    assert fake_server.statuses["probe[3]"]["state"] == "failed"
    assert fake_server.statuses["broken"]["reason"].startswith("when:")


def test_statuses_are_posted_when_they_change_and_not_otherwise(
    fake_server, part_of, until
):
    fake_server.push([probe()])
    part = part_of(fake_server.url)
    until(lambda: "p" in fake_server.statuses)
    posts = len(fake_server.status_posts)
    part.listener.extra = [Status("late", State.WAITING, "waiting: module late")]
    part.link.statuses_changed()
    part.worker.wake()
    until(lambda: "late" in fake_server.statuses)
    assert [s["probe"] for s in fake_server.status_posts[posts]["statuses"]] == ["late"]
    part.link.statuses_changed()
    part.worker.wake()
    time.sleep(0.1)
    assert len(fake_server.status_posts) == posts + 1


def test_that_a_kept_probe_is_gone_is_told_once_whatever_the_server_has_forgotten(
    fake_server, part_of, until
):
    def tell():
        part.link.statuses_changed()
        part.worker.wake()

    def said(name):
        posts = [each["statuses"] for each in fake_server.status_posts]
        return [s["state"] for post in posts for s in post if s["probe"] == name]

    part = part_of(fake_server.url)
    part.listener.extra = [Status("k", State.INSTALLED, "", kept="not signed")]
    tell()
    until(lambda: said("k") == ["installed"])
    part.link.register_again()
    until(lambda: len(fake_server.registrations) == 2)
    part.listener.extra = []
    fake_server.push([])
    tell()
    until(lambda: "removed" in said("k"))
    part.listener.extra = [Status("other", State.WAITING, "")]
    tell()
    until(lambda: said("other"))
    assert said("k").count("removed") == 1


def test_what_the_agent_takes_is_told_with_the_first_statuses_and_again_and_again(
    fake_server, part_of, until, monkeypatch
):
    monkeypatch.setattr("remora.agent.control.link.STATUS_S", 0.01)
    monkeypatch.setattr("remora.agent.control.link.COST_S", 0.02)
    part = part_of(fake_server.url)
    until(lambda: len(fake_server.status_posts) > 1)
    first = fake_server.status_posts[0]
    assert first["cost"] == part.listener.own_cost.to_json()
    part.listener.own_cost = Cost(1, 99, 60, 900, 0, 0, 2**20, 2**24)
    until(lambda: fake_server.status_posts[-1]["cost"]["cpu_ms"] == 99)


def test_bytes_that_are_no_text_do_not_spoil_a_message(fake_server, part_of, until):
    part = part_of(fake_server.url)
    part.listener.extra = [Status("p", State.FAILED, "no file 'a\udcffb'")]
    part.link.statuses_changed()
    part.worker.wake()
    until(lambda: "p" in fake_server.statuses)
    assert fake_server.statuses["p"]["reason"] == "no file 'a\\udcffb'"


def test_a_query_is_answered(fake_server, part_of, until):
    part = part_of(fake_server.url)
    part.listener.answering = lambda query: {"points": [query["pattern"]], "more": 3}
    fake_server.ask({"query": "q1", "kind": "points", "pattern": "a:b", "limit": 5})
    until(lambda: fake_server.answers)
    assert fake_server.answers[0]["answer"] == {"points": ["a:b"], "more": 3}
    assert fake_server.answers[0]["query"] == "q1"


def test_an_answer_that_is_too_large_is_a_sentence(fake_server, part_of, until):
    part = part_of(fake_server.url)
    part.listener.answering = lambda query: {"points": ["x" * 3_000_000]}
    fake_server.ask({"query": "q1"})
    until(lambda: fake_server.answers)
    assert "ask for less" in fake_server.answers[0]["answer"]["error"]


def test_records_arrive_in_order(fake_server, part_of, until):
    part = part_of(fake_server.url)
    part.report(1234)
    assert part.worker.flush(5)
    messages = [record["message"] for record in fake_server.records]
    assert messages == [str(number) for number in range(1234)]
    assert part.sink.delivered == 1234


def test_a_lonely_record_arrives_within_two_seconds(fake_server, part_of, until):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    part.report(1)
    until(lambda: fake_server.records, 2.5)


def test_goodbye_is_said_at_the_end(fake_server, part_of, until):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    part.report(3)
    part.worker.close(2)
    assert len(fake_server.records) == 3
    assert len(fake_server.goodbyes) == 1
    assert not part.worker.start()


def test_a_server_that_forgot_us_gets_a_new_registration(fake_server, part_of, until):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    fake_server.known.clear()
    part.report(2)
    until(lambda: len(fake_server.registrations) == 2)
    until(lambda: len(fake_server.records) == 2)
    until(lambda: fake_server.streams >= 2)


def test_a_server_that_is_restarted_gets_the_records_of_the_gap(
    make_server, part_of, until, heard
):
    first = make_server()
    part = part_of(first.url)
    until(lambda: first.streams)
    first.stop()
    part.report(700)
    until(lambda: any("refused" in line or "closed" in line for line in heard.lines))
    second = make_server(first.port)
    until(lambda: len(second.records) == 700)
    assert [r["message"] for r in second.records] == [str(n) for n in range(700)]
    assert any("answers again" in line for line in heard.lines)
    second.push([probe()])
    until(lambda: part.listener.pushes)


def test_a_server_that_was_lost_is_told_of_protection_and_cost_anew_at_once(
    fake_server, part_of, until
):
    """The pages of one that had restarted showed for half a minute nothing guarded."""
    part = part_of(fake_server.url)
    part.listener.guarded = ProtectionState("block")

    def told():
        return [post for post in fake_server.status_posts if "protection" in post]

    until(lambda: told() and fake_server.streams == 1)
    before = len(told())
    for connection in [*fake_server.sockets]:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    until(lambda: len(told()) > before)
    assert "cost" in told()[-1]
    assert len(fake_server.registrations) == 1


def test_without_a_server_memory_is_bounded_and_drops_are_counted(part_of, until):
    part = part_of("http://127.0.0.1:1")
    refused = 0
    for number in range(30_000):
        record = (lambda n: {"kind": "log", "message": str(n)}, number)
        refused += not part.queue.put(record, 50)
    assert refused > 10_000
    part.drops.refresh()
    until(lambda: part.queue.drops["queue-full"] == refused)
    assert len(part.queue) <= 9_000


def test_drops_reach_the_server_once(fake_server, part_of, until):
    part = part_of(fake_server.url)
    part.queue._plain_records = 10
    until(lambda: fake_server.streams)
    part.worker.stop(1)
    part.report(10)
    for _ in range(7):
        assert not part.queue.put((dict,), 1)
    part.worker.start()
    assert part.worker.flush(5)
    counted = [batch["drops"] for batch in fake_server.batches if batch["drops"]]
    assert counted == [{"queue-full": 7}]


def test_a_server_error_is_retried_and_a_refusal_is_given_up(
    fake_server, part_of, until
):
    calls = []

    def fail_twice(handler):
        calls.append("5xx")
        if len(calls) > 2:
            return False
        handler.reply(503, {"message": "later"}, Retry_After="0")
        return True

    fake_server.faults["records"] = fail_twice
    part = part_of(fake_server.url)
    part.report(5)
    until(lambda: len(fake_server.records) == 5)

    def refuse(handler):
        handler.reply(400, {"error": "bad-message", "message": "no"})
        return True

    fake_server.faults["records"] = refuse
    part.report(4)
    until(lambda: part.drops.totals.get("refused") == 4)
    fake_server.faults.clear()
    part.report(1)
    until(lambda: len(fake_server.records) == 6)
    assert fake_server.batches[-1]["drops"]["refused"] == 4


def test_too_many_requests_are_retried_after_the_time_given(
    fake_server, part_of, until
):
    times = []

    def slow_down(handler):
        times.append(time.monotonic())
        if len(times) > 1:
            return False
        handler.reply(429, {"message": "slow down"}, Retry_After="1")
        return True

    fake_server.faults["records"] = slow_down
    part = part_of(fake_server.url)
    part.report(1)
    until(lambda: fake_server.records)
    assert times[1] - times[0] >= 0.95


def test_a_wrong_token_is_said_once_and_not_tried_again_at_once(
    fake_server, part_of, until, heard
):
    part_of(fake_server.url, token="rma_wrong")
    until(lambda: heard.lines)
    time.sleep(0.5)
    assert len(heard.lines) == 1
    assert "the token is refused (status 401: unknown token)" in heard.lines[0]
    assert "REMORA_TOKEN" in heard.lines[0]
    assert len(fake_server.requests) == 1


def test_another_protocol_is_said_once(fake_server, part_of, until, heard):
    def refuse(handler):
        handler.reply(426, {"error": "protocol-version", "message": "speaks [7]"})
        return True

    fake_server.faults["register"] = refuse
    part_of(fake_server.url)
    until(lambda: heard.lines)
    time.sleep(0.3)
    assert len(heard.lines) == 1
    assert "does not speak protocol 1" in heard.lines[0]
    assert len(fake_server.requests) == 1


def test_what_is_no_remora_server_is_named(fake_server, part_of, until, heard):
    def other(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")
        return True

    fake_server.faults["register"] = other
    part_of(fake_server.url)
    until(lambda: heard.lines)
    assert "no remora server" in heard.lines[0]
    assert "REMORA_SERVER" in heard.lines[0]


def test_a_redirect_is_not_followed(fake_server, part_of, until, heard):
    def redirect(handler):
        handler.reply(302, None, Location="http://127.0.0.1:1/")
        return True

    fake_server.faults["register"] = redirect
    part_of(fake_server.url)
    until(lambda: heard.lines)
    assert "status 302" in heard.lines[0]


LIES = {
    "garbage": b"event: push\ndata: {{{\n\n",
    "a list": b"event: push\ndata: []\n\n",
    "wrong types": b'event: push\ndata: {"revision": "x", "probes": 7}\n\n',
    "huge revision": b'event: push\ndata: {"revision": 1e999, "probes": []}\n\n',
    "deep": b'event: push\ndata: {"revision": 1, "probes": ' + b"[" * 100_000 + b"\n\n",
    "query without id": b"event: query\ndata: {}\n\n",
    "not UTF-8": b"event: push\ndata: \xff\xfe{\n\n",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_stream_costs_a_reconnect_only(
    name, fake_server, part_of, until, heard
):
    lies = [True]

    def lie(handler):
        if not lies:
            return False
        lies.clear()
        handler.begin_stream()
        handler.chunk(LIES[name])
        handler.chunk(b"")
        handler.close_connection = True
        return True

    fake_server.faults["stream"] = lie
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)
    fake_server.push([probe()])
    until(lambda: part.listener.pushes == [(1, ["p"])])
    assert heard.counters.get("worker-fault") is None
    assert heard.lines


def test_an_endless_line_is_cut_off(fake_server, part_of, until, heard):
    sent = []

    def flood(handler):
        if sent:
            return False
        handler.begin_stream()
        piece = b"x" * 65536
        try:
            while len(sent) < 2000:
                sent.append(len(piece))
                handler.chunk(piece)
        except OSError:
            pass
        handler.close_connection = True
        return True

    fake_server.faults["stream"] = flood
    part_of(fake_server.url)
    until(lambda: fake_server.streams)
    assert sum(sent) < 32 * 2**20
    assert any("exceeds" in line for line in heard.lines)


def test_a_push_that_claims_a_gigabyte_is_cut_off(fake_server, part_of, until):
    def flood(handler):
        handler.send_response(200)
        handler.send_header("Remora-Protocol", "1")
        handler.send_header("Content-Length", str(2**30))
        handler.end_headers()
        try:
            for _ in range(2000):
                handler.wfile.write(b"event: push\ndata: " + b"x" * 65536 + b"\n")
        except OSError:
            fake_server.faults.clear()
        handler.close_connection = True
        return True

    fake_server.faults["stream"] = flood
    part_of(fake_server.url)
    until(lambda: fake_server.streams)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nRemora-Protocol: 1\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nRemora-Protocol: 1\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nRemora-Protocol: 1\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
        b"",
    ],
)
def test_a_registration_answered_with_nonsense_is_retried(
    answer, fake_server, part_of, until, heard
):
    tries = []

    def nonsense(handler):
        tries.append(1)
        if len(tries) > 1:
            return False
        handler.wfile.write(answer)
        handler.wfile.flush()
        handler.close_connection = True
        return True

    fake_server.faults["register"] = nonsense
    part_of(fake_server.url)
    until(lambda: fake_server.streams)
    assert heard.counters.get("worker-fault") is None
    assert len([line for line in heard.lines if "retries" in line]) == 1


def test_a_silent_stream_is_given_up_and_after_three_the_link_polls(
    fake_server, part_of, until, heard
):
    fake_server.ping_s = 0.05

    def silent(handler):
        fake_server.streams += 1
        handler.begin_stream()
        with fake_server.changed:
            fake_server.changed.wait_for(lambda: fake_server.is_stopping, 10)
        return True

    fake_server.faults["stream"] = silent
    part = part_of(fake_server.url)
    until(lambda: fake_server.polls)
    assert fake_server.streams == 3
    fake_server.push([probe()])
    until(lambda: part.listener.pushes == [(1, ["p"])])
    part.report(2)
    until(lambda: len(fake_server.records) == 2)
    assert any("polling instead" in line for line in heard.lines)


def test_a_black_hole_delays_neither_stop_nor_exit(part_of, until):
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(5)
    try:
        part = part_of(f"http://127.0.0.1:{hole.getsockname()[1]}")
        part.report(5)
        time.sleep(0.2)
        began = time.monotonic()
        assert part.worker.stop(0.2)
        assert time.monotonic() - began < 0.2
        part.worker.start()
        began = time.monotonic()
        part.worker.close(0.5)
        assert time.monotonic() - began < 0.7
        assert part.drops.totals["exit"] == 5
    finally:
        hole.close()


def test_a_listener_that_fails_does_not_end_the_thread(
    fake_server, part_of, until, heard
):
    part = part_of(fake_server.url)
    until(lambda: fake_server.streams)

    def fail(query):
        raise SystemExit("a fault in the agent")

    part.listener.answering = fail
    fake_server.ask({"query": "q1"})
    until(lambda: heard.counters.get("worker-fault"))
    assert part.worker.running
    part.listener.answering = lambda query: {"points": []}
    fake_server.ask({"query": "q2"})
    until(lambda: fake_server.answers)
    assert "SystemExit in" in next(line for line in heard.lines if "fault" in line)


def test_stopped_and_started_again_the_connections_live_on(fake_server, part_of, until):
    part = part_of(fake_server.url)
    fake_server.ping_s = 5
    until(lambda: fake_server.status_posts and fake_server.streams)
    connections = fake_server.connections
    for _ in range(5):
        assert part.worker.stop(0.2)
        assert part.worker.start()
    fake_server.push([probe()])
    until(lambda: "p" in fake_server.statuses)
    assert fake_server.connections == connections


def test_an_app_that_closes_our_descriptors_costs_a_reconnect(
    fake_server, part_of, until
):
    part = part_of(fake_server.url)
    until(lambda: fake_server.status_posts)
    part.worker.stop(1)
    mine = [part.worker._pipe.read_end, part.worker._pipe._write_end]
    mine += [c._socket.fileno() for c in part.client._streams]
    mine += [part.client._kept._socket.fileno()]
    for fd in mine:
        os.close(fd)
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in mine]
    try:
        part.worker.start()
        fake_server.push([probe()])
        until(lambda: "p" in fake_server.statuses)
        for fd in taken:
            os.fstat(fd)
    finally:
        for fd in taken:
            os.close(fd)


def test_the_thread_is_marked_as_ours_while_it_lives(fake_server, part_of, until):
    from remora.agent.runtime import guard

    part = part_of(fake_server.url)
    until(lambda: part.worker._ident in guard.busy)
    part.worker.stop(1)
    assert part.worker._ident not in guard.busy
    assert part.worker.own_cpu_s > 0
