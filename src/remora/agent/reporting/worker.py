"""The agent's one thread: it runs the routines of all tasks, one step after the other.

A raw `_thread` thread, because `threading` would be patched by gevent and would make
the interpreter wait for it at exit. It sleeps in poll() on the descriptors of all
routines and on a pipe, so that a byte in the pipe stops it whatever it waits for. After
each step it really sleeps at least twice as long as the step took: only a real sleep
hands the interpreter to the app's threads (docs/design/reporting-thread.md has
the numbers).
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from remora.agent.reporting.waiting import NEVER, Job, Wait
from remora.agent.reporting.wake_pipe import WakePipe
from remora.agent.runtime import guard, originals

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from remora.agent.diagnostics import Diagnostics
    from remora.agent.reporting.task import Task

_SLICE_S = 0.0002
"""Short steps follow each other for so long; a step itself ends after 0.3 ms."""

_DEBT_LIMIT_S = 0.0001
"""Less is not worth a sleep, which costs a change of threads either way."""

_REST_FACTOR = 2.0
_REST_LIMIT_S = 0.005
"""A long step (installing many probes) is not followed by as long a silence."""

_SHORT_SLEEP_S = 0.002
"""Below this poll(), which counts in milliseconds, is too coarse: a plain sleep."""

_LOOK_S = 0.01
"""How often the caller who does the thread's work looks whether it is done."""

_FAULT_PAUSE_LIMIT_S = 60.0

_FAULT_REST_S = 0.1


