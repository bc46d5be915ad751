import json
import zlib

import pytest

from remora.agent.reporting import (
    Client,
    Drops,
    FileSink,
    Queue,
    Reporter,
    ServerSettings,
    ServerSink,
    Worker,
)


class Chain:
    """Queue, worker, and both sinks."""

    def __init__(self, url, path, heard):
        self.registered = "0" * 32
        self.queue = Queue()
        self.drops = Drops(self.queue, heard)
        self.client = Client(ServerSettings(url, "rma_test", {}), heard)
        self.server = ServerSink(
            self.client, self.drops, lambda: self.registered, lambda: None
        )
        self.file = FileSink(str(path), 2**30, lambda: {"pid": 1}, self.drops, heard)
        self.expects = True
        self.worker = Worker(heard)
        self.worker.add(
            Reporter(
                self.queue,
                self.drops,
                heard,
                prepare=lambda record: {**record, "prepared": True},
                expects_records=lambda: self.expects,
                file=self.file,
                server=self.server,
            )
        )

    def report(self, count):
        for number in range(count):
            self.queue.put((lambda n: {"n": n}, number), 50)


@pytest.fixture
def chain_of(tmp_path, heard):
    chains = []

    def make(url):
        chains.append(Chain(url, tmp_path / "r", heard))
        return chains[-1]

    yield make
    for chain in chains:
        chain.worker.close(0.1)
        chain.client.close()


def numbers(path):
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_both_sinks_get_every_record_prepared(fake_server, chain_of, tmp_path):
    fake_server.known.add("0" * 32)
    chain = chain_of(fake_server.url)
    chain.worker.start()
    chain.report(1500)
    assert chain.worker.flush(5)
    assert numbers(tmp_path / "r") == list(range(1500))
    assert fake_server.records == [{"n": n, "prepared": True} for n in range(1500)]


def test_the_file_does_not_wait_for_a_server_that_is_away(chain_of, tmp_path, until):
    chain = chain_of("http://127.0.0.1:1")
    chain.worker.start()
    for turn in range(1, 4):
        chain.report(4000)
        until(lambda n=turn * 4000: chain.file.written == n)
    assert numbers(tmp_path / "r")[-1] == 3999
    chain.worker.close(0.1)
    lost = chain.drops.counts
    assert lost["exit"] + lost["queue-full"] == 12_000
    assert 9_000 < lost["exit"] <= 10_500


def test_a_record_is_seen_soon_although_nobody_is_woken(chain_of, tmp_path, until):
    chain = chain_of("http://127.0.0.1:1")
    chain.worker.start()
    until(lambda: chain.worker.own_cpu_s)
    chain.report(1)
    until(lambda: chain.file.written, 0.5)


def test_where_nothing_may_report_the_thread_does_not_look(chain_of, until):
    chain = chain_of("http://127.0.0.1:1")
    chain.expects = False
    chain.worker.start()
    until(lambda: chain.worker.own_cpu_s)
    chain.report(1)
    chain.worker.wake()
    until(lambda: chain.file.written, 0.5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_a_broken_answer_loses_and_doubles_nothing(
    fake_server, chain_of, until, answer
):
    broken = []

    def breaks(handler):
        """Store the batch, and answer with nonsense, as a crash in between would."""
        if len(broken) >= 2:
            return False
        broken.append(1)
        handler.wfile.write(answer)
        handler.wfile.flush()
        handler.connection.shutdown(2)
        handler.close_connection = True
        batch = json.loads(zlib.decompress(handler.body))
        fake_server.batches.append(batch)
        return True

    chain = chain_of(fake_server.url)
    fake_server.known.add(chain.registered)
    fake_server.faults["records"] = breaks
    chain.worker.start()
    chain.report(700)
    until(lambda: len(fake_server.records) >= 700, 20)
    stored = {batch["batch"]: batch["records"] for batch in fake_server.batches}
    numbers = [record["n"] for batch in stored.values() for record in batch]
    assert numbers == list(range(700))
    assert len(broken) == 2
