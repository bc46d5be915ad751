"""The machine runs out of something or lies: the app goes on, drops are counted."""

import json
import os

import pytest

PROBE = (
    '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\n'
    'limit = { rate = "1000000/s", time = "100%" }\n'
)

UNTIL = """
import time
def until(condition, deadline_s=20):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, remora.status()
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def probe_file(tmp_path):
    (tmp_path / "p.toml").write_text(PROBE)


def messages(path):
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_no_file_descriptor_is_left_when_the_first_record_comes(run_app, tmp_path):
    run_app(
        UNTIL
        + """
import os, resource
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="records.jsonl")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for n in range(50):
    assert f(n) == n
for fd in taken:
    os.close(fd)
assert f("after") == "after"
until(lambda: remora.status()["agent"]["queued"] == 0)
remora.stop()
"""
    )
    assert messages(tmp_path / "records.jsonl")[-1] == "after"


def test_no_thread_can_be_started(run_app, tmp_path):
    run_app(
        UNTIL
        + """
import _thread
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="records.jsonl")
from remora.agent.runtime import originals
start_new_thread = originals.start_new_thread
def refuse(*arguments):
    raise RuntimeError("can't start new thread")
originals.start_new_thread = refuse
for n in range(50):
    assert f(n) == n
assert not remora.status()["agent"]["threads"]
originals.start_new_thread = start_new_thread
assert f("after") == "after"
until(lambda: remora.status()["agent"]["threads"])
"""
    )
    assert messages(tmp_path / "records.jsonl") == [*map(str, range(50)), "after"]


def test_a_full_disk_costs_records_that_are_counted_and_no_half_line(run_app, tmp_path):
    run_app(
        UNTIL
        + """
import resource, signal
import remora
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def f(a): return a
remora.start(probes=["p.toml"], records="records.jsonl")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for n in range(300):
    assert f(f"{n} " + "x" * 50) is not None
    if n % 20 == 0:
        time.sleep(0.002)
until(lambda: remora.status()["drops"].get("file"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
until(lambda: remora.status()["agent"]["queued"] == 0)
assert f("after") == "after"
remora.stop()
"""
    )
    found = messages(tmp_path / "records.jsonl")
    assert found[-1] == "after"
    assert len(found) < 301


def test_a_disk_that_cannot_be_written_is_said_once(run_app, tmp_path):
    done = run_app(
        UNTIL
        + """
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="/proc/nowhere/records.jsonl", log="stderr")
for n in range(50):
    assert f(n) == n
until(lambda: remora.status()["drops"].get("file") == 50)
"""
    )
    assert done.err.count("cannot write records") == 1


def test_a_log_of_ours_that_cannot_be_opened_or_written_harms_nobody(run_app):
    run_app(
        """
        import os
        import remora
        def f(a): return a
        os.close(2)
        remora.start(probes=["p.toml"], records="records.jsonl", log="/nowhere/log")
        assert f(1) == 1
        remora.start()
        remora.stop()
        """
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_device_without_space_harms_nobody(run_app):
    run_app(
        UNTIL
        + """
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="/dev/full", log="/dev/full")
for n in range(50):
    assert f(n) == n
until(lambda: remora.status()["drops"].get("file") == 50)
remora.stop()
"""
    )


def test_a_folder_that_may_not_be_read_any_more_harms_nobody(run_app, tmp_path):
    run_app(
        """
        import os, shutil
        import remora
        def f(a): return a
        os.mkdir("gone")
        os.chdir("gone")
        remora.start(probes=["../p.toml"], records="../records.jsonl")
        os.rmdir("../gone")
        assert f(1) == 1
        os.environ.clear()
        import colorsys
        remora.hook("colorsys:rgb_to_hsv", pre=lambda r: None)
        colorsys.rgb_to_hsv(1, 1, 1)
        remora.stop()
        """
    )
    assert messages(tmp_path / "records.jsonl") == ["1"]


def test_a_wall_clock_that_jumps_disturbs_neither_limits_nor_the_thread(run_app):
    run_app(
        UNTIL
        + """
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="records.jsonl")
from remora.agent.runtime import originals
hour = 3600 * 10**9
shift = [0]
real = originals.time_ns
originals.time_ns = lambda: real() + shift[0]
for shift[0] in (0, hour, -hour, 24 * hour, -(2**61), 0):
    for n in range(20):
        assert f(n) == n
until(lambda: remora.status()["agent"]["queued"] == 0)
(status,) = remora.status()["probes"]
assert status["firings"] == 120 and status["errors"] == 0, status
assert not remora.status()["agent"]["counters"].get("worker-fault")
remora.stop()
"""
    )


def test_an_app_that_closes_every_descriptor_keeps_its_own_files(run_app, tmp_path):
    run_app(
        UNTIL
        + """
import os
import remora
def f(a): return a
remora.start(probes=["p.toml"], records="records.jsonl")
f("before")
until(lambda: remora.status()["agent"]["queued"] == 0)
time.sleep(0.3)  # our thread is at rest: what it does just now nobody can make safe
os.closerange(3, 256)
files = [open(f"own{n}.txt", "w") for n in range(20)]
for n in range(20):
    f(n)
until(lambda: remora.status()["agent"]["queued"] == 0)
for n, file in enumerate(files):
    file.write("mine")
    file.close()
remora.stop()
"""
    )
    assert [(tmp_path / f"own{n}.txt").read_text() for n in range(20)] == ["mine"] * 20
    assert messages(tmp_path / "records.jsonl") == ["before", *map(str, range(20))]
