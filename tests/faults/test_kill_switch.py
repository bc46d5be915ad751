"""Switching the agent off needs neither its server nor its thread."""

import pytest

PROBE = (
    '[[probe]]\nid = "p"\ntarget = "__main__:f"\nlog = "{a}"\n'
    '[[probe]]\nid = "c"\ntarget = "time:time"\ncount = true\n'
)


@pytest.fixture(autouse=True)
def probe_file(tmp_path):
    (tmp_path / "p.toml").write_text(PROBE)


APP = """
import gc, os, sys, threading, time
import remora

def f(a): return a
CODE = f.__code__

def until(condition, deadline_s=20):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        yield

def is_bare():
    return f.__code__ is CODE
"""


def test_a_file_takes_everything_away_while_the_thread_is_well(run_app):
    done = run_app(
        APP
        + """
remora.start(probes=["p.toml"], records="records.jsonl", log="stderr")
handle = remora.hook("__main__:f", pre=lambda a: remora.Arguments(a=2))
assert f(1) == 2
open("off", "w").close()
for _ in until(is_bare):
    time.sleep(0.01)
assert f(1) == 1
for _ in until(lambda: remora.status()["off"]):
    time.sleep(0.01)
states = {p["state"] for p in remora.status()["probes"]}
assert states == {"failed"}, states
assert handle.state == "failed" and "the file off" in handle.reason
late = remora.hook("__main__:f", pre=lambda a: None)
assert late.state == "failed" and is_bare()
handle.remove(); late.remove()
for _ in until(lambda: remora.status()["agent"]["counters"].get("killed")):
    time.sleep(0.01)
time.sleep(0.6)
remora.stop()
assert not gc.callbacks
""",
        REMORA_KILL_FILE="off",
    )
    assert done.err.count("switched off by the file off") == 1


def test_a_file_takes_everything_away_while_the_thread_is_stuck(run_app):
    run_app(
        APP
        + """
from remora.agent.runtime import kill_file
kill_file.STUCK_S = 0.3
remora.start(probes=["p.toml"], records="records.jsonl")
import remora.agent.agent as agent
stuck = threading.Event()
def hang():
    stuck.set()
    threading.Event().wait()
agent._agent.parts.store.look = hang
f(1)
assert stuck.wait(20)
open("off", "w").close()
for _ in until(is_bare):
    waste = [[] for _ in range(5000)]
assert f(1) == 1
assert {p["state"] for p in remora.status()["probes"]} == {"failed"}
os._exit(0)
""",
        REMORA_KILL_FILE="off",
    )


def test_a_file_takes_local_hooks_away_where_there_is_no_thread_at_all(run_app):
    run_app(
        APP
        + """
handle = remora.hook("__main__:f", pre=lambda a: None)
assert len(os.listdir("/proc/self/task")) == 1
open("off", "w").close()
for _ in until(is_bare):
    waste = [[] for _ in range(5000)]
assert handle.state == "failed"
remora.stop()
assert not gc.callbacks
""",
        REMORA_KILL_FILE="off",
    )


def test_a_file_that_comes_in_the_middle_of_a_change_of_ours_waits_for_its_end(run_app):
    run_app(
        APP
        + """
from remora.agent.runtime import kill_file
kill_file.LOOK_S = 0.0
handle = remora.hook("__main__:f", pre=lambda a: None)
import remora.agent.agent as agent
probes = agent._agent.parts.probes
with probes._lock:
    open("off", "w").close()
    gc.collect()
    assert not is_bare()
thread = threading.Thread(target=gc.collect)
thread.start(); thread.join()
assert is_bare()
""",
        REMORA_KILL_FILE="off",
    )


def test_where_the_file_is_there_at_the_start_nothing_starts(run_app):
    done = run_app(
        APP
        + """
open("off", "w").close()
before = list(sys.meta_path)
remora.start(probes=["p.toml"], records="records.jsonl", log="stderr")
handle = remora.hook("__main__:f", pre=lambda a: None)
assert is_bare() and sys.meta_path == before and not gc.callbacks
assert handle.state == "failed", handle.state
assert "switched off by the file" in handle.reason
handle.remove()
remora.stop()
""",
        REMORA_KILL_FILE="off",
    )
    assert "switched off by the file off" in done.err


def test_where_the_environment_says_off_hooks_are_inert_too(run_app):
    run_app(
        APP
        + """
remora.start(probes=["p.toml"], records="records.jsonl")
before = list(sys.meta_path)
handle = remora.hook("__main__:f", pre=lambda a: None)
assert is_bare() and sys.meta_path == before
assert (handle.state, handle.reason) == (
    "failed", "switched off by enabled = off (REMORA_ENABLED)"
), handle.reason
""",
        REMORA_ENABLED="0",
    )


def test_without_a_kill_file_the_collector_has_no_callback_of_ours(run_app):
    run_app(
        APP
        + """
remora.start(probes=["p.toml"], records="records.jsonl")
assert not gc.callbacks
"""
    )