class Worker:
    """Starts, runs and stops the thread."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._tasks: list[Task] = []
        self._jobs: list[Job] = []
        self._pipe: WakePipe | None = None
        self._cpu_before_s = 0.0
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._gate = originals.allocate_lock()
        self._ended: _Lock | None = None
        self._is_alive = False
        self._is_stopping = False
        self._is_closed = False
        self._uncleared = [True]
        self._is_hurrying = False
        self._ident = 0
        self._native_id = 0
        self._ready_fds: frozenset[int] = frozenset()
        self._debt_s = 0.0
        self._waiters: list[tuple[Callable[[], bool], _Lock]] = []
        self._cpu_before_s = 0.0
        self._cpu_now_s = 0.0

    def add(self, task: Task) -> None:
        """Run this task's routines from now on."""
        self._tasks.append(task)
        self._jobs.extend(Job(start) for start in task.routines())
        self.wake()

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._is_alive

    @property
    def own_cpu_s(self) -> float:
        """CPU seconds that the thread has used in this process."""
        return self._cpu_before_s + self._cpu_now_s

    def start(self) -> bool:
        """Start the thread unless it runs; False where that is not possible.

        A hook's first record comes here, maybe from a signal handler that interrupted
        this very function: the gate is only tried, never waited for.
        """
        if not self._gate.acquire(False):
            return self._is_alive
        try:
            if self._is_closed:
                return False
            self._is_stopping = False
            if self._is_alive:
                return True
            return self._start_thread()
        finally:
            self._gate.release()

    def _start_thread(self) -> bool:
        ended = originals.allocate_lock()
        ended.acquire()
        try:
            if self._pipe is None:
                self._pipe = WakePipe()
            self._ended = ended
            self._is_alive = True
            originals.start_new_thread(self._main, (ended,))
        except (RuntimeError, OSError):
            # Out of threads or descriptors, or the interpreter is on its way out.
            self._is_alive = False
            self._diagnostics.count("no-thread")
            return False
        return True

    def stop(self, timeout_s: float) -> bool:
        """End the thread; True once the operating system has no such thread any more.

        Routines stay as they are, and `start` lets them go on. Used before a fork:
        os.fork() warns in a process with several threads (CPython 3.12 and newer).
        """
        ended = self._ended
        if not self._is_alive or ended is None:
            return True
        if self._is_here():
            return False
        deadline = originals.monotonic() + timeout_s
        self._is_stopping = True
        self.wake()
        if not ended.acquire(timeout=timeout_s):
            return False
        ended.release()
        return _wait_until_gone(self._native_id, deadline)

    def wake(self) -> None:
        """Let the thread look at once at what its routines wait for."""
        if self._pipe is not None:
            self._pipe.write()

    def flush(self, timeout_s: float) -> bool:
        """Deliver what is queued; False where that took longer than it may."""
        self._hurry(True)
        try:
            return self._wait_for(
                lambda: all(task.is_settled for task in self._tasks), timeout_s
            )
        finally:
            self._hurry(False)

    def close(self, timeout_s: float) -> None:
        """Deliver, say goodbye, stop, within the time in all. There is no way back."""
        deadline = originals.monotonic() + timeout_s
        self._hurry(True)
        self.flush(timeout_s)
        for task in self._tasks:
            task.end()
        self.flush(max(0.0, deadline - originals.monotonic()))
        self._is_closed = True
        self.stop(max(0.05, deadline - originals.monotonic()))
        if not self._is_alive:
            self._clear()
        for task in self._tasks:
            task.close()

    def _clear(self) -> None:
        """Give back what the thread used: the closer does it, or a thread that is late.

        Under a busy app the thread may not have been able to end in time.
        """
        try:
            self._uncleared.pop()
        except IndexError:
            return
        for job in self._jobs:
            job.end()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def after_fork_in_child(self) -> None:
        """New locks, new pipe, and every routine from its beginning."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self._start_afresh()
        for job in self._jobs:
            job.forget()
        for task in self._tasks:
            task.after_fork_in_child()

    def _is_here(self) -> bool:
        return self._is_alive and originals.get_ident() == self._ident

    def _hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        self._is_hurrying = is_urgent
        for task in self._tasks:
            task.hurry(is_urgent)

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Block the calling thread until the worker sees the condition hold."""
        if not self._is_alive and condition():
            # A master that never talked must not begin to, with a thread, at its end.
            return True
        if self._is_here() or not self.start():
            return self._work_here(condition, timeout_s)
        answered = originals.allocate_lock()
        answered.acquire()
        waiter = (condition, answered)
        self._waiters.append(waiter)
        self.wake()
        if answered.acquire(timeout=max(0.0, timeout_s)):
            return True
        with suppress(ValueError):
            self._waiters.remove(waiter)
        return False

    def _work_here(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Do the thread's work in the caller: at exit no thread can be started."""
        if self._is_alive:
            return condition()
        deadline = originals.monotonic() + timeout_s
        entered = guard.enter()
        try:
            while not condition():
                now = originals.monotonic()
                if now >= deadline:
                    return False
                self._turn(min(deadline, now + _LOOK_S))
            return True
        finally:
            if entered:
                guard.leave()

    def _main(self, ended: _Lock) -> None:
        self._ident = originals.get_ident()
        self._native_id = originals.get_native_id()
        guard.busy.add(self._ident)
        try:
            while not self._may_end():
                self._turn_safely()
        finally:
            self._cpu_before_s += originals.thread_time_ns() / 1e9
            self._cpu_now_s = 0.0
            if self._ended is ended:
                self._is_alive = False
                if self._is_closed:
                    self._clear()
            guard.busy.discard(originals.get_ident())
            ended.release()

    def _turn_safely(self) -> None:
        """One turn; what fails between two steps is want of memory, which may pass."""
        try:
            self._turn(NEVER)
        except BaseException:  # noqa: BLE001 - the boundary: the thread never dies of a fault
            self._diagnostics.count("worker-fault")
            originals.sleep(_FAULT_REST_S)

    def _may_end(self) -> bool:
        """Decided under the gate: `start` either sees the thread live on, or gone."""
        if not self._is_stopping:
            return False
        with self._gate:
            if self._is_stopping:
                self._is_alive = False
            return self._is_stopping

    def _turn(self, until: float) -> None:
        """Step every routine that is ready, then sleep until one is again."""
        for job in tuple(self._jobs):
            self._run(job)
            if self._is_stopping:
                return
            self._rest()
        self._cpu_now_s = originals.thread_time_ns() / 1e9 if self._is_alive else 0.0
        for waiter in tuple(self._waiters):
            if waiter[0]():
                with suppress(ValueError):
                    self._waiters.remove(waiter)
                    waiter[1].release()
        self._sleep(until)

    def _run(self, job: Job) -> None:
        """Step one routine until it waits, or its slice is over."""
        began = now = originals.monotonic()
        ready_fds = self._ready_fds
        while job.is_ready(now, ready_fds) and not self._is_stopping:
            self._step(job, now)
            ready_fds = frozenset()
            now = originals.monotonic()
            if now - began >= _SLICE_S:
                break
        self._debt_s += now - began

    def _rest(self) -> None:
        """Give the app's threads twice the time that was taken from them."""
        if self._is_hurrying:
            self._debt_s = 0.0
        elif self._debt_s >= _DEBT_LIMIT_S:
            originals.sleep(min(_REST_FACTOR * self._debt_s, _REST_LIMIT_S))
            self._debt_s = 0.0

    def _step(self, job: Job, now: float) -> None:
        """One step of one routine, and the boundary around all the agent's own work."""
        try:
            if job.routine is None:
                job.routine = job.start()
                job.wait = next(job.routine)
            else:
                job.wait = job.routine.send(now)
        except StopIteration:
            job.wait = Wait(until=NEVER)
        except BaseException as error:  # noqa: BLE001 - the boundary: the thread never dies of a fault
            job.routine = None
            if _is_patched_under_import(error):
                self._diagnostics.count("import-again")
                job.wait = Wait(until=now + _FAULT_REST_S)
                return
            job.failures += 1
            pause_s = min(_FAULT_PAUSE_LIMIT_S, 2.0 ** min(job.failures, 6))
            job.wait = Wait(until=now + pause_s)
            self._diagnostics.count("worker-fault")
            self._diagnostics.say_once(
                f"fault in the agent's thread, {_place(error)}: it goes on"
            )

    def _sleep(self, until: float) -> None:
        """Wait for the first of all waits, or for a byte in the pipe."""
        now = originals.monotonic()
        poller = originals.poll()
        for job in self._jobs:
            wait = job.wait
            until = min(until, wait.until)
            if wait.fd >= 0:
                poller.register(wait.fd, wait.events)
            if wait.ready is not None and wait.ready():
                until = now
        wake_fd = self._pipe.read_end if self._pipe is not None else -1
        if wake_fd >= 0:
            poller.register(wake_fd, select.POLLIN)
        timeout_s = until - now
        if 0 < timeout_s < _SHORT_SLEEP_S:
            originals.sleep(timeout_s)
            timeout_s = 0.0
        timeout_ms = None if timeout_s == NEVER else max(0, int(timeout_s * 1000) + 1)
        ready = poller.poll(0 if timeout_s <= 0 else timeout_ms)
        self._ready_fds = frozenset(fd for fd, _ in ready)
        if wake_fd in self._ready_fds and self._pipe is not None:
            self._pipe.drain()


class _Lock(Protocol):
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...  # noqa: FBT001 - the signature of a lock
    def release(self) -> None: ...


def _place(error: BaseException) -> str:
    """Type of an error and where it was raised; its text may hold the app's values."""
    traceback = _innermost(error)
    if traceback is None:
        return type(error).__name__
    code = traceback.tb_frame.f_code
    return f"{type(error).__name__} in {code.co_qualname}, line {traceback.tb_lineno}"


def _is_patched_under_import(error: BaseException) -> bool:
    """Whether threads got other names while we imported, as gevent gives them.

    The import system then takes us for another thread than the one that has the lock of
    the module (`_ModuleLock` in importlib). Asked again, it gives what is imported.
    """
    traceback = _innermost(error)
    return (
        type(error) is RuntimeError
        and traceback is not None
        and traceback.tb_frame.f_code.co_qualname == "_ModuleLock.release"
    )


def _innermost(error: BaseException) -> TracebackType | None:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def _wait_until_gone(native_id: int, deadline: float) -> bool:
    """The lock is released a moment before the system's thread ends: see it gone."""
    path = f"/proc/self/task/{native_id}"
    while True:
        try:
            originals.stat(path)
        except OSError:
            return True
        if originals.monotonic() >= deadline:
            return False
        originals.sleep(0.0002)
