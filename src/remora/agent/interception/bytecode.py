"""Bytecode of 3.11 to 3.13, taken apart and put together again with more in it.

An instruction here is whole: its EXTENDED_ARGs are part of it, its caches follow it,
a jump knows the instruction that it goes to, and each the one that handles what is
raised there. Putting together finds the distances and the ranges.
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING

from remora.agent.interception.code_tables import (
    Position,
    encode_handlers,
    encode_locations,
    read_handlers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_OPS = opcode.opmap
EXTENDED_ARG = _OPS["EXTENDED_ARG"]


def _caches() -> list[int]:
    """By opcode: the units that the interpreter keeps behind an instruction."""
    known: list[int] | dict[str, int] = opcode._inline_cache_entries  # noqa: SLF001 # pyright: ignore - dis itself reads it there
    if isinstance(known, list):
        return known
    caches = [0] * 256
    for name, units in known.items():
        caches[_OPS[name]] = units
    return caches


CACHES = _caches()
_JUMPS = frozenset(opcode.hasjrel)
_BACKWARD = frozenset(op for name, op in _OPS.items() if "JUMP_BACKWARD" in name)
ENDS = frozenset(
    _OPS[name]
    for name in (
        "RETURN_VALUE",
        "RETURN_CONST",
        "RAISE_VARARGS",
        "RERAISE",
        "JUMP_FORWARD",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
    )
    if name in _OPS
)
"""Instructions after which the next one in the code does not run."""


_ROUNDS_LIMIT = 50
"""Rounds of laying out: each but the last lengthens a jump, and few jumps are near the
limits of their size."""


NOWHERE: Position = (None, None, None, None)
"""The position of an instruction that belongs to no line: nobody is told of it."""


class Instruction:
    """One instruction; `start` is its first unit in the code it was read from.

    `line` is that of its position, or where it has none, of what it goes on from.
    `handler` is where an exception goes on, with what is said of the stack there: twice
    its depth, plus one where the place of the exception is kept on it.
    """

    __slots__ = (
        "arg",
        "handler",
        "line",
        "op",
        "position",
        "start",
        "target",
        "units",
    )

    def __init__(self, op: int, arg: int = 0, position: Position = NOWHERE) -> None:
        self.op = op
        self.arg = arg
        self.position = position
        self.line = position[0] or 0
        self.start = -1
        self.units = 1 + CACHES[op]
        self.target: Instruction | None = None
        self.handler: tuple[Instruction, int] | None = None

    @property
    def prefixes(self) -> int:
        """EXTENDED_ARGs that the argument takes."""
        return (self.arg > 0xFF) + (self.arg > 0xFFFF) + (self.arg > 0xFFFFFF)

    @property
    def falls_through(self) -> bool:
        """Whether the next instruction may run after this one."""
        return self.op not in ENDS

    def size(self) -> int:
        """Units of code, with prefixes and caches."""
        return self.prefixes + self.units


def take_apart(code: CodeType) -> list[Instruction]:
    """The instructions of a code object, with the targets of jumps and the handlers."""
    raw = code.co_code
    positions = list(code.co_positions())
    result: list[Instruction] = []
    unit, start, arg = 0, 0, 0
    while unit < len(raw) // 2:
        op, arg = raw[2 * unit], arg << 8 | raw[2 * unit + 1]
        unit += 1
        if op == EXTENDED_ARG:
            continue
        instruction = Instruction(op, arg, positions[unit - 1])
        instruction.start = start
        if not instruction.line and result and result[-1].falls_through:
            instruction.line = result[-1].line
        result.append(instruction)
        unit += CACHES[op]
        start, arg = unit, 0
    at = {instruction.start: instruction for instruction in result}
    for here, following in zip(result, [*result[1:], None], strict=True):
        if here.op in _JUMPS:
            end = following.start if following is not None else unit
            sign = -1 if here.op in _BACKWARD else 1
            here.target = at[end + sign * here.arg]
    for start, end, target, depth in read_handlers(code):
        for unit in range(start, end):
            if unit in at:
                at[unit].handler = (at[target], depth)
    return result


def assemble(
    instructions: list[Instruction], first_line: int
) -> tuple[bytes, bytes, bytes]:
    """The bytecode of these instructions, its locations and its exception table."""
    starts, total = _lay_out(instructions)
    raw = bytearray()
    positions: list[Position] = []
    for instruction in instructions:
        for shift in range(8 * instruction.prefixes, 0, -8):
            raw += bytes((EXTENDED_ARG, instruction.arg >> shift & 0xFF))
        raw += bytes((instruction.op, instruction.arg & 0xFF))
        raw += bytes(2 * (instruction.units - 1))
        positions += [instruction.position] * instruction.size()
    return (
        bytes(raw),
        encode_locations(positions, first_line),
        encode_handlers(_ranges(instructions, starts, total)),
    )


def _ranges(
    instructions: list[Instruction], starts: dict[int, int], total: int
) -> Iterator[tuple[int, int, int, int]]:
    """The ranges of instructions with one handler, as the exception table has them."""
    present: tuple[Instruction, int] | None = None
    begun = 0
    for instruction in [*instructions, None]:
        handler = instruction.handler if instruction is not None else None
        if handler == present:
            continue
        unit = starts[id(instruction)] if instruction is not None else total
        if present is not None:
            yield begun, unit, starts[id(present[0])], present[1]
        present, begun = handler, unit


def _lay_out(instructions: list[Instruction]) -> tuple[dict[int, int], int]:
    """Set the distances of jumps; a longer distance may move what it jumps over."""
    for _ in range(_ROUNDS_LIMIT):
        starts: dict[int, int] = {}
        unit = 0
        for instruction in instructions:
            starts[id(instruction)] = unit
            unit += instruction.size()
        is_settled = True
        for instruction in instructions:
            if instruction.target is None:
                continue
            end = starts[id(instruction)] + instruction.size()
            distance = starts[id(instruction.target)] - end
            before = instruction.prefixes
            instruction.arg = -distance if instruction.op in _BACKWARD else distance
            is_settled &= instruction.prefixes == before
        if is_settled:
            return starts, unit
    raise ValueError(f"the jumps of {len(instructions)} instructions do not settle")


def compare(wanted: list[Instruction], made: list[Instruction]) -> None:
    """Raise ValueError unless the code made is, read again, what was wanted."""
    numbers = {id(instruction): at for at, instruction in enumerate(wanted)}
    numbers |= {id(instruction): at for at, instruction in enumerate(made)}

    def described(instruction: Instruction) -> tuple[object, ...]:
        target = instruction.target
        goes_to = instruction.arg if target is None else numbers[id(target)]
        handler = instruction.handler
        caught = None if handler is None else (numbers[id(handler[0])], handler[1])
        return instruction.op, goes_to, instruction.position, target is None, caught

    if [described(i) for i in wanted] != [described(i) for i in made]:
        raise ValueError("the code that was made is not the code that was wanted")
