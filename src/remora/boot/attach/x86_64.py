"""The table of x86-64.

The three pieces of machine code are the whole of what is injected. Their listings stand
beside them; the words they use are those of `region`. They keep to the calling
convention of the C library, and the last of them to leave unmaps the region by a jump
into `munmap`, which returns to the caller: no code is left that would have to be
removed from outside.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from remora.boot.attach.architecture import MASK, Architecture

if TYPE_CHECKING:
    from remora.boot.attach.architecture import Registers

# fmt: off
_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
    "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base",
    "gs_base", "ds", "es", "fs", "gs",
)
_CONTEXT_ORDER = (
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx",
    "rdx", "rax", "rcx", "rsp", "rip", "eflags",
)
# fmt: on

_EINTR = -4 & MASK
_RESTARTED = frozenset({-512 & MASK, -513 & MASK, -514 & MASK})
"""ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND: the call is made again as it was."""
_RESTARTED_WITH_REST = -516 & MASK
"""ERESTART_RESTARTBLOCK: the kernel knows how much of the time is left."""
_NOT_IN_A_CALL = MASK

_EPOLL_WAIT, _EPOLL_PWAIT, _SIGTIMEDWAIT, _RESTART = 232, 281, 128, 219

_STARTER = bytes.fromhex(
    "53"  # starter: push rbx
    "4889fb"  # mov rbx, rdi
    "b902000000"  # mov ecx, 2
    "31c0"  # xor eax, eax
    "f00fb18bb0000000"  # lock cmpxchg [rbx+ONCE], ecx
    "0f8582000000"  # jne leave
    "ff13"  # call [rbx+Py_IsInitialized]
    "85c0"  # test eax, eax
    "746e"  # je not_ready
    "31ff"  # xor edi, edi (SIG_BLOCK)
    "488db348010000"  # lea rsi, [rbx+ALL_SIGNALS]
    "488d93c8000000"  # lea rdx, [rbx+OLD_SIGNALS]
    "ff5308"  # call [rbx+pthread_sigmask]
    "488dbbc8010000"  # lea rdi, [rbx+ATTRIBUTES]
    "ff5310"  # call [rbx+pthread_attr_init]
    "488dbbc8010000"  # lea rdi, [rbx+ATTRIBUTES]
    "be00002000"  # mov esi, 2 MiB
    "ff5318"  # call [rbx+pthread_attr_setstacksize]
    "488dbbc8010000"  # lea rdi, [rbx+ATTRIBUTES]
    "be01000000"  # mov esi, PTHREAD_CREATE_DETACHED
    "ff5320"  # call [rbx+pthread_attr_setdetachstate]
    "488dbba8000000"  # lea rdi, [rbx+THREAD]
    "488db3c8010000"  # lea rsi, [rbx+ATTRIBUTES]
    "488b5370"  # mov rdx, [rbx+RUNNER]
    "4889d9"  # mov rcx, rbx
    "ff5328"  # call [rbx+pthread_create]
    "8983bc000000"  # mov [rbx+CREATED], eax
    "bf02000000"  # mov edi, SIG_SETMASK
    "488db3c8000000"  # lea rsi, [rbx+OLD_SIGNALS]
    "31d2"  # xor edx, edx
    "ff5308"  # call [rbx+pthread_sigmask]
    "31c05bc3"  # xor eax, eax; pop rbx; ret
    "c783bc00000000100000"  # not_ready: mov [rbx+CREATED], NOT_READY
    "31c05bc3"  # xor eax, eax; pop rbx; ret
    "f0ff8bb4000000"  # leave: lock dec [rbx+USERS]
    "7404"  # je unmap
    "31c05bc3"  # xor eax, eax; pop rbx; ret
    "488b7b78"  # unmap: mov rdi, [rbx+START]
    "488bb380000000"  # mov rsi, [rbx+SIZE]
    "488b4368"  # mov rax, [rbx+munmap]
    "5bffe0"  # pop rbx; jmp rax
)

_RUNNER = bytes.fromhex(
    "5341544155"  # runner: push rbx; push r12; push r13
    "4889fb"  # mov rbx, rdi
    "c783b800000001000000"  # mov [rbx+STATE], STARTED
    "ff5330"  # call [rbx+PyGILState_Ensure]
    "4189c4"  # mov r12d, eax
    "83bbb000000001"  # cmp [rbx+ONCE], CANCELLED
    "744b"  # je release
    "c783b800000002000000"  # mov [rbx+STATE], RUNNING
    "488bbb98000000"  # mov rdi, [rbx+VIEW]
    "488bb3a0000000"  # mov rsi, [rbx+VIEW_SIZE]
    "ba00020000"  # mov edx, PyBUF_WRITE
    "ff5338"  # call [rbx+PyMemoryView_FromMemory]
    "4885c0"  # test rax, rax
    "7426"  # je release
    "4989c5"  # mov r13, rax
    "488bbb90000000"  # mov rdi, [rbx+NAME]
    "4c89ee"  # mov rsi, r13
    "ff5340"  # call [rbx+PySys_SetObject]
    "4c89ef"  # mov rdi, r13
    "ff5348"  # call [rbx+Py_DecRef]
    "488bbb88000000"  # mov rdi, [rbx+TEXT]
    "ff5350"  # call [rbx+PyRun_SimpleString]
    "8983c0000000"  # mov [rbx+OUTCOME], eax
    "4489e7"  # release: mov edi, r12d
    "ff5358"  # call [rbx+PyGILState_Release]
    "c783b800000003000000"  # mov [rbx+STATE], DONE
    "41bc10270000"  # mov r12d, 10000
    "83bbc400000000"  # wait: cmp [rbx+READ], 0
    "750d"  # jne leave
    "bfe8030000"  # mov edi, 1000
    "ff5360"  # call [rbx+usleep]
    "41ffcc"  # dec r12d
    "75ea"  # jnz wait
    "f0ff8bb4000000"  # leave: lock dec [rbx+USERS]
    "7408"  # je unmap
    "31c0415d415c5bc3"  # xor eax, eax; pop r13; pop r12; pop rbx; ret
    "488b7b78"  # unmap: mov rdi, [rbx+START]
    "488bb380000000"  # mov rsi, [rbx+SIZE]
    "488b4368"  # mov rax, [rbx+munmap]
    "415d415c5bffe0"  # pop r13; pop r12; pop rbx; jmp rax
)

_QUEUER = bytes.fromhex(
    "53"  # queuer: push rbx
    "4889fb"  # mov rbx, rdi
    "488bbb08020000"  # mov rdi, [rbx+STARTER]
    "4889de"  # mov rsi, rbx
    "ff9310020000"  # call [rbx+Py_AddPendingCall]
    "898318020000"  # mov [rbx+QUEUED], eax
    "5bc3"  # pop rbx; ret
)

_CONTEXT = struct.Struct("<5Q 18Q 4H 3Q Q Q 64x Q")
"""ucontext of the kernel: flags, link, stack; sigcontext; signal mask
(arch/x86/include/uapi/asm/sigcontext.h, ucontext.h)."""

_UC_FLAGS = 0b111
"""UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS."""
_MAGIC_1, _MAGIC_2 = 0x46505853, 0x46505845
_SOFTWARE_BYTES_AT = 464
"""Where the legacy area has room for the kernel's notes; ptrace puts XCR0 there."""
_LEGACY_SIZE = 512


