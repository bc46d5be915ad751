import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remora.agent.reporting import Drops, FileSink, Queue, Reporter, Worker

SOURCE = str(Path(__file__).parents[4] / "src")


@pytest.fixture
def sink_of(heard):
    sinks = []

    def make(path, limit=2**20):
        drops = Drops(Queue(), heard)
        sink = FileSink(
            str(path), limit, lambda: {"pid": 7, "app": "shop"}, drops, heard
        )
        sinks.append((sink, drops))
        return sink

    make.sinks = sinks
    yield make
    for sink, _ in sinks:
        sink.close()


def write(sink, *records):
    for record in records:
        sink.add(json.dumps(record).encode())
    routine = sink.write()
    try:
        wait = next(routine)
        while True:
            pause_s = min(wait.until - time.monotonic(), 1)
            time.sleep(max(0, pause_s))
            wait = routine.send(time.monotonic())
    except StopIteration:
        pass


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_each_line_is_a_record_and_says_where_it_comes_from(sink_of, tmp_path):
    write(sink_of(tmp_path / "r"), {"kind": "log"}, {"kind": "snapshot"})
    assert lines(tmp_path / "r") == [
        {"kind": "log", "pid": 7, "app": "shop"},
        {"kind": "snapshot", "pid": 7, "app": "shop"},
    ]
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o600


def test_at_the_limit_the_file_is_rotated_once(sink_of, tmp_path):
    sink = sink_of(tmp_path / "r", limit=400)
    for number in range(30):
        write(sink, {"n": number})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "r.1"]
    numbers = [line["n"] for line in lines(tmp_path / "r.1") + lines(tmp_path / "r")]
    assert numbers == list(range(numbers[0], 30))
    assert (tmp_path / "r").stat().st_size <= 400
    assert (tmp_path / "r.1").stat().st_size <= 400


@pytest.mark.parametrize("remove", [False, True])
def test_a_file_that_was_renamed_or_removed_is_made_again(sink_of, tmp_path, remove):
    sink = sink_of(tmp_path / "r")
    write(sink, {"n": 1})
    if remove:
        (tmp_path / "r").unlink()
    else:
        (tmp_path / "r").rename(tmp_path / "old")
    write(sink, {"n": 2})
    assert [line["n"] for line in lines(tmp_path / "r")] == [2]


