"""One traced thread of another process: ptrace through ctypes.

The rules of the kernel that this file keeps: all requests for a thread come from the
thread that seized it; a request needs the tracee stopped; SEIZE sends no SIGSTOP; what
the tracer's death leaves is a tracee that runs on with the registers it has.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remora.errors import AttachError, NoSuchProcessError

if TYPE_CHECKING:
    from remora.boot.attach.architecture import Architecture, Registers

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_SYSCALL, _DETACH = 24, 17
_GET_REGISTERS, _SET_REGISTERS = 0x4204, 0x4205
_GET_SIGNAL_MASK = 0x420A
_MARK_SYSCALLS = 1
"""PTRACE_O_TRACESYSGOOD. Never PTRACE_O_EXITKILL: our death must not be the app's."""
_NT_STATUS, _NT_EXTENDED = 1, 0x202
_EXTENDED_LIMIT = 64 * 1024
_ALL_CHILDREN = 0x40000000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_EVENT_STOP = 128
_ESRCH = 3

STOP_TIMEOUT_S = 5.0
"""A thread stops within microseconds, unless it waits for a disk, is frozen, or the
machine has no time for it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a tracee stands still: at a system call, for a signal, or for us."""

    at_call: bool
    signal: int


class _Block(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def _load() -> Any:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.restype = ctypes.c_long
    function.argtypes = [
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return function


class Tracee:
    """A thread that is seized for the life of this object."""

    def __init__(self, thread: int, architecture: Architecture) -> None:
        self.thread = thread
        self._architecture = architecture
        self._layout = struct.Struct(f"<{len(architecture.registers)}Q")
        self._ptrace = _load()
        self._blocked: set[int] | None = None

    def seize(self) -> None:
        """Become its tracer; it runs on. Raises PermissionError where that is refused.

        No other tracer can come in between from here on.
        """
        # the kernel sends one for each stop: `wait` waits for them
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        self._request(_SEIZE, data=_MARK_SYSCALLS)

    def interrupt(self) -> None:
        """Make it stop, and wait until it has."""
        self._request(_INTERRUPT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while True:
            stop = self.wait(deadline)
            if not stop.at_call and not stop.signal:
                return
            self.resume(0 if stop.at_call else stop.signal)

    def wait(self, deadline: float) -> Stop:
        """Wait for its next stop. Raises TimeoutError, NoSuchProcessError."""
        while True:
            try:
                found, status = os.waitpid(self.thread, _ALL_CHILDREN | os.WNOHANG)
            except ChildProcessError:
                raise self._gone() from None
            if found:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"thread {self.thread} did not stop")
            signal.sigtimedwait({signal.SIGCHLD}, left)
        if not os.WIFSTOPPED(status):
            raise self._gone()
        number = os.WSTOPSIG(status)
        if number == _SYSCALL_STOP:
            return Stop(at_call=True, signal=0)
        is_event = status >> 16 == _EVENT_STOP
        return Stop(at_call=False, signal=0 if is_event else number)

    def resume(self, sent: int = 0) -> None:
        """Let it run up to its next system call or signal, delivering `sent`."""
        self._request(_SYSCALL, data=sent)

    def detach(self) -> None:
        """Let it go."""
        self._request(_DETACH)

    def end(self) -> None:
        """Take signals as before, whatever has become of the thread."""
        if self._blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
            self._blocked = None

    def read_registers(self) -> Registers:
        """The general registers."""
        values = self._layout.unpack(self._read(_NT_STATUS, self._layout.size))
        return dict(zip(self._architecture.registers, values, strict=True))

    def write_registers(self, registers: Registers) -> None:
        """Set the general registers."""
        names = self._architecture.registers
        self._write(_NT_STATUS, self._layout.pack(*(registers[name] for name in names)))

    def read_extended(self) -> bytes:
        """The floating-point and vector registers, as the kernel writes them out."""
        return self._read(_NT_EXTENDED, _EXTENDED_LIMIT)

    def write_extended(self, state: bytes) -> None:
        """Set them as they were read."""
        self._write(_NT_EXTENDED, state)

    def read_signal_mask(self) -> int:
        """The signals that it blocks."""
        mask = ctypes.c_uint64()
        self._request(_GET_SIGNAL_MASK, 8, ctypes.addressof(mask))
        return mask.value

    def _read(self, kind: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        block = _Block(ctypes.addressof(buffer), size)
        self._request(_GET_REGISTERS, kind, ctypes.addressof(block))
        return buffer.raw[: block.size]

    def _write(self, kind: int, data: bytes) -> None:
        buffer = ctypes.create_string_buffer(data, len(data))
        block = _Block(ctypes.addressof(buffer), len(data))
        self._request(_SET_REGISTERS, kind, ctypes.addressof(block))

    def _request(self, request: int, address: int = 0, data: int = 0) -> None:
        if self._ptrace(request, self.thread, address, data) != -1:
            return
        number = ctypes.get_errno()
        if number == _ESRCH:
            raise self._gone()
        if number in {1, 13}:
            raise PermissionError(number, os.strerror(number))
        raise AttachError(
            f"ptrace request {request:#x} for thread {self.thread} failed: "
            f"{os.strerror(number)}: please report it"
        )

    def _gone(self) -> NoSuchProcessError:
        return NoSuchProcessError(
            f"thread {self.thread} has ended, or was killed, meanwhile: try again if "
            "its process is still there"
        )
