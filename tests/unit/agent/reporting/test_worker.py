import itertools
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from remora.agent.reporting import Wait, Worker
from remora.agent.runtime import originals

SOURCE = str(Path(__file__).parents[4] / "src")


class Task:
    """One routine, given as a function of the task."""

    def __init__(self, routine):
        self.routine = routine
        self.settled = True
        self.urgent = False
        self.ended = self.closed = self.forked = 0
        self.steps = []

    def routines(self):
        return (lambda: self.routine(self),)

    def hurry(self, is_urgent):
        self.urgent = is_urgent

    @property
    def is_settled(self):
        return self.settled

    def end(self):
        self.ended += 1

    def close(self):
        self.closed += 1

    def after_fork_in_child(self):
        self.forked += 1


@pytest.fixture
def worker(heard):
    made = Worker(heard)
    yield made
    made.close(0)


def tick(task):
    while True:
        now = yield Wait(until=0 if not task.steps else task.steps[-1] + 0.01)
        task.steps.append(now)


def test_routines_are_stepped_when_their_time_has_come(worker, until):
    task = Task(tick)
    worker.add(task)
    worker.start()
    until(lambda: len(task.steps) > 5)
    gaps = [b - a for a, b in pairwise(task.steps)]
    assert min(gaps[1:]) >= 0.009


def test_it_stops_at_once_whatever_it_waits_for(worker, until):
    def sleep_for_ever(task):
        task.steps.append(1)
        yield Wait(until=float("inf"))

    task = Task(sleep_for_ever)
    worker.add(task)
    worker.start()
    until(lambda: task.steps)
    native = worker._native_id
    began = time.monotonic()
    assert worker.stop(0.2)
    assert time.monotonic() - began < 0.1
    assert not os.path.exists(f"/proc/self/task/{native}")
    assert not worker.running


def test_a_stopped_routine_goes_on_where_it_was(worker, until):
    def count(task):
        for number in itertools.count():
            task.steps.append(number)
            yield Wait()

    task = Task(count)
    worker.add(task)
    for _ in range(5):
        worker.start()
        seen = len(task.steps)
        until(lambda n=seen: len(task.steps) > n)
        assert worker.stop(0.5)
    assert task.steps == list(range(len(task.steps)))


def test_a_predicate_is_asked_when_the_thread_is_woken(worker, until):
    gate = []

    def wait(task):
        yield Wait(until=float("inf"), ready=lambda: bool(gate))
        task.steps.append(1)

    task = Task(wait)
    worker.add(task)
    worker.start()
    time.sleep(0.05)
    assert not task.steps
    gate.append(1)
    worker.wake()
    until(lambda: task.steps, 1)


def test_a_fault_costs_its_routine_a_pause_and_the_others_nothing(worker, until, heard):
    def fail(task):
        yield Wait()
        raise MemoryError

    other = Task(tick)
    worker.add(Task(fail))
    worker.add(other)
    worker.start()
    until(lambda: heard.counters.get("worker-fault"))
    seen = len(other.steps)
    until(lambda: len(other.steps) > seen + 3)
    assert worker.running
    assert "MemoryError in" in heard.lines[0]


def test_flush_waits_until_all_is_delivered_and_no_longer(worker):
    def settle(task):
        yield Wait(until=float("inf"), ready=lambda: task.urgent)
        task.settled = True

    task = Task(settle)
    task.settled = False
    worker.add(task)
    assert worker.flush(2)
    stuck = Task(tick)
    stuck.settled = False
    worker.add(stuck)
    began = time.monotonic()
    assert not worker.flush(0.2)
    assert 0.15 < time.monotonic() - began < 0.6
    assert not stuck.urgent


def test_where_no_thread_can_start_flush_works_in_the_caller(
    worker, monkeypatch, heard
):
    def settle(task):
        yield Wait()
        task.settled = True

    def refuse(*arguments):
        raise RuntimeError("can't start new thread")

    task = Task(settle)
    task.settled = False
    worker.add(task)
    monkeypatch.setattr(originals, "start_new_thread", refuse)
    assert not worker.start()
    assert worker.flush(1)
    assert heard.counters["no-thread"] >= 1


def test_a_worker_that_was_never_started_is_closed_without_a_thread(
    worker, monkeypatch
):
    started = []
    monkeypatch.setattr(originals, "start_new_thread", lambda *_: started.append(1))
    task = Task(tick)
    worker.add(task)
    worker.close(0.5)
    assert (task.ended, task.closed) == (1, 1)
    assert task.steps == started == []


def test_close_ends_every_task_once(worker):
    task = Task(tick)
    worker.add(task)
    worker.start()
    worker.close(0.5)
    assert (task.ended, task.closed) == (1, 1)
    assert not worker.running
    assert not worker.start()


def test_close_ends_the_routines_so_that_they_let_go_of_what_they_hold(worker, until):
    def hold(task):
        try:
            task.steps.append(1)
            yield Wait(until=float("inf"))
        finally:
            task.steps.append("let go")

    task = Task(hold)
    worker.add(task)
    worker.start()
    until(lambda: task.steps)
    worker.close(0.5)
    assert task.steps == [1, "let go"]


