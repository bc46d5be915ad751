"""Puts a text into a running interpreter and waits for its answer.

The text runs in a thread of its own, which waits for the interpreter lock like any
other. That thread is made by a thread of the target that sleeps in a system call where
it holds no lock; where there is none, the main thread makes it at its next pause
between two instructions of Python (Py_AddPendingCall). docs/design/attach.md says why.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from remora.boot.attach.borrowed import BorrowedThread
from remora.boot.attach.landmarks import find_landmarks, read_machine
from remora.boot.attach.memory import Memory, read_mappings
from remora.boot.attach.parked import LOOK_S, find_parked, may_be_stopped
from remora.boot.attach.process import check_process, is_stopped, read_process
from remora.boot.attach.refusals import explain_refusal, read_rights
from remora.boot.attach.region import (
    NOT_CREATED,
    NOT_READY,
    PAGE,
    Progress,
    Region,
    region_size,
)
from remora.boot.attach.x86_64 import X86_64
from remora.errors import AttachError, AttachRefusedError, AttachTimeoutError

if TYPE_CHECKING:
    from collections.abc import Generator

    from remora.boot.attach.architecture import Architecture

    Steps = Generator[str]

_ARCHITECTURES = {X86_64.machine: X86_64}

_PATIENCE_S = 1.0
"""A pending call that nobody has made after this gets company by a sleeping thread."""
_REPORT_S = 3.0
_LEAVING_S = 0.5
_ATTEMPTS = 5

_READ_WRITE, _READ_EXECUTE = 0x3, 0x5
_PRIVATE_ANONYMOUS = 0x22
_NO_FILE = 2**64 - 1
_EAGAIN = 11


class Say(Protocol):
    """Tells a person how it goes."""

    def __call__(self, text: str, /) -> None:
        """Show one line."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is put into the target.

    `text` is one expression for PyRun_SimpleString; `luggage` the bytes at the start of
    the view that it finds in `sys`; its answer goes behind them.
    """

    text: bytes
    luggage: bytes


class Injection:
    """One parcel on its way into one process."""

    def __init__(self, pid: int, parcel: Parcel, *, timeout_s: float, say: Say) -> None:
        self.pid = pid
        self.way = ""
        self.paused_s = 0.0
        self.answer = b""
        self._parcel = parcel
        self._timeout_s = timeout_s
        self._say = say
        self._memory: Memory | None = None
        self._region: Region | None = None
        self._is_pending = False

    def run(self) -> bytes:
        """Go through all steps and return the answer.

        Raises AttachError and its kinds. Whatever ends it early, Ctrl-C too, the target
        goes on as it was.
        """
        try:
            for _ in self.steps():
                pass
        except BaseException:
            self._cancel()
            raise
        finally:
            if self._memory is not None:
                self._memory.close()
        return self.answer

    def steps(self) -> Steps:
        """Do it step by step; each value names the step that was done."""
        deadline = time.monotonic() + self._timeout_s
        check_process(read_process(self.pid))
        try:
            yield from self._prepare(deadline)
            yield from self._start(deadline)
        except PermissionError as error:
            process = read_process(self.pid)
            raise AttachRefusedError(
                explain_refusal(process, read_rights(process))
            ) from error
        yield from self._await_answer(deadline)

    def _prepare(self, deadline: float) -> Steps:
        mappings = read_mappings(self.pid)
        self._memory = memory = Memory(self.pid)
        machine, has_64_bits = read_machine(memory, mappings)
        if machine == 0:
            raise AttachError(
                f"process {self.pid} has no program in memory at the moment: it is "
                "just starting or ending; try again"
            )
        architecture = _ARCHITECTURES.get(machine)
        if not has_64_bits or architecture is None or os.uname().machine != "x86_64":
            raise AttachError(
                f"process {self.pid} is a program for {_describe(machine)}: attach "
                "knows x86-64 under Linux only; start it with `remora run`"
            )
        self._architecture: Architecture = architecture
        self._marks = find_landmarks(self.pid, mappings, memory, architecture)
        yield "landmarks found"
        yield from self._await_continuation(deadline)

    def _await_continuation(self, deadline: float) -> Steps:
        """A stopped process would only take the agent when it goes on: wait before."""
        began, told = time.monotonic(), 0.0
        while is_stopped(self.pid):
            told = self._report(
                "the process is stopped and goes on with `kill -CONT`", began, told
            )
            self._check(deadline, "is stopped (Ctrl-Z or SIGSTOP): let it go on")
            time.sleep(LOOK_S * 5)
            yield "waiting for the process to go on"

    def _start(self, deadline: float) -> Steps:
        """Take the parked-thread way, or else the pending call."""
        for attempt in range(_ATTEMPTS):
            thread = yield from self._find_thread(deadline)
            try:
                yield from self._send_with(thread)
            except (AttachRefusedError, AttachTimeoutError):
                raise
            except AttachError:
                read_process(self.pid)
                if self._region is not None and self._region.is_taken:
                    # broken off, after the starter had begun: it may have done its work
                    return
                # a bad moment of that thread; another one, or the next, may be better
                self._region = None
                if attempt == _ATTEMPTS - 1:
                    raise
                self._check(deadline, "has no thread that can be borrowed")
                continue
            return

    def _find_thread(self, deadline: float) -> Generator[str, None, int]:
        """A thread that sleeps well, or 0: the main thread may be taken as it is."""
        began, told = time.monotonic(), 0.0
        while True:
            thread = yield from find_parked(self.pid, self._architecture)
            if thread or may_be_stopped(self.pid, self._architecture):
                return thread
            read_process(self.pid)
            told = self._report(
                "the process is in a system call that a stop would cut short",
                began,
                told,
            )
            self._check(deadline, "is in a system call that a stop would cut short")

    def _send_with(self, thread: int) -> Steps:
        """Map the region with the help of a thread, and start or queue the runner."""
        borrowed = self._borrow(thread or self.pid)
        try:
            yield from self._take(borrowed)
            is_parked = bool(thread) and (
                borrowed.call_in_progress in self._architecture.parked
            )
            region = yield from self._map(borrowed)
            if is_parked:
                self.way = "thread"
                self._region = region
                yield from borrowed.call(region.starter, region.words)
                if reason := region.created:
                    self._region = None
                    yield from borrowed.system_call("munmap", region.start, region.size)
                    raise self._not_created(reason)
            else:
                self.way = "pending"
                yield from self._queue(borrowed, region)
        finally:
            self.paused_s += borrowed.give_back()
        yield "thread given back"

    def _map(self, borrowed: BorrowedThread) -> Generator[str, None, Region]:
        text, luggage = self._parcel.text, self._parcel.luggage
        size = region_size(text, luggage)
        start = yield from borrowed.system_call(
            "mmap", 0, size, _READ_WRITE, _PRIVATE_ANONYMOUS, _NO_FILE, 0
        )
        assert self._memory is not None
        region = Region(self._memory, start, size)
        region.fill(self._architecture, self._marks.functions, text, luggage)
        yield "region filled"
        yield from borrowed.system_call("mprotect", start, PAGE, _READ_EXECUTE)
        return region

    def _queue(self, borrowed: BorrowedThread, region: Region) -> Steps:
        yield from borrowed.call(region.queuer, region.words)
        if not region.is_queued:
            yield from borrowed.system_call("munmap", region.start, region.size)
            raise AttachError(
                f"process {self.pid} has no room for one more pending call: try again"
            )
        self._region, self._is_pending = region, True

    def _not_created(self, reason: int) -> AttachError:
        """Why the starter could not make a thread."""
        if reason == NOT_READY:
            return AttachError(
                f"the interpreter of process {self.pid} is just starting or ending: "
                "try again"
            )
        limit = ": it is at its limit of threads or memory" if reason == _EAGAIN else ""
        return AttachError(
            f"process {self.pid} cannot make a thread ({os.strerror(reason)}){limit}"
        )

    def _give_up(self, region: Region) -> Steps:
        """The pending call was made and found that no thread can be made."""
        reason = region.created
        self._region = None
        borrowed = self._borrow(self.pid)
        try:
            yield from self._take(borrowed)
            yield from borrowed.system_call("munmap", region.start, region.size)
        finally:
            self.paused_s += borrowed.give_back()
        raise self._not_created(reason)

    def _await_answer(self, deadline: float) -> Steps:
        region = self._region
        assert region is not None
        began, told = time.monotonic(), 0.0
        help_due = _PATIENCE_S
        while (progress := self._look(region)) is not Progress.DONE:
            waited = time.monotonic() - began
            if self._is_pending and region.created not in {0, NOT_CREATED}:
                yield from self._give_up(region)
            elif self._is_pending and waited > help_due:
                helped = yield from self._help(region)
                help_due = self._timeout_s if helped else waited + _PATIENCE_S
            told = self._report(_WAITS[progress], began, told)
            self._check(deadline, _GIVEN_UP[progress])
            time.sleep(LOOK_S)
            yield "waiting"
        if region.has_failed:
            region.finish()
            raise AttachError(
                f"the interpreter of process {self.pid} refused the agent's first "
                "line: an audit hook, its memory or its limit of open files; its "
                "standard error says more"
            )
        self.answer = region.read_answer()
        region.finish()
        self._region = None
        yield "answered"
        yield from self._await_leaving(region)

    def _await_leaving(self, region: Region) -> Steps:
        """Let the thread unmap the region and end; what it does later is no harm."""
        until = time.monotonic() + _LEAVING_S
        while time.monotonic() < until and region.is_mapped():
            time.sleep(LOOK_S)
            yield "waiting for the thread to leave"

    def _look(self, region: Region) -> Progress:
        """How far it is. The memory of a process that has ended cannot be read."""
        try:
            return region.progress
        except OSError:
            read_process(self.pid)
            raise

    def _help(self, region: Region) -> Generator[str, None, bool]:
        """Nobody makes the pending call: a thread that sleeps by now may start it.

        False where none did, so that the next look may find one.
        """
        thread = yield from find_parked(self.pid, self._architecture)
        if not thread or region.is_taken:
            return False
        borrowed = self._borrow(thread)
        try:
            yield from self._take(borrowed)
            if borrowed.call_in_progress not in self._architecture.parked:
                return False
            region.share()
            yield from borrowed.call(region.starter, region.words)
            self.way = "thread"
        finally:
            self.paused_s += borrowed.give_back()
        return True

    def _borrow(self, thread: int) -> BorrowedThread:
        assert self._memory is not None
        return BorrowedThread(thread, self._memory, self._architecture, self._marks)

    def _take(self, borrowed: BorrowedThread) -> Steps:
        try:
            yield from borrowed.take()
        except TimeoutError:
            raise AttachTimeoutError(
                f"process {self.pid} does not stop for a tracer: it is frozen (cgroup "
                "freezer, docker pause) or waits for a disk; try again when it goes on"
            ) from None

    def _check(self, deadline: float, state: str) -> None:
        if time.monotonic() > deadline:
            raise AttachTimeoutError(
                f"process {self.pid} {state}: given up after {self._timeout_s:g} s, "
                "and it goes on as it was; wait longer with --timeout"
            )

    def _report(self, text: str, began: float, told: float) -> float:
        """Tell once a second in the beginning, and then every three."""
        waited = time.monotonic() - began
        due = 1.0 if not told else told + _REPORT_S
        if waited < due:
            return told
        self._say(f"queued: {text}; still waiting ({waited:.0f} s)")
        return waited

    def _cancel(self) -> None:
        """Take back what was not begun; what remains mapped unmaps itself."""
        region, self._region = self._region, None
        if region is None:
            return
        try:
            region.cancel()
        except (OSError, AttachError):
            # the process has ended: there is nothing left to take back
            return


_WAITS = {
    Progress.QUEUED: "the process is busy in one long call",
    Progress.STARTED: "the process is in one long C call",
    Progress.RUNNING: "the agent is starting",
    Progress.DONE: "",
}

_GIVEN_UP = {
    Progress.QUEUED: "did not come to a pause between two instructions of Python",
    Progress.STARTED: "did not let go of the interpreter lock",
    Progress.RUNNING: "has the agent in it, which did not finish its start",
    Progress.DONE: "",
}


def _describe(machine: int) -> str:
    known = {3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "aarch64"}
    return known.get(machine, f"a processor of another kind ({machine})")
