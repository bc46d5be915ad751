"""Into a process that runs already, and out of it again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remora.agent.config import read_settings
from remora.boot.attach import attach, detach, pack
from remora.boot.attach.process import is_stopped
from remora.errors import AgentNotStartedError, AttachTimeoutError

SITES = Path(__file__).parent / "sites"
BARE = getattr(sys, "_base_executable", sys.executable)
"""The interpreter without our environment: it can import nothing of ours."""

KINDS = (
    "sleep",
    "sleep_long",
    "wait_for_lock",
    "wait_with_select",
    "wait_with_poll",
    "wait_with_epoll",
    "read",
    "accept",
    "wait_for_child",
    "wait_for_file_lock",
    "wait_for_record_lock",
    "idle_loop",
    "four_busy_threads",
    "compute",
    "in_atexit",
)

PROBE = """
[[probe]]
id = "p"
target = "__main__:work"
log = "work {n}"
"""

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="attach knows x86-64 only"
)


@pytest.fixture
def settings(tmp_path):
    """Probes from a file, records to a file."""
    probes = tmp_path / "probes.toml"
    probes.write_text(PROBE)
    return read_settings(
        {"probes": [str(probes)], "records": str(tmp_path / "records.jsonl")}, {}
    )


@pytest.fixture
def parcel(settings):
    return pack(settings)


@pytest.fixture
def park(start, until):
    """Starts a program that waits in one way."""

    def begin(kind, python=BARE, *words, **options):
        command = [python, SITES / "parked.py", kind]
        if words:
            command = [*words, *command]
        process = start(*command, name=kind, **options)
        until(lambda: "ready" in process.out.read_text(), f"{kind} to be ready")
        return process

    return begin


@pytest.fixture
def said():
    return []


@pytest.fixture
def get_in(settings, parcel, said):
    def get_in(process, timeout_s=30, say=None):
        return attach(
            process.pid, settings, parcel, timeout_s=timeout_s, say=say or said.append
        )

    return get_in


@pytest.fixture
def get_out(said):
    def get_out(process):
        return detach(process.pid, timeout_s=30, say=said.append)

    return get_out


def ends_well(process):
    """Whether the program still reacts, runs its last callbacks and says so."""
    status, _ = process.stop()
    # the agent may say that it had no time to write the last records
    lines = [line for line in process.said().splitlines() if line[:7] != "remora["]
    assert (status, lines) == (0, [])
    return process.out.read_text().endswith("well\n")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_waiting_is_got_into_and_goes_on(kind, park, get_in, get_out):
    process = park(kind)
    report = get_in(process)
    assert report.state == "started"
    ((probe, _, reason),) = report.probes  # a busy one may be at its limit already
    assert (probe, reason[:20]) == ("p", "installed at 1 place")
    assert report.way == ("pending" if kind == "compute" else "thread")
    assert get_out(process).state == "stopped"
    assert ends_well(process)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["sleep", "compute"])
def test_other_versions_are_got_into_as_well(
    kind, interpreters, park, get_in, get_out, make_environment
):
    for python in interpreters:
        process = park(kind, python)
        asked = [python, "-c", "import platform; print(platform.python_version())"]
        version = subprocess.check_output(asked, text=True, timeout=30).strip()
        assert get_in(process).python == version
        assert get_out(process).state == "stopped"
        assert ends_well(process)


def test_a_call_that_holds_the_interpreter_is_waited_for_and_said(
    start, park, get_in, get_out
):
    process = park("call_c", stdin=subprocess.PIPE)
    heard = []

    def hear(text):
        heard.append(text)
        if len(heard) == 1:
            process.popen.stdin.write(b"x")
            process.popen.stdin.flush()

    assert get_in(process, say=hear).state == "started"
    assert "queued: the process is in one long C call; still waiting (1 s)" in heard
    assert get_out(process).state == "stopped"
    assert ends_well(process)


def test_a_write_that_waits_for_its_reader_is_not_cut_short(start, park, get_in):
    """A stop would end it, and the program would hear that only a part was written."""
    process = park("write", stdin=subprocess.PIPE)
    with pytest.raises(AttachTimeoutError, match="that a stop would cut short"):
        get_in(process, timeout_s=0.5)
    heard = []

    def hear(text):
        heard.append(text)
        if len(heard) == 1:
            process.popen.stdin.write(b"x")
            process.popen.stdin.flush()

    assert get_in(process, say=hear).state == "started"
    assert heard[0].startswith("queued: the process is in a system call that a stop")
    assert "1000000 of 1000000 written" in process.out.read_text()
    assert ends_well(process)


def test_a_stopped_process_is_got_into_when_it_goes_on(park, get_in, until):
    process = park("sleep")
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: is_stopped(process.pid), "the process to be stopped")
    heard = []

    def hear(text):
        heard.append(text)
        os.kill(process.pid, signal.SIGCONT)

    assert get_in(process, say=hear).state == "started"
    assert heard[0].startswith("queued: the process is stopped")
    assert ends_well(process)


def memory_of(pid):
    """How much of its memory may be executed without being of any file."""
    rows = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [row for row in rows if " r-xp " in row and row.endswith(" 00:00 0 ")]


def test_what_is_given_up_leaves_the_process_as_it_was(park, get_in, until):
    process = park("call_c", stdin=subprocess.PIPE)
    before = memory_of(process.pid)
    threads = os.listdir(f"/proc/{process.pid}/task")
    with pytest.raises(AttachTimeoutError, match="did not let go of the interpreter"):
        get_in(process, timeout_s=0.2)
    process.popen.stdin.write(b"x")
    process.popen.stdin.flush()
    until(
        lambda: os.listdir(f"/proc/{process.pid}/task") == threads, "the thread to end"
    )
    assert memory_of(process.pid) == before
    assert get_in(process).state == "started"
    assert ends_well(process)


def test_the_second_agent_is_not_let_in(park, get_in, get_out):
    process = park("sleep")
    assert get_in(process).state == "started"
    assert get_in(process).state == "present"
    assert get_out(process).state == "stopped"
    assert get_out(process).state == "absent"


INSIDE = """
import gc, os, sys
def work(n): return n + 1
ORIGINAL = work.__code__
def facts():
    return {
        "modules": sorted(n for n in sys.modules if n.split(".")[0] == "remora"),
        "finders": [type(each).__name__ for each in sys.meta_path],
        "names": sorted(sys.modules["__main__"].__dict__),
        "ours": sorted(n for n in vars(sys) if "remora" in n),
        "path": list(sys.path),
        "cache": [p for p in sys.path_importer_cache if "remora" in p],
        "threads": len(os.listdir("/proc/self/task")),
        "code": work.__code__ is ORIGINAL,
    }
