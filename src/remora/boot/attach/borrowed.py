"""A thread of the target that works for us for some milliseconds.

It is taken where it sleeps in a system call, or wherever it is, makes calls of ours,
and goes on with that system call as if nothing had been. Two rules carry that.

Whenever its registers are ours, its stack holds the way back: a signal frame with all
that it had, below what it uses, and a return address that leads into sigreturn. So a
tracer that dies at any moment leaves a thread that finishes our call and finds back by
itself; it may see EINTR then.

It leaves by one door: at the entry of that sigreturn the tracer puts the thread's own
registers in, and with them the interrupted system call, which is then entered anew.

Signals are delivered to it as they come: their handlers run on top of what we do.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from remora.boot.attach.architecture import MASK
from remora.boot.attach.process import is_runnable
from remora.boot.attach.ptrace import Stop, Tracee
from remora.errors import AttachError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from remora.boot.attach.architecture import Architecture, Registers
    from remora.boot.attach.landmarks import Landmarks
    from remora.boot.attach.memory import Memory

    Steps = Generator[str, None, int]

CALL_TIMEOUT_S = 0.5
"""What we call takes microseconds; longer means that it waits for a lock."""

STARVED_S = 10.0
"""Or that the machine has no time for it: that is waited for longer."""

_ERRORS_FROM = -4095 & MASK
_NO_CALL = MASK


class BorrowedThread:
    """One thread, from `take` to `give_back`.

    The methods that make it run are generators: each value is the name of a step that
    was done, so that a test can stop, or die, between any two.
    """

    def __init__(
        self, thread: int, memory: Memory, architecture: Architecture, marks: Landmarks
    ) -> None:
        self._tracee = Tracee(thread, architecture)
        self._memory = memory
        self._architecture = architecture
        self._marks = marks
        self._registers: Registers = {}
        self._extended = b""
        self._frame = 0
        self._is_at_door = False
        self._stopped_at = 0.0
        self.is_taken = False

    def take(self) -> Generator[str]:
        """Stop it and prepare its way back."""
        self._tracee.seize()
        yield "seized"
        self._stopped_at = time.monotonic()
        self._tracee.interrupt()
        self.is_taken = True
        yield "stopped"
        self._registers = self._tracee.read_registers()
        self._extended = self._tracee.read_extended()
        self._frame, frame = self._architecture.build_frame(
            self._registers,
            self._extended,
            self._tracee.read_signal_mask(),
            self._marks.way_back,
        )
        try:
            self._memory.write(self._frame, frame)
        except OSError as error:
            raise AttachError(
                f"the stack of thread {self._tracee.thread} has no room: try again"
            ) from error
        yield "way back prepared"

    @property
    def call_in_progress(self) -> int:
        """The number of the system call that it was taken from; -1 for none."""
        number = self._registers[self._architecture.entered_call]
        return -1 if number == _NO_CALL else number

    def system_call(self, name: str, *arguments: int) -> Steps:
        """Make a system call in it and return the result."""
        table = self._architecture
        registers = self._prepare(self._marks.system_call, table.call_arguments)
        registers[table.call_number] = table.calls[name]
        registers.update(zip(table.call_arguments, arguments, strict=False))
        self._tracee.write_registers(registers)
        yield f"about to call {name}"
        after = self._marks.system_call + table.system_call_size
        for _ in ("entry", "exit"):
            found = self._run_to(lambda now: self._is_at(now, after, self._frame))
        yield f"{name} made"
        result = found[table.result]
        if result >= _ERRORS_FROM:
            reason = os.strerror(-(result - 2**64))
            raise AttachError(
                f"the process cannot {name}: {reason}: it is at a limit of its memory, "
                "or a security policy forbids executable memory"
            )
        return result

    def call(self, function: int, argument: int) -> Generator[str]:
        """Call a function in it; the way back destroys its result."""
        table = self._architecture
        registers = self._prepare(function, table.arguments)
        registers[table.arguments[0]] = argument
        self._tracee.write_registers(registers)
        yield "about to call a function"
        self._run_to(self._is_home)
        self._is_at_door = True
        yield "function has returned"

    def give_back(self) -> float:
        """Let it go on with what it did. Returns the seconds that it stood still."""
        try:
            if not self.is_taken:
                return 0.0
            self.is_taken = False
            if self._frame:
                self._leave()
            self._tracee.detach()
            return time.monotonic() - self._stopped_at
        finally:
            self._tracee.end()

    def _leave(self) -> None:
        """Through the door; where it does not get there, it finds home by itself."""
        try:
            self._go_to_door()
        except AttachError:
            self._tracee.write_registers(self._homeward())
            return
        self._tracee.write_extended(self._extended)
        self._tracee.write_registers(self._architecture.restart(self._registers))

    def _go_to_door(self) -> None:
        if self._is_at_door:
            return
        self._tracee.write_registers(self._homeward())
        self._run_to(self._is_home)

    def _homeward(self) -> Registers:
        home = self._prepare(self._marks.way_back, ())
        home[self._architecture.stack_pointer] = self._frame + 8
        return home

    def _prepare(self, address: int, cleared: tuple[str, ...]) -> Registers:
        """Registers that enter `address` as a function whose return is the way back."""
        table = self._architecture
        self._is_at_door = False
        return {
            **self._registers,
            **dict.fromkeys(cleared, 0),
            table.program_counter: address,
            table.stack_pointer: self._frame,
            table.entered_call: _NO_CALL,
            table.result: 0,
        }

    def _is_at(self, registers: Registers, address: int, stack: int) -> bool:
        table = self._architecture
        return (
            registers[table.program_counter] == address
            and registers[table.stack_pointer] == stack
        )

    def _is_home(self, registers: Registers) -> bool:
        """Whether it enters the sigreturn of our own frame."""
        table = self._architecture
        return (
            self._is_at(registers, self._marks.way_back_entry, self._frame + 8)
            and registers[table.entered_call] == (table.calls["sigreturn"])
        )

    def _run_to(self, is_there: Callable[[Registers], bool]) -> Registers:
        """Run until it stops there; what waits for too long is broken off."""
        began = time.monotonic()
        self._tracee.resume()
        while True:
            try:
                stop = self._tracee.wait(time.monotonic() + CALL_TIMEOUT_S)
            except TimeoutError:
                waited_s = time.monotonic() - began
                if waited_s < STARVED_S and is_runnable(self._tracee.thread):
                    continue
                self._tracee.interrupt()
                raise AttachError(
                    "a call in the process did not return and was broken off: its "
                    "memory allocator is locked; try again"
                ) from None
            if stop.at_call:
                registers = self._tracee.read_registers()
                if is_there(registers):
                    return registers
            self._tracee.resume(_forwarded(stop))


def _forwarded(stop: Stop) -> int:
    return 0 if stop.at_call else stop.signal