def test_a_thread_that_ends_after_the_time_to_close_leaves_no_descriptor(worker, until):
    goes_on = threading.Event()
    let_go = []

    def busy(task):
        try:
            task.steps.append((yield Wait(until=0)))
            goes_on.wait(30)
            yield Wait(until=0)
        finally:
            let_go.append(True)

    before = set(os.listdir("/proc/self/fd"))
    task = Task(busy)
    worker.add(task)
    assert worker.start()
    until(lambda: task.steps)
    worker.close(0.01)
    assert worker.running
    goes_on.set()
    until(lambda: let_go)
    until(lambda: set(os.listdir("/proc/self/fd")) <= before)


def test_work_is_followed_by_a_rest_of_twice_its_length(worker, until):
    def work(task):
        while True:
            now = yield Wait()
            end = time.monotonic() + 0.0005
            while time.monotonic() < end:
                pass
            task.steps.append(now)

    task = Task(work)
    worker.add(task)
    worker.start()
    until(lambda: len(task.steps) > 50)
    gaps = sorted(b - a for a, b in pairwise(task.steps))
    assert gaps[len(gaps) // 2] >= 0.0015


def test_a_second_start_is_no_second_thread(worker, until):
    task = Task(tick)
    worker.add(task)
    assert worker.start()
    until(lambda: worker._native_id)
    native = worker._native_id
    assert worker.start()
    time.sleep(0.05)
    assert worker._native_id == native


def test_an_idle_thread_uses_no_time(worker, until):
    def sleep_for_ever(task):
        yield Wait(until=float("inf"))

    worker.add(Task(sleep_for_ever))
    worker.start()
    until(lambda: worker.own_cpu_s > 0)
    before = worker.own_cpu_s
    time.sleep(0.5)
    worker.wake()
    time.sleep(0.05)
    assert worker.own_cpu_s - before < 0.005


FORKS = """
import os, sys, time, warnings
warnings.simplefilter("error")
unraisable = []
sys.unraisablehook = lambda args: unraisable.append(args.exc_value)
from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import Drops, FileSink, Queue, Reporter, Worker
from remora.agent.runtime import fork, guard
path = sys.argv[1]
queue, log = Queue(), Diagnostics("stderr")
drops = Drops(queue, log)
sink = FileSink(path, 2**30, lambda: {"pid": os.getpid()}, drops, log)
worker = Worker(log)
worker.add(Reporter(queue, drops, log, file=sink))
slow = []
def before():
    began = time.monotonic()
    assert worker.stop(0.2)
    slow.append(time.monotonic() - began)
def child():
    guard.forget_other_threads()
    worker.after_fork_in_child()
class Subscriber:
    before_fork = staticmethod(before)
    after_fork_in_parent = staticmethod(lambda: None)
    after_fork_in_child = staticmethod(child)
subscriber = Subscriber()
fork.subscribe(subscriber)
encode = lambda n: {"n": n}
def report(start):
    for n in range(start, start + 100):
        assert queue.put((encode, n), 10)
for turn in range(20):
    worker.start()
    report(turn * 100)
    time.sleep(0.002)
    pid = os.fork()
    if pid == 0:
        assert not worker.running and not len(queue)
        worker.start()
        report(100_000)
        worker.close(5)
        os._exit(1 if drops.totals or unraisable else 0)
    worker.start()
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"
worker.close(5)
assert not unraisable, unraisable
assert max(slow) < 0.2, slow
import collections, json
seen = collections.Counter()
for line in open(path):
    seen[json.loads(line)["pid"]] += 1
assert seen.pop(os.getpid()) == 2000
assert list(seen.values()) == [100] * 20, seen
"""


@pytest.mark.matrix
def test_a_fork_warns_of_nothing_and_doubles_no_record(interpreters, tmp_path):
    for number, python in enumerate(interpreters):
        check_forks(python, tmp_path / str(number))


def check_forks(python, path):
    done = subprocess.run(
        [python, "-c", FORKS, str(path)],
        env={"PYTHONPATH": SOURCE},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


PATCHED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import Wait, Worker

class Task:
    settled, done = True, False
    def routines(self):
        return (self.run,)
    def run(self):
        import outer
        self.done = True
        yield Wait(until=float("inf"))
    def hurry(self, is_urgent): pass
    is_settled = True
    def end(self): pass
    close = end

task, diagnostics = Task(), Diagnostics("stderr")
worker = Worker(diagnostics)
worker.add(task)
worker.start()
end = time.monotonic() + 30
while not task.done and time.monotonic() < end:
    time.sleep(0.01)
assert task.done
assert diagnostics.counters == {"import-again": 1}, diagnostics.counters
worker.close(1)
"""


def test_threads_that_get_other_names_during_an_import_do_not_disturb_it(tmp_path):
    """As gevent.monkey does in a worker of gunicorn while the agent begins."""
    tmp_path.joinpath("outer.py").write_text("import patches")
    tmp_path.joinpath("patches.py").write_text(
        "import _thread\nown = _thread.get_ident\n_thread.get_ident = lambda: -own()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PATCHED, str(tmp_path)],
        env={"PYTHONPATH": SOURCE},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_nothing_big_is_imported():
    code = (
        "import sys; import remora.agent.reporting, remora.agent.control; "
        "print(sorted(set(sys.modules) & {'ssl', '_ssl', 'socket', 'http', 'logging', "
        "'asyncio', 'random', 'email', 'urllib.parse', 'queue', 'selectors'}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": SOURCE},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == b"[]"
