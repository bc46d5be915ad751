"""A server that is away, slow or lying, by a stepped clock: hours in a moment."""

import json
import zlib

import pytest

from remora.agent.reporting import Drops, Queue, Reporter, ServerSink, Wait
from remora.agent.reporting.answer import Answer
from remora.agent.reporting.batch import BATCH_RECORDS, RECORD_BYTES
from remora.agent.reporting.queue import LIMIT_RECORDS, RESERVED_SHARE
from remora.agent.runtime import originals
from remora.errors import ServerUnreachableError

HOUR = 3600.0


class World:
    """The agent's routines, a clock, and a server that does as `behave` says.

    `behave(now)` gives a status, or a status after which the answer is lost
    ("lost"), or "down" or "silent", which last 1 s and 10 s.
    """

    def __init__(self, monkeypatch, heard):
        self.now = 1000.0
        monkeypatch.setattr(originals, "monotonic", lambda: self.now)
        self.behave = lambda now: 200
        self.headers = {}
        self.requests = []
        self.batches = {}
        self.order = []
        self.most_waiting = 0
        self.queue = Queue()
        self.drops = Drops(self.queue, heard)
        self.sink = ServerSink(self, self.drops, lambda: "i" * 32, lambda: None)
        self.reporter = Reporter(
            self.queue,
            self.drops,
            heard,
            expects_records=lambda: False,  # no look of its own: `run` sees to that
            server=self.sink,
        )
        self.routines = [[start(), Wait()] for start in self.reporter.routines()]
        for entry in self.routines:
            entry[1] = next(entry[0])

    def request(self, method, path, payload):
        self.requests.append(self.now)
        answer = self.behave(self.now)
        if answer in {"down", "silent"}:
            yield Wait(until=self.now + (1.0 if answer == "down" else 10.0))
            raise ServerUnreachableError("away")
        yield Wait(until=self.now + 0.01)
        if answer in {200, "lost"}:
            self.store(json.loads(zlib.decompress(payload.data)))
        if answer == "lost":
            raise ServerUnreachableError("the connection ended")
        return Answer(answer, self.headers, b"")

    def store(self, batch):
        """As the server's store does: a batch that is known is not stored again."""
        if batch["batch"] not in self.batches:
            self.batches[batch["batch"]] = batch
            self.order += [record["n"] for record in batch["records"]]

    @property
    def told(self):
        """Drops that the server was told of."""
        told = {}
        for batch in self.batches.values():
            for reason, count in batch["drops"].items():
                told[reason] = told.get(reason, 0) + count
        return told

    def report(self, *numbers, important=False, size=100, encode=lambda n: {"n": n}):
        return [self.queue.put((encode, n), size, important) for n in numbers]

    def run(self, seconds, each_second=lambda: None):
        end = self.now + seconds
        next_second = self.now
        while self.now < end:
            if self.now >= next_second:
                each_second()
                next_second += 1
            if not self.step():
                due = min(wait.until for _, wait in self.routines)
                self.now = min(max(due, self.now + 0.001), self.now + 0.2, end)
            self.most_waiting = max(self.most_waiting, self.sink._waiting_records)

    def step(self):
        is_busy = False
        for entry in self.routines:
            routine, wait = entry
            if wait.until <= self.now or (wait.ready is not None and wait.ready()):
                entry[1] = routine.send(self.now)
                is_busy = True
        return is_busy


@pytest.fixture
def world(monkeypatch, heard):
    return World(monkeypatch, heard)


def test_a_server_that_is_down_for_an_hour_gets_what_there_was_room_for(world):
    world.behave = lambda now: "down" if now < 1000 + HOUR else 200
    numbers = iter(range(10**9))
    world.run(HOUR, lambda: world.report(*(next(numbers) for _ in range(20))))
    reported = next(numbers)
    tries = len(world.requests)
    assert 100 < tries < 400, "back-off of half a minute at most, with its jitter"
    gaps = [b - a for a, b in zip(world.requests, world.requests[1:], strict=False)]
    assert max(gaps) < 50
    world.run(120)
    room = LIMIT_RECORDS - LIMIT_RECORDS // RESERVED_SHARE
    assert len(world.order) >= room
    assert world.order == sorted(world.order), "in the order of their times"
    assert len(set(world.order)) == len(world.order)
    world.report("done")
    world.run(20)
    assert len(world.order) - 1 + sum(world.told.values()) == reported
    assert set(world.told) == {"queue-full"}
    assert world.most_waiting < 2000


@pytest.mark.parametrize("answer", [500, 502, 503, 429, 408, "silent", "lost"])
def test_whatever_fails_for_a_minute_loses_and_doubles_nothing(world, answer):
    world.behave = lambda now: answer if now < 1060 else 200
    numbers = iter(range(10**9))
    world.run(60, lambda: world.report(*(next(numbers) for _ in range(10))))
    world.run(90)
    assert world.order == list(range(next(numbers)))
    assert not world.told
    assert world.reporter.is_settled