def sources():
    gc.collect()
    kinds = [o for o in gc.get_objects() if type(o).__name__ == "Luggage"]
    return sum(len(o.sources) for o in kinds)
facts()
"""


def test_the_agent_reports_from_inside_and_leaves_as_it_came(
    start_child, get_in, get_out, tmp_path, records_in, until
):
    child = start_child(None, INSIDE, python=(BARE, "-I"))
    before = child.ask("facts()")
    assert (before["modules"], before["ours"]) == ([], [])
    assert get_in(child).state == "started"
    during = child.ask("facts()")
    assert not during["code"]
    assert during["names"] == before["names"]
    assert child.ask("work(1)") == 2
    records = tmp_path / "records.jsonl"
    record, *_ = until(lambda: records_in(records), "the record")
    assert (record["message"], record["pid"]) == ("work 1", child.pid)
    assert get_out(child).state == "stopped"
    after = child.ask("facts()")
    # the callback at fork stays with the interpreter for ever, and its module with it
    assert after.pop("ours") == ["__remora_at_fork__"]
    before.pop("ours")
    assert after == before
    assert child.ask("sources()") == 0
    assert child.finish() == 0


def test_the_program_may_fork_before_during_and_after(start_child, get_in, get_out):
    fork = """
def fork():
    child = os.fork()
    if not child:
        os._exit(work(1))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
    child = start_child(None, INSIDE + fork, python=(BARE, "-W", "error"))
    assert child.ask("fork()") == 2
    for _ in range(3):
        assert get_in(child).state == "started"
        assert child.ask("fork()") == 2
        assert get_out(child).state == "stopped"
        assert child.ask("fork()") == 2
    assert child.finish() == 0


ASK_FOR_MAIN = """
import threading
assert threading.current_thread() is threading.main_thread(), threading.enumerate()
assert threading.main_thread().ident == threading.get_ident()
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
"""
ALONE = "import os, sys\nprint('threading' in sys.modules, flush=True)\nos.read(0, 1)\n"


def test_the_main_thread_stays_the_main_thread(start, get_in, until):
    """Whoever imports threading first is its main thread, before Python 3.13."""
    process = start(
        BARE, "-S", "-c", "def work(n): 0\n" + ALONE + ASK_FOR_MAIN,
        stdin=subprocess.PIPE,
    )  # fmt: skip
    until(process.out.read_text, "the program to be ready")
    assert process.out.read_text() == "False\n"
    assert get_in(process).state == "started"
    process.popen.stdin.close()
    assert (process.wait(), process.said()) == (0, "")


def test_less_than_asked_for_is_all_that_the_app_may_allow(
    park, make_environment, settings
):
    process = park("sleep", env=make_environment(REMORA_ALLOW="observe"))
    given = {"probes": settings.texts("probes"), "records": settings.text("records")}
    more = read_settings({**given, "allow": "act"}, {})
    with pytest.raises(AgentNotStartedError, match="has REMORA_ALLOW=observe"):
        attach(process.pid, more, pack(more), timeout_s=30, say=print)
    blocks = read_settings({**given, "protect": "block"}, {})
    with pytest.raises(AgentNotStartedError, match="use --protect watch"):
        attach(process.pid, blocks, pack(blocks), timeout_s=30, say=print)
    same = read_settings({**given, "allow": "observe", "protect": "watch"}, {})
    report = attach(process.pid, same, pack(same), timeout_s=30, say=print)
    assert report.state == "started"
    assert ends_well(process)


