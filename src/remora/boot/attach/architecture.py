"""What the injector has to know of a processor, as one table for each.

Only Linux is meant. A further processor is a further module like `x86_64`, and a row
in `find_architecture`: nothing else names a register or the number of a system call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Registers = dict[str, int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor under Linux.

    `machine` is the number in the head of an ELF file, `registers` the order in which
    ptrace hands them over, `parked` the system calls in which a thread may be borrowed,
    with a rank: the lowest is taken first.

    `way_back` are the forms of the instructions that make the system call sigreturn;
    the C library has one of them. `build_frame` makes what lies on the stack for it.
    `restart` says with which registers the interrupted call goes on.
    """

    name: str
    machine: int
    registers: tuple[str, ...]
    program_counter: str
    stack_pointer: str
    result: str
    call_number: str
    entered_call: str
    arguments: tuple[str, ...]
    call_arguments: tuple[str, ...]
    calls: Mapping[str, int]
    parked: Mapping[int, int]
    futex: int
    system_call: bytes
    system_call_size: int
    way_back: tuple[bytes, ...]
    red_zone: int
    starter: bytes
    runner: bytes
    queuer: bytes
    build_frame: Callable[[Registers, bytes, int, int], tuple[int, bytes]]
    restart: Callable[[Registers], Registers]


MASK = 2**64 - 1
"""Registers are unsigned words."""
