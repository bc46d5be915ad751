"""Getting in harms nobody: not under load, and not when the injector is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remora.agent.config import read_settings
from remora.boot.attach import attach, detach, find_processes, pack
from remora.errors import AttachError, AttachRefusedError, NoSuchProcessError

SITES = Path(__file__).parent / "sites"
BARE = getattr(sys, "_base_executable", sys.executable)
SOURCE = str(Path(__file__).parents[2] / "src")
ROUNDS = int(os.environ.get("REMORA_SOAK_ATTACHES", "10"))
"""`make attach-soak` asks for 200."""

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="attach knows x86-64 only"
)

PROBE = '[[probe]]\nid = "p"\ntarget = "__main__:work"\ncount = { every = "10s" }\n'


@pytest.fixture
def settings(tmp_path):
    probes = tmp_path / "probes.toml"
    probes.write_text(PROBE)
    records = str(tmp_path / "records.jsonl")
    return read_settings({"probes": [str(probes)], "records": records}, {})


@pytest.fixture
def get_in(settings):
    parcel = pack(settings)

    def get_in(pid, timeout_s=30):
        return attach(pid, settings, parcel, timeout_s=timeout_s, say=print)

    return get_in


@pytest.fixture
def park(start, until):
    def begin(kind, **options):
        process = start(BARE, SITES / "parked.py", kind, name=kind, **options)
        until(lambda: "ready" in process.out.read_text(), f"{kind} to be ready")
        return process

    return begin


def ends_well(process):
    status, _ = process.stop()
    # the agent may say that it had no time to write the last records
    lines = [line for line in process.said().splitlines() if line[:7] != "remora["]
    assert (status, lines) == (0, [])
    return process.out.read_text().endswith("well\n")


CHECKED = """
import gc, hashlib, json, os, re, threading
gc.set_threshold(50)
wrong, rounds, calls = [], [0] * 4, [0] * 4
def work(n):
    return n + 1
def check(number):
    expected = None
    while True:
        names = [re.sub("[aeiou]", "_", "value %d" % n) for n in range(60)]
        table = {name: [number, {"k": name}] for name in names for number in range(3)}
        found = hashlib.md5(json.dumps(table).encode()).hexdigest()
        expected = expected or found
        if found != expected or work(number) != number + 1:
            wrong.append(found)
        rounds[number] += 1
for number in range(4):
    threading.Thread(target=check, args=(number,), daemon=True).start()
def facts():
    return {
        "wrong": wrong,
        "fds": sorted(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }
facts()
"""


@pytest.mark.timeout(ROUNDS * 30)
def test_many_attaches_under_load_change_no_result_and_leave_nothing(
    start_child, get_in, until
):
    child = start_child(None, CHECKED, python=(BARE,))
    before = child.ask("facts()")
    for _ in range(ROUNDS):
        assert get_in(child.pid).state == "started"
        done = child.ask("sum(rounds)")
        until(lambda done=done: child.ask("sum(rounds)") > done, "the load to go on")
        assert detach(child.pid, timeout_s=30, say=print).state == "stopped"
    until(
        lambda: child.ask("facts()") == before, f"{before}, not {child.ask('facts()')}"
    )
    assert child.finish() == 0


KILLED = """
import os, signal, sys
sys.path.insert(0, {source!r})
from remora.boot.attach.injector import Injection
from remora.boot.attach.luggage import pack_stop
injection = Injection({pid}, pack_stop(), timeout_s=20, say=print)
seen = []
for step in injection.steps():
    if step not in seen:
        seen.append(step)
    if len(seen) > {number}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["sleep", "wait_with_epoll", "compute"])
def test_an_injector_that_is_killed_between_its_steps_kills_nobody(kind, park, get_in):
    process = park(kind)
    for number in range(40):
        source = KILLED.format(source=SOURCE, pid=process.pid, number=number)
        done = subprocess.run(
            [sys.executable, "-c", source], timeout=60, capture_output=True, check=False
        )
        assert process.popen.poll() is None, f"killed by step {number}: {done}"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done
    assert number >= 10
    assert get_in(process.pid).state == "started"
    assert ends_well(process)


STORM = """
import signal, threading
caught = [0]
def catch(number, frame):
    caught[0] += 1
signal.signal(signal.SIGRTMIN, catch)
"""


