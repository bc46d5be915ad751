"""The SQLite store, on real files."""

import asyncio
import sqlite3
import stat

import pytest

from remora.errors import ConfigError
from remora.protocol import Instance, State, Status, parse_probe
from remora.server.domain import (
    AttackFilter,
    AuditEntry,
    Batch,
    Block,
    BusyError,
    DuplicateProbeError,
    IncomingRecord,
    KnownInstance,
    RecordFilter,
    StoredProbe,
    parse_batch,
)
from remora.server.store import SqliteStore
from remora.server.store.schema import MIGRATIONS

ENTRY = AuditEntry(1, "ann", "probe-add", "p", None, {"id": "p"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "remora.db"


@pytest.fixture
def store(path):
    opened = SqliteStore(path)
    yield opened
    opened.close()


def run(awaitable):
    return asyncio.run(awaitable)


def an_instance(number=1):
    return Instance(f"{number:032x}", "shop", "prod", "1", "h", 1, 0, 1, "3.11", "0.1")


def a_probe(probe_id="p", sequence=1):
    probe = parse_probe({"id": probe_id, "target": "a:b", "log": "x"})
    return StoredProbe(probe, sequence, sequence, "ann")


def a_batch(number=1, probe="p", count=1, drops=None, body=b'{"a":1}'):
    record = IncomingRecord("log", 1, probe, "a:b", "u", "r", body)
    return Batch(f"{number:032x}", f"{1:032x}", (record,) * count, drops or {})


def an_attack_batch(number=1, before=0):
    log = {"kind": "log", "time": 1}
    attack = {"kind": "attack", "time": 1, "detector": "sql", "mode": "watch"}
    records = [*([log] * before), attack | {"blocked": False}, log]
    return parse_batch(f"{number:032x}", f"{1:032x}", records, {}, app="shop")


def test_file_is_for_its_owner_alone(store, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_migrations_run_once(store, path):
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (
            len(MIGRATIONS),
        )
    connection.close()
    SqliteStore(path).close()


def test_store_of_a_newer_version_is_refused(path):
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="start a newer remora"):
        SqliteStore(path)


def test_store_of_the_first_version_keeps_what_it_has_and_takes_attacks(path):
    connection = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO tallies VALUES ('p', 7)")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    assert run(store.records.counts()) == {"p": 7}
    run(store.records.ingest(an_attack_batch(), 1))
    assert len(run(store.attacks.find(AttackFilter()))) == 1
    store.close()


def test_attacks_of_an_earlier_version_were_not_excepted(path):
    connection = sqlite3.connect(path)
    for statement in (*MIGRATIONS[0], *MIGRATIONS[1]):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 2")
    places = ", ".join("?" * 13)
    row = (900, 1, 1, "i", "shop", "prod", "sql", "v", "user:a", 0, "GET", "/", 2)
    connection.execute(f"INSERT INTO attacks VALUES ({places})", row)
    connection.execute("INSERT INTO attack_bodies VALUES (900, '{}')")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    run(store.records.ingest(an_attack_batch(), 1))
    rows = run(store.attacks.vulnerabilities(AttackFilter()))
    assert [row.excepted for row in rows] == [0, 0]
    assert run(store.rules.all()) == []
    store.close()


def test_attacks_have_the_ids_of_their_records_also_after_these_were_pruned(store):
    run(store.records.ingest(a_batch(1, count=3), 1))
    run(store.records.prune(2, 10**9))
    run(store.records.ingest(an_attack_batch(2, before=2), 3))
    (kept,) = run(store.attacks.find(AttackFilter()))
    (record,) = run(store.records.find(RecordFilter(kind="attack")))
    assert kept.id == record.id == 6
    assert run(store.attacks.get(6)) == kept
    assert run(store.attacks.get(5)) is None


def test_batch_that_comes_again_brings_no_second_attack(store):
    assert run(store.records.ingest(an_attack_batch(), 1))
    assert not run(store.records.ingest(an_attack_batch(), 1))
    assert run(store.sizes())["attacks"] == 1


def test_blocks_come_back_as_they_were(path):
    blocks = [
        Block("", "user:a", "why", 1, "ann", 9),
        Block("shop", "user:a", "", 2, "ann"),
    ]
    first = SqliteStore(path)
    for block in blocks:
        run(first.blocks.save(block, ENTRY))
    first.close()
    second = SqliteStore(path)
    assert run(second.blocks.all()) == blocks
    run(second.blocks.remove(blocks[0], ENTRY))
    assert run(second.blocks.all()) == blocks[1:]
    assert len(run(second.access.audit(10))) == 3
    second.close()


def test_file_that_is_no_store_is_refused(path):
    path.write_text("nothing of ours, and long enough to be read as a header" * 20)
    with pytest.raises(ConfigError, match="move the damaged file away"):
        SqliteStore(path)


def test_instances_come_back_as_they_were(path):
    known = [
        KnownInstance(an_instance(1), 1, 2, None, 7, "set", "m"),
        KnownInstance(an_instance(2), 2, 2, "exit"),
    ]
    first = SqliteStore(path)
    run(first.instances.save(known))
    first.close()
    second = SqliteStore(path)
    assert run(second.instances.all()) == known
    run(second.instances.forget([known[0].instance.id]))
    assert run(second.instances.all()) == known[1:]
    second.close()


def test_probes_come_back_as_they_were(store):
    stored = a_probe()
    run(store.probes.add(stored, ENTRY))
    assert run(store.probes.all()) == [stored]
    assert run(store.access.audit(10)) == [ENTRY]


def test_second_probe_of_an_id_leaves_no_trace(store):
    run(store.probes.add(a_probe(), ENTRY))
    with pytest.raises(DuplicateProbeError):
        run(store.probes.add(a_probe(sequence=2), ENTRY))
    assert len(run(store.access.audit(10))) == 1
    assert run(store.probes.all())[0].sequence == 1


def test_statuses_go_with_their_probe(store):
    status = Status("p", State.INSTALLED, "", firings=3)
    run(store.probes.add(a_probe(), ENTRY))
    run(store.probes.save_statuses("i", [status]))
    assert run(store.probes.statuses("p")) == [("i", status)]
    assert run(store.probes.states()) == [("p", "i", "installed", 3)]
    run(store.probes.replace(a_probe(sequence=2), ENTRY))
    assert run(store.probes.statuses("p")) == []
    run(store.probes.remove("p", ENTRY))
    assert run(store.probes.all()) == []


def a_status(firings=0):
    return Status("p", State.INSTALLED, "", firings=firings)


class Writes:
    """Counts the transactions, tells of the first, and holds them until `go_on`."""

    def __init__(self, store, monkeypatch):
        self.count = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._write = store.probes._database.write
        monkeypatch.setattr(store.probes._database, "write", self.write)

    async def write(self, work):
        self.count += 1
        self.begun.set()
        await self.go_on.wait()
        return await self._write(work)


async def settle():
    """Let all that is under way get as far as it can without the disk."""
    for _ in range(10):
        await asyncio.sleep(0)


async def save_all(store, count):
    saves = (store.probes.save_statuses(f"i{n}", [a_status(n)]) for n in range(count))
    return await asyncio.gather(*saves, return_exceptions=True)


def test_statuses_that_come_at_once_are_written_at_once(store, monkeypatch):
    """After a push, every instance posts its own."""
    run(store.probes.add(a_probe(), ENTRY))
    writes = Writes(store, monkeypatch)
    writes.go_on.set()
    run(save_all(store, 100))
    assert len(run(store.probes.statuses("p"))) == 100
    assert writes.count == 1


def test_statuses_that_come_while_others_are_written_wait_for_them(store, monkeypatch):
    run(store.probes.add(a_probe(), ENTRY))
    writes = Writes(store, monkeypatch)

    async def come_in_waves():
        waves = [asyncio.ensure_future(save_all(store, 3))]
        await writes.begun.wait()
        for _ in range(2):
            waves.append(asyncio.ensure_future(save_all(store, 50)))
            await settle()
        writes.go_on.set()
        await asyncio.gather(*waves)

    run(come_in_waves())
    assert len(run(store.probes.statuses("p"))) == 50
    assert writes.count == 2


def test_a_client_that_gives_up_takes_no_status_of_others_along(store):
    run(store.probes.add(a_probe(), ENTRY))

    async def give_up():
        first = asyncio.ensure_future(store.probes.save_statuses("i1", [a_status(1)]))
        second = asyncio.ensure_future(store.probes.save_statuses("i2", [a_status(2)]))
        await settle()
        first.cancel()
        await second

    run(give_up())
    assert len(run(store.probes.statuses("p"))) == 2


def test_whoever_sent_statuses_that_were_not_kept_is_told(store, monkeypatch):
    async def fail(work):
        raise BusyError("the disk is full")

    monkeypatch.setattr(store.probes._database, "write", fail)
    answers = run(save_all(store, 3))
    assert [type(each) for each in answers] == [BusyError] * 3
    monkeypatch.undo()
    run(store.probes.add(a_probe(), ENTRY))
    assert run(save_all(store, 3)) == [None] * 3


def test_statuses_of_before_go_with_a_probe_that_is_written_anew(store, monkeypatch):
    """Also those that waited for others when it was."""
    run(store.probes.add(a_probe(), ENTRY))
    writes = Writes(store, monkeypatch)

    async def replace_among_statuses():
        first = asyncio.ensure_future(save_all(store, 1))
        await writes.begun.wait()
        late = asyncio.ensure_future(save_all(store, 2))
        await settle()
        anew = asyncio.ensure_future(store.probes.replace(a_probe(sequence=2), ENTRY))
        await settle()
        writes.go_on.set()
        await asyncio.gather(first, late, anew)

    run(replace_among_statuses())
    assert run(store.probes.statuses("p")) == []


def test_sequence_always_grows_and_starts_high(path):
    first = SqliteStore(path)
    number = run(first.next_sequence())
    assert number > 1_600_000_000
    assert run(first.next_sequence()) == number + 1
    first.close()
    second = SqliteStore(path)
    assert run(second.next_sequence()) == number + 2
    second.close()


def test_batch_is_stored_once(store):
    batch = a_batch(count=3, drops={"queue-full": 2, "exit": 0})
    assert run(store.records.ingest(batch, 1))
    assert not run(store.records.ingest(batch, 1))
    assert len(run(store.records.find(RecordFilter()))) == 3
    assert run(store.records.counts()) == {"p": 3}
    assert run(store.instances.drops()) == {f"{1:032x}": {"queue-full": 2}}


def test_drops_add_up(store):
    run(store.records.ingest(a_batch(1, drops={"exit": 2}), 1))
    run(store.records.ingest(a_batch(2, drops={"exit": 3}), 1))
    assert run(store.instances.drops()) == {f"{1:032x}": {"exit": 5}}


def test_failed_batch_may_come_again(store):
    broken = a_batch(body=object())
    with pytest.raises(sqlite3.Error):
        run(store.records.ingest(broken, 1))
    assert run(store.records.ingest(a_batch(), 1))


def test_records_are_found_by_what_is_asked(store):
    for number, probe in enumerate(["p", "q", "p", "q"], 1):
        run(store.records.ingest(a_batch(number, probe), number))

    def ids(**wanted):
        return [each.id for each in run(store.records.find(RecordFilter(**wanted)))]

    assert ids() == [4, 3, 2, 1]
    assert ids(probe="p") == [3, 1]
    assert ids(after=1) == [2, 3, 4]
    assert ids(after=1, limit=2) == [2, 3]
    assert ids(before=3) == [2, 1]
    assert ids(kind="snapshot") == []
    assert ids(instance="x") == []


def test_old_records_are_pruned_first_and_ids_are_never_given_again(store):
    for number in range(1, 5):
        run(store.records.ingest(a_batch(number), number))
    assert run(store.records.prune(3, 10**9)) == 2
    assert [each.id for each in run(store.records.find(RecordFilter()))] == [4, 3]
    assert run(store.records.prune(100, 10**9)) == 2
    run(store.records.ingest(a_batch(9), 9))
    assert run(store.records.find(RecordFilter()))[0].id == 5


def test_size_is_kept_by_removing_the_oldest(store, path):
    body = b'{"text":"' + b"x" * 2000 + b'"}'
    for number in range(1, 13):
        run(store.records.ingest(a_batch(number, count=500, body=body), number))
    run(store.records.prune(0, 10_000_000))
    sizes = run(store.sizes())
    assert sizes["bytes"] <= 10_000_000
    assert sizes["records"] == 2000
    # The pages go back to the file system once the log has been written into the file.
    run(store.records._give_back_pages())
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()
    assert run(store.records.find(RecordFilter(limit=1)))[0].id == 6000


def test_ids_of_batches_are_forgotten(store):
    run(store.records.ingest(a_batch(), 1))
    run(store.records.prune_batches(2))
    assert run(store.records.ingest(a_batch(), 3))


def test_full_disk_is_said_and_passes(store):
    async def limit(pages):
        await store._database.maintain(
            lambda connection: connection.execute(
                f"PRAGMA max_page_count = {pages}"
            ).fetchall()
        )

    run(limit(1))
    body = b"x" * 100_000
    with pytest.raises(BusyError, match="full"):
        run(store.records.ingest(a_batch(body=body), 1))
    run(limit(1_000_000))
    assert run(store.records.ingest(a_batch(body=body), 1))


def test_writes_of_many_tasks_do_not_meet(store):
    async def many():
        return await asyncio.gather(
            *(store.records.ingest(a_batch(number), 1) for number in range(50)),
            *(store.records.find(RecordFilter()) for _ in range(20)),
        )

    assert all(run(many())[:50])
    assert run(store.sizes())["records"] == 50