def test_what_was_started_with_the_agent_can_be_detached(
    start_child, get_in, get_out, remora_options, tmp_path
):
    options = remora_options(records=tmp_path / "other.jsonl")
    child = start_child(options, "def work(n): return n\n", python=(BARE,))
    child.ask("1")
    assert get_in(child).state == "present"
    assert get_out(child).state == "stopped"
    assert child.ask("'remora.agent.agent' in __import__('sys').modules")
    assert get_out(child).state == "absent"
    assert child.finish() == 0


def test_a_program_that_forbids_the_agent_is_left_alone(park, get_in, make_environment):
    process = park("sleep", env=make_environment(REMORA_ENABLED="0"))
    with pytest.raises(AgentNotStartedError, match="REMORA_ENABLED=0"):
        get_in(process)
    assert ends_well(process)


def test_a_probe_that_the_agent_refuses_is_said_and_nothing_stays(
    start_child, settings, tmp_path
):
    parcel = pack(settings)
    (tmp_path / "probes.toml").write_text("[[probe]]\nid = 1\n")
    broken = pack(settings)
    child = start_child(None, INSIDE, python=(BARE,))
    before = child.ask("facts()")
    with pytest.raises(AgentNotStartedError, match=r"goes on without the agent: .*id"):
        attach(child.pid, settings, broken, timeout_s=30, say=print)
    after = child.ask("facts()")
    assert after.pop("ours") in ([], ["__remora_at_fork__"])
    before.pop("ours")
    assert after == before
    report = attach(child.pid, settings, parcel, timeout_s=30, say=print)
    assert report.state == "started"
    assert child.finish() == 0


def test_what_was_given_up_in_a_c_call_leaves_nothing_for_the_next_one(
    start_child, settings, parcel, until
):
    child = start_child(None, INSIDE + "import ctypes\n", python=(BARE,))
    before = child.ask("facts()")
    child.begin("ctypes.PyDLL(None).usleep(3_000_000)")
    for _ in range(3):
        with pytest.raises(AttachTimeoutError, match="did not let go of the interp"):
            attach(child.pid, settings, parcel, timeout_s=0.5, say=print)
    assert child.end() == 0
    until(
        lambda: child.ask("facts()")["threads"] == before["threads"],
        "the threads of what was given up to leave",
    )
    assert child.ask("facts()") == before
    report = attach(child.pid, settings, parcel, timeout_s=30, say=print)
    assert report.state == "started"
    assert child.finish() == 0


def test_ctrl_c_ends_the_waiting_and_not_the_program(
    park, start, remora_argv, settings, get_in, until, tmp_path
):
    process = park("call_c", stdin=subprocess.PIPE)
    command = start(
        *remora_argv, "attach", process.pid,
        "--probes", tmp_path / "probes.toml", "--records", tmp_path / "records.jsonl",
    )  # fmt: skip
    until(lambda: "still waiting" in command.said(), "the command to wait")
    status, _ = command.stop(signal.SIGINT)
    assert status == 130
    assert f"given up: process {process.pid} goes on as it was" in command.said()
    process.popen.stdin.write(b"x")
    process.popen.stdin.flush()
    assert get_in(process).state == "started"
    assert ends_well(process)


def test_the_command_says_what_it_did_to_each(park, remora_command, settings, tmp_path):
    process = park("sleep")
    options = ("--probes", tmp_path / "probes.toml", "--records", tmp_path / "r.jsonl")
    done = remora_command("attach", process.pid, *options)
    assert (done.returncode, done.stdout) == (
        0,
        f"attached to {process.pid}: parked; 1 probe installed\n",
    )
    done = remora_command("attach", process.pid, 2**22 + 1, "--json", *options)
    rows = json.loads(done.stdout)["processes"]
    assert done.returncode == 1
    assert [row.get("state", row.get("error")) for row in rows] == [
        "present",
        "no-such-process",
    ]
    done = remora_command("detach", process.pid)
    assert done.stdout.startswith(f"detached from {process.pid}: parked; what stays")
    done = remora_command("detach", process.pid)
    assert done.stdout == f"nothing to detach in {process.pid}: it has no agent\n"
    assert ends_well(process)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("1",), "nobody would hear of the records"),
        (("1", "--records", "-"), "records cannot go to standard error"),
        (("1", "--records", "r.jsonl"), "the agent would have nothing to do"),
        (("--server", "http://127.0.0.1:1"), "say which"),
        (("self", "--server", "http://127.0.0.1:1"), "'self' is no number"),
        (("--all", "--server", "http://127.0.0.1:1"), "say which processes"),
        (("1", "--server", "http://127.0.0.1:1", "--timeout", "0"), "--timeout takes"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_done(
    words, sentence, remora_command
):
    done = remora_command("attach", *words)
    assert done.returncode in {1, 2}
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