def test_a_link_is_followed_and_not_renamed(sink_of, tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sink = sink_of(tmp_path / "link", limit=50)
    write(sink, {"n": 1})
    write(sink, {"n": 2})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.1").exists()


def test_the_app_may_change_its_directory(sink_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sink = sink_of("r")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(sink, {"n": 1})
    assert lines(tmp_path / "r")


def test_what_cannot_be_written_is_counted_and_said_once(sink_of, tmp_path, heard):
    sink = sink_of(tmp_path / "nowhere" / "r")
    write(sink, {"n": 1}, {"n": 2})
    write(sink, {"n": 3})
    drops = sink_of.sinks[0][1]
    assert drops.totals == {"file": 3}
    said = [line for line in heard.lines if "cannot write" in line]
    assert len(said) == 1
    assert "No such file or directory" in said[0]
    (tmp_path / "nowhere").mkdir()
    write(sink, {"n": 4})
    assert [line["n"] for line in lines(tmp_path / "nowhere" / "r")] == [4]
    assert any("again" in line for line in heard.lines)


def test_a_full_disk_leaves_no_half_line(sink_of, tmp_path, monkeypatch, heard):
    from remora.agent.runtime import originals

    sink = sink_of(tmp_path / "r")
    write(sink, {"n": 1})
    real = os.write
    calls = []

    def full(fd, data):
        calls.append(1)
        if len(calls) == 1:
            return real(fd, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(originals, "write_fd", full)
    write(sink, {"n": 2})
    monkeypatch.setattr(originals, "write_fd", real)
    write(sink, {"n": 3})
    assert [line["n"] for line in lines(tmp_path / "r")] == [1, 3]
    assert sink_of.sinks[0][1].totals == {"file": 1}
    assert "No space left" in heard.lines[-2] + heard.lines[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_is_a_drop(sink_of):
    write(sink_of("/dev/full"), {"n": 1})
    assert sink_of.sinks[0][1].totals == {"file": 1}


def test_a_named_pipe_without_a_reader_does_not_wait(sink_of, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    write(sink_of(tmp_path / "pipe"), {"n": 1})
    assert time.monotonic() - began < 1
    assert sink_of.sinks[0][1].totals == {"file": 1}


def test_a_lock_that_another_holds_for_ever_costs_no_record(sink_of, tmp_path):
    sink = sink_of(tmp_path / "r")
    with (tmp_path / "r").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write(sink, {"n": 1})
    assert [line["n"] for line in lines(tmp_path / "r")] == [1]


def test_a_descriptor_that_the_app_took_is_left_alone(sink_of, tmp_path):
    sink = sink_of(tmp_path / "r")
    write(sink, {"n": 1})
    fd = sink._fd
    os.close(fd)
    other = os.open(tmp_path / "apps", os.O_RDWR | os.O_CREAT)
    assert other == fd
    write(sink, {"n": 2})
    os.fstat(other)
    os.close(other)
    assert (tmp_path / "apps").read_bytes() == b""
    assert [line["n"] for line in lines(tmp_path / "r")] == [1, 2]


CHILD = """
import sys
from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import Drops, FileSink, Queue, Reporter, Worker
path, name, count, limit = sys.argv[1:]
queue, log = Queue(), Diagnostics("stderr")
drops = Drops(queue, log)
sink = FileSink(path, int(limit), lambda: {"app": name}, drops, log)
reporter = Reporter(queue, drops, log, file=sink)
worker = Worker(log)
worker.add(reporter)
worker.start()
encode = lambda n: {"kind": "log", "n": n, "fill": "x" * (n % 700)}
for number in range(int(count)):
    queue.put((encode, number), 100)
    if number % 1000 == 999:
        assert worker.flush(30)
assert worker.flush(30)
worker.close(1)
assert drops.totals == {}, drops.totals
"""


def start(path, name, count, limit):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), name, str(count), str(limit)],
        env={"PYTHONPATH": SOURCE},
        stderr=subprocess.PIPE,
    )


def finish(children):
    try:
        for child in children:
            _, errors = child.communicate(timeout=60)
            assert child.returncode == 0, errors.decode()
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_many_processes_write_whole_lines_into_one_file(tmp_path):
    finish([start(tmp_path / "r", str(i), 2000, 2**30) for i in range(5)])
    found = lines(tmp_path / "r")
    assert len(found) == 10_000
    for name in "01234":
        numbers = [line["n"] for line in found if line["app"] == name]
        assert numbers == list(range(2000))


def test_many_processes_rotate_one_file(tmp_path):
    finish([start(tmp_path / "r", str(i), 1500, 200_000) for i in range(4)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "r.1"]
    for name in ("r", "r.1"):
        assert lines(tmp_path / name)
        assert (tmp_path / name).stat().st_size <= 200_000 + 70_000


def test_standard_error_that_nobody_reads_stops_nobody(heard):
    reading, writing = os.pipe()
    saved = os.dup(2)
    queue = Queue()
    drops = Drops(queue, heard)
    sink = FileSink("-", 2**20, dict, drops, heard)
    worker = Worker(heard)
    worker.add(Reporter(queue, drops, heard, file=sink))
    try:
        os.dup2(writing, 2)
        for number in range(2000):
            queue.put((lambda n: {"n": n, "fill": "x" * 100}, number), 100)
        worker.start()
        time.sleep(0.2)
        assert worker.stop(0.2)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(writing)
        os.close(reading)
        worker.close(0)


def test_the_suffix_is_added_to_the_record_as_it_is(sink_of, tmp_path):
    write(sink_of(tmp_path / "r"), {"message": "}"})
    assert lines(tmp_path / "r")[0]["message"] == "}"