def build_frame(
    registers: Registers, extended: bytes, mask: int, way_back: int
) -> tuple[int, bytes]:
    """What sigreturn needs to restore this thread, and where on its stack it lies.

    The first word is the way back itself: a function that is called with the stack
    pointer at this frame returns into sigreturn.
    """
    floating = _extended_for_sigreturn(extended)
    floating_at = (registers["rsp"] - _RED_ZONE - len(floating)) & ~63
    # a function is entered with the stack 8 bytes off a multiple of 16
    start = ((floating_at - 8 - _CONTEXT.size) & ~15) - 8
    context = _CONTEXT.pack(
        *(_UC_FLAGS, 0, 0, 0, 0),
        *(_after_interruption(registers)[name] for name in _CONTEXT_ORDER),
        *(registers["cs"], 0, 0, registers["ss"]),
        *(0, 0, 0),
        0,
        floating_at,
        mask,
    )
    frame = struct.pack("<Q", way_back) + context
    return start, frame.ljust(floating_at - start, b"\0") + floating


def _extended_for_sigreturn(extended: bytes) -> bytes:
    """The floating-point state as a signal frame has it, notes of the kernel added."""
    if len(extended) <= _LEGACY_SIZE:
        return extended
    features = struct.unpack_from("<Q", extended, _SOFTWARE_BYTES_AT)[0]
    size = len(extended)
    notes = struct.pack("<IIQI", _MAGIC_1, size + 4, features, size)
    state = bytearray(extended + struct.pack("<I", _MAGIC_2))
    state[_SOFTWARE_BYTES_AT : _SOFTWARE_BYTES_AT + len(notes)] = notes
    return bytes(state)


