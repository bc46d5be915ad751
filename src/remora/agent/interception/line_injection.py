"""A code object with calls at the beginnings of some of its lines.

The calls are put in front of the instruction that begins the line, and jumps from other
lines lead to them. Jumps within the line lead past them. What lies on the stack is not
touched. The result is compared with what was wanted before anybody runs it.
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING

from remora.agent.interception.bytecode import (
    Instruction,
    assemble,
    compare,
    take_apart,
)
from remora.agent.interception.line_binding import surely_bound
from remora.agent.interception.line_starts import returns_to
from remora.agent.runtime import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from remora.agent.interception.code_tables import Position

_OPS = opcode.opmap
_PUSH_NULL, _LOAD_CONST = _OPS["PUSH_NULL"], _OPS["LOAD_CONST"]
_LOAD_FAST = _OPS.get("LOAD_FAST_CHECK", _OPS["LOAD_FAST"])
"""With a look: what is loaded has a value, but a mistake must not crash the app."""
_PRECALL, _CALL, _POP_TOP = _OPS.get("PRECALL", -1), _OPS["CALL"], _OPS["POP_TOP"]
_JUMP_FORWARD, _RESUME = _OPS["JUMP_FORWARD"], _OPS["RESUME"]
_PUSH_EXC_INFO, _END_FOR = _OPS["PUSH_EXC_INFO"], _OPS.get("END_FOR", -1)

_BOUND_TO_NEXT = frozenset({_PRECALL, _OPS.get("KW_NAMES", -1), _OPS["YIELD_VALUE"]})
"""Instructions that leave something to the very next one besides the stack."""


class Gate:
    """What is called at a line: `call` takes the values of `names` by position."""

    __slots__ = ("call", "names")

    def __init__(self, call: Callable[..., object], names: tuple[str, ...]) -> None:
        self.call = call
        self.names = names


def inject(
    code: CodeType, gates: dict[int, Gate], consts: tuple[object, ...]
) -> CodeType:
    """The code with a call of each gate where its line begins.

    `consts` are the constants of the code, in which code within it may differ. Raises
    ValueError where the code is not of the known form.
    """
    before = take_apart(code)
    blocks: dict[int, list[Instruction]] = {}
    all_consts = list(consts)
    for line, gate in gates.items():
        all_consts.append(gate.call)
        for instruction, position in _begins(code, before, line):
            block = _block(code, gate, len(all_consts) - 1, position)
            for added in block:
                added.handler = instruction.handler
            blocks[id(instruction)] = block
    _lead_jumps(before, blocks)
    after: list[Instruction] = []
    for instruction, previous in zip(before, [None, *before[:-1]], strict=True):
        block = blocks.get(id(instruction))
        if block is not None:
            if _continues(previous, instruction):
                after.append(_jump_over(instruction))
            after += block
        after.append(instruction)
    deeper = 2 + max(len(gate.names) for gate in gates.values())
    raw, locations, handlers = assemble(after, code.co_firstlineno)
    result = code.replace(
        co_code=raw,
        co_consts=tuple(all_consts),
        co_stacksize=code.co_stacksize + deeper,
        co_linetable=locations,
        co_exceptiontable=handlers,
    )
    compare(after, take_apart(result))
    return result


def bound_names(code: CodeType, line: int) -> frozenset[str]:
    """Local variables that surely have a value where a gate of the line is called."""
    instructions = take_apart(code)
    places = [place for place, _ in _begins(code, instructions, line)]
    return surely_bound(code, instructions, places)


def _begins(
    code: CodeType, instructions: list[Instruction], line: int
) -> Iterator[tuple[Instruction, Position]]:
    """Where a call may stand for each beginning of the line, and its position."""
    comes_back = {offset // 2 for offset in returns_to(code, line)}
    elsewhere = _targets_from_elsewhere(instructions)
    resume = next(i for i, at in enumerate(instructions) if at.op == _RESUME)
    chosen: dict[int, Position] = {}
    for index in range(resume + 1, len(instructions)):
        here, previous = instructions[index], instructions[index - 1]
        if here.line != line or here.start in comes_back:
            continue
        comes_from_above = previous.falls_through and previous.line != line
        if comes_from_above or index == resume + 1 or here.start in elsewhere:
            chosen.setdefault(_shifted(instructions, index), here.position)
    for index, position in chosen.items():
        yield instructions[index], position


def _targets_from_elsewhere(instructions: list[Instruction]) -> set[int]:
    """First units of what is reached by a jump from another line or by an exception."""
    handlers = {at.handler[0].start for at in instructions if at.handler is not None}
    # What else is a handler only tidies up, on the last line of the one it belongs to.
    found = {
        instruction.start
        for instruction in instructions
        if instruction.op == _PUSH_EXC_INFO and instruction.start in handlers
    }
    for instruction in instructions:
        target = instruction.target
        if target is not None and target.line != instruction.line:
            found.add(target.start)
    return found


def _continues(previous: Instruction | None, here: Instruction) -> bool:
    """Whether execution may come from the instruction before, which has the line."""
    is_start = previous is None or (previous.op == _RESUME and previous.arg == 0)
    return (
        not is_start
        and previous is not None
        and previous.falls_through
        and previous.line == here.line
    )


def _shifted(instructions: list[Instruction], index: int) -> int:
    """Where a call may stand: not between instructions that belong together."""
    while instructions[index - 1].op in _BOUND_TO_NEXT:
        index -= 1
    while instructions[index].op in {_PUSH_EXC_INFO, _RESUME, _END_FOR}:
        # the end of a loop jumps over END_FOR, and on 3.13 over the POP_TOP behind it
        index += 1 + (instructions[index].op == _END_FOR and facts.POPS_AFTER_LOOP)
    return index


def _block(
    code: CodeType, gate: Gate, const: int, position: Position
) -> list[Instruction]:
    """`gate(value, …)`, its result dropped."""
    loads = [
        Instruction(_LOAD_FAST, code.co_varnames.index(name)) for name in gate.names
    ]
    target = [Instruction(_PUSH_NULL), Instruction(_LOAD_CONST, const)]
    if facts.NULL_FOLLOWS_CALLABLE:
        target.reverse()
    if facts.HAS_PRECALL:
        loads.append(Instruction(_PRECALL, len(loads)))
    call = Instruction(_CALL, len(gate.names))
    block = [*target, *loads, call, Instruction(_POP_TOP)]
    for instruction in block:
        instruction.position = position
    return block


def _jump_over(instruction: Instruction) -> Instruction:
    jump = Instruction(_JUMP_FORWARD, 0, instruction.position)
    jump.target = instruction
    return jump


def _lead_jumps(
    instructions: list[Instruction],
    blocks: dict[int, list[Instruction]],
) -> None:
    """Jumps from another line lead to the call in front of their target.

    So do exceptions.
    """
    for instruction in instructions:
        handler = instruction.handler
        if handler is not None and id(handler[0]) in blocks:
            instruction.handler = (blocks[id(handler[0])][0], handler[1])

    for instruction in instructions:
        target = instruction.target
        if (
            target is not None
            and id(target) in blocks
            and target.line != instruction.line
        ):
            instruction.target = blocks[id(target)][0]