def test_answers_lost_at_random_double_nothing_and_keep_the_order(world):
    answers = iter(["lost", 200, 500, "lost", "silent", 200, "down", "lost"] * 1000)
    world.behave = lambda now: next(answers)
    numbers = iter(range(10**9))
    world.run(600, lambda: world.report(*(next(numbers) for _ in range(30))))
    world.behave = lambda now: 200
    world.run(120)
    assert world.order == list(range(next(numbers)))
    assert len(world.requests) > len(world.batches)


def test_a_server_that_asks_for_patience_is_left_alone_as_long(world):
    world.behave = lambda now: 429 if now < 1001.5 else 200
    world.headers = {"retry-after": "100"}
    world.report(1)
    world.run(99)
    assert len(world.requests) == 1
    world.run(10)
    assert world.order == [1]


def test_a_slow_server_gets_everything_while_memory_stays_flat(world):
    def slow(method, path, payload):
        yield Wait(until=world.now + 5.0)
        world.store(json.loads(zlib.decompress(payload.data)))
        return Answer(200, {}, b"")

    world.request = slow
    numbers = iter(range(10**9))
    world.run(300, lambda: world.report(*(next(numbers) for _ in range(50))))
    world.run(300)
    assert world.order == list(range(next(numbers)))
    assert world.most_waiting < 2000


def test_in_a_flood_attacks_and_statuses_keep_their_place(world):
    world.behave = lambda now: "down" if now < 1010 else 200
    world.report(*range(LIMIT_RECORDS * 2))
    kept = world.report(
        *(f"attack {n}" for n in range(LIMIT_RECORDS // RESERVED_SHARE)),
        important=True,
    )
    assert all(kept)
    assert not any(world.report("log"))
    assert world.report("one more attack", important=True) == [False]
    world.run(200)
    assert sum(str(n).startswith("attack") for n in world.order) == len(kept)
    world.report(0)
    world.run(20)
    assert world.told["queue-full"] == LIMIT_RECORDS + LIMIT_RECORDS // 10 + 2


def test_an_attack_waits_for_no_company(world):
    """A process that was killed within a second took its attacks with it."""
    world.report("log")
    world.run(0.5)
    assert world.order == []
    world.report("attack", important=True)
    world.run(0.1)
    assert world.order == ["log", "attack"]
    world.report("log again")
    world.run(0.5)
    assert len(world.order) == 2
    world.report("another", important=True)
    world.report("last log")
    world.run(0.3)
    assert world.order[2:] == ["log again", "another", "last log"]


def test_a_flood_of_attacks_goes_in_ten_batches_a_second(world):
    for number in range(500):
        world.report(number, important=True)
        world.run(0.01)
    world.run(0.5)
    assert world.order == list(range(500))
    assert 25 < len(world.batches) <= 51


def test_an_attack_behind_a_full_batch_still_presses(world):
    logs = [f"log {n}" for n in range(BATCH_RECORDS)]
    world.report(*logs)
    world.report("attack", important=True)
    world.run(0.3)
    assert world.order == [*logs, "attack"]


def test_what_cannot_be_written_or_is_too_large_costs_itself_alone(world):
    class Hostile(dict):
        def items(self):
            raise SystemExit("hostile")

    cycle = {}
    cycle["n"] = cycle

    def fail(n):
        raise MemoryError

    def end(n):
        raise RecursionError

    for encode in (
        lambda n: {"n": n, "x": {1, 2}},
        lambda n: {"n": float("nan")},
        lambda n: cycle,
        lambda n: None,
        lambda n: [n],
        lambda n: {},
        fail,
        end,
    ):
        world.report(0, encode=encode)
    world.report(1)
    world.report(2, encode=lambda n: {"n": n, "x": "y" * RECORD_BYTES})
    world.report(3, encode=lambda n: {"n": n, "x": "y" * (RECORD_BYTES - 100)})
    world.report(4, encode=lambda n: {"n": n, "x": "\ud800 \U0001f600"})
    world.report(5)
    world.run(10)
    assert world.order == [1, 3, 4, 5]
    world.run(10)
    assert world.told == {"not-encodable": 8, "too-large": 1}


def test_a_hundred_thousand_records_in_a_second_to_a_dead_server_stay_in_bounds(world):
    world.behave = lambda now: "down"
    taken = 0
    for start in range(0, 100_000, 1000):
        taken += sum(world.report(*range(start, start + 1000), size=500))
        world.run(0.01)
    assert len(world.queue) <= LIMIT_RECORDS
    assert world.queue.size_bytes <= 8 * 2**20
    assert taken + world.queue.drops["queue-full"] + world.queue.drops[
        "queue-bytes"
    ] == (100_000)
    assert world.most_waiting < 2000