def _after_interruption(registers: Registers) -> Registers:
    """The registers with which a thread goes on that we could not give back.

    The injector has died: nobody can enter the call anew with its remaining time, so
    that the app sees EINTR where a signal would have shown it.
    """
    if registers["orig_rax"] == _NOT_IN_A_CALL:
        return registers
    if registers["rax"] in _RESTARTED:
        again = {"rip": registers["rip"] - 2, "rax": registers["orig_rax"]}
        return {**registers, **again}
    if registers["rax"] == _RESTARTED_WITH_REST:
        return {**registers, "rax": _EINTR}
    return registers


def restart(registers: Registers) -> Registers:
    """The registers with which a borrowed thread goes on, from the entry of a call."""
    call, result = registers["orig_rax"], registers["rax"]
    if call == _NOT_IN_A_CALL:
        return registers
    if result in _RESTARTED or (result == _EINTR and _waits_for_ever(registers)):
        return registers
    if result == _RESTARTED_WITH_REST:
        return {**registers, "orig_rax": _RESTART}
    return {**registers, "orig_rax": _NOT_IN_A_CALL}


def _waits_for_ever(registers: Registers) -> bool:
    """Whether a call that always says EINTR can be made again as if nothing was."""
    call = registers["orig_rax"]
    if call in {_EPOLL_WAIT, _EPOLL_PWAIT}:
        return registers["r10"] & 0xFFFFFFFF == 0xFFFFFFFF
    return call == _SIGTIMEDWAIT and registers["rdx"] == 0


_RED_ZONE = 128

X86_64 = Architecture(
    name="x86-64",
    machine=62,
    registers=_REGISTERS,
    program_counter="rip",
    stack_pointer="rsp",
    result="rax",
    call_number="rax",
    entered_call="orig_rax",
    arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
    call_arguments=("rdi", "rsi", "rdx", "r10", "r8", "r9"),
    calls={"mmap": 9, "mprotect": 10, "munmap": 11, "sigreturn": 15},
    # The kernel makes the first of these again by itself, wherever they were
    # interrupted; epoll_wait always says EINTR, which a C library may not expect.
    parked={
        **dict.fromkeys((202, 7, 271, 23, 270, 35, 230, 34), 0),  # futex, polls, sleeps
        _RESTART: 0,  # one of these, once it was interrupted
        **dict.fromkeys((43, 288, 45, 47, 61, 247, 128), 1),  # accept, recv, wait
        **dict.fromkeys((72, 73), 1),  # locks of files: fcntl, flock
        0: 2,  # read
        **dict.fromkeys((232, 281, 441), 3),  # epoll
    },
    futex=202,
    system_call=b"\x0f\x05\xc3",
    system_call_size=2,
    way_back=(
        b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05",
        b"\xb8\x0f\x00\x00\x00\x0f\x05",
    ),
    red_zone=_RED_ZONE,
    starter=_STARTER,
    runner=_RUNNER,
    queuer=_QUEUER,
    build_frame=build_frame,
    restart=restart,
)