def test_signals_that_come_meanwhile_are_all_delivered(start_child, get_in, until):
    """Real-time signals queue in the kernel, though Python merges what is pending."""
    child = start_child(None, STORM + "def work(n): return n\n", python=(BARE,))
    child.ask("caught")
    storm = subprocess.Popen(
        [sys.executable, "-c", f"""
import os, signal, time
for _ in range(400):
    os.kill({child.pid}, signal.SIGRTMIN)
    time.sleep(0.002)
"""],
    )  # fmt: skip
    try:
        while storm.poll() is None:
            assert get_in(child.pid).state == "started"
            assert detach(child.pid, timeout_s=30, say=print).state == "stopped"
    finally:
        storm.kill()
        storm.wait(30)
    assert child.ask("caught")[0] > 0
    assert child.finish() == 0


TRACER = """
import os, sys, time
sys.path.insert(0, {source!r})
from remora.boot.attach.ptrace import Tracee
from remora.boot.attach.x86_64 import X86_64
Tracee({pid}, X86_64).seize()
print("tracing", flush=True)
sys.stdin.read()
"""


def test_a_process_that_is_traced_already_is_refused_and_its_tracer_named(
    park, start, get_in, until
):
    process = park("sleep")
    source = TRACER.format(source=SOURCE, pid=process.pid)
    tracer = start(sys.executable, "-c", source, stdin=subprocess.PIPE)
    until(lambda: "tracing" in tracer.out.read_text(), "the tracer")
    with pytest.raises(AttachRefusedError, match=rf"process {tracer.pid} \(python"):
        get_in(process.pid)
    tracer.popen.stdin.close()
    tracer.wait()
    assert get_in(process.pid).state == "started"
    assert ends_well(process)


STRANGER = """
import codecs, os, sys
sys.path.insert(0, {source!r})
from remora.boot.attach import detach
from remora.errors import AttachRefusedError
codecs.lookup("ascii")  # this user may not be able to read it
os.setuid({user})
try:
    detach({pid}, timeout_s=5, say=print)
except AttachRefusedError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_and_told_whose_process_it_is(park):
    process = park("sleep")
    user = 65534
    source = STRANGER.format(source=SOURCE, pid=process.pid, user=user)
    done = subprocess.run(
        [sys.executable, "-c", source], timeout=60, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert f"it runs as user 0 and this command as user {user}" in done.stdout, done
    assert ends_well(process)


def test_what_is_no_python_is_refused(start, get_in, until):
    process = start("sleep", "60")
    maps = Path(f"/proc/{process.pid}/maps")
    until(lambda: "/sleep\n" in maps.read_text(), "the program to be in memory")
    with pytest.raises(AttachError, match="is no CPython"):
        get_in(process.pid)


def test_what_has_ended_is_refused(get_in):
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(
            AttachError, match="has ended and waits only for its parent"
        ):
            get_in(child.pid)
    finally:
        child.wait(30)
    with pytest.raises(NoSuchProcessError, match=f"there is no process {child.pid}"):
        get_in(child.pid)


def test_this_very_process_is_refused(get_in):
    with pytest.raises(AttachError, match="this very command"):
        get_in(os.getpid())


def test_a_process_without_room_for_a_thread_goes_on(park, get_in):
    process = park("sleep_long")
    import resource

    limits = resource.prlimit(process.pid, resource.RLIMIT_AS)
    size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * 4096
    resource.prlimit(process.pid, resource.RLIMIT_AS, (size + 2**20, limits[1]))
    with pytest.raises(AttachError, match=r"limit of threads or memory|cannot mmap"):
        get_in(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_AS, limits)
    assert get_in(process.pid).state == "started"
    assert ends_well(process)


def unshare_works():
    command = ["unshare", "-pmf", "--mount-proc", "true"]
    try:
        return subprocess.run(command, timeout=30, check=False).returncode == 0
    except OSError:
        return False


def test_another_namespace_of_processes_and_of_files_is_entered(
    start, until, get_in, tmp_path
):
    if not unshare_works():
        pytest.skip("unshare is not permitted here")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    program = SITES / "parked.py"
    inner = f"mount -t tmpfs none {tmp_path} && exec {BARE} {program} sleep"
    process = start("unshare", "-pmf", "--mount-proc", "sh", "-c", inner)
    until(lambda: "ready" in process.out.read_text(), "the program to be ready")
    found = find_processes(f"{program} sleep").serving
    (pid,) = [each for each in found if each != process.pid]
    report = get_in(pid)
    assert (report.state, report.inner_pid) == ("started", 1)
    assert report.probes == (("p", "installed", "installed at 1 place"),)
    assert not Path(f"/proc/{pid}/root{hidden}").exists()
    assert detach(pid, timeout_s=30, say=print).state == "stopped"
