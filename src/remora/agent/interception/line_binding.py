"""Which local variables surely have a value where a line begins.

These can be loaded without a look. A variable counts when it is a parameter or has been
assigned on every way that leads there, handlers of exceptions included, and has not
been deleted since.
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING

from remora.agent.targets.code import parameters

if TYPE_CHECKING:
    from types import CodeType

    from remora.agent.interception.bytecode import Instruction

_STORE_FAST = opcode.opmap["STORE_FAST"]
_DELETE_FAST = opcode.opmap["DELETE_FAST"]
_STORE_TWO = opcode.opmap.get("STORE_FAST_STORE_FAST", -1)
_STORE_AND_LOAD = opcode.opmap.get("STORE_FAST_LOAD_FAST", -1)
_LOAD_AND_CLEAR = opcode.opmap.get("LOAD_FAST_AND_CLEAR", -1)
"""Saves the variable of the same name around a comprehension (3.12+). What is put back
after it may be no value, so these variables are never sure."""


def surely_bound(
    code: CodeType, instructions: list[Instruction], places: list[Instruction]
) -> frozenset[str]:
    """Names that have a value in fast slots whenever one of the places is come to."""
    if not places:
        return frozenset()
    states = _states(code, instructions)
    common = -1
    for place in places:
        common &= states.get(place.start, 0)
    for instruction in instructions:
        if instruction.op == _LOAD_AND_CLEAR:
            common &= ~(1 << instruction.arg)
    # What is in a cell may be deleted by code within: `nonlocal name; del name`.
    return frozenset(
        name
        for number, name in enumerate(code.co_varnames)
        if common >> number & 1 and name not in code.co_cellvars
    )


def _states(code: CodeType, instructions: list[Instruction]) -> dict[int, int]:
    """By an instruction's start: a bit for each variable bound before it runs."""
    following = dict(
        zip([here.start for here in instructions], instructions[1:], strict=False)
    )
    states = {instructions[0].start: (1 << len(parameters(code))) - 1}
    work = [instructions[0]]
    while work:
        here = work.pop()
        before = states[here.start]
        after = _after(here, before)
        reached: list[tuple[Instruction, int]] = []
        if here.falls_through and here.start in following:
            reached.append((following[here.start], after))
        if here.target is not None:
            reached.append((here.target, after))
        if here.handler is not None:
            reached.append((here.handler[0], before & after))
        for instruction, state in reached:
            known = states.get(instruction.start)
            joined = state if known is None else known & state
            if joined != known:
                states[instruction.start] = joined
                work.append(instruction)
    return states


def _after(instruction: Instruction, bound: int) -> int:
    """The variables that are bound when the instruction has run."""
    op, arg = instruction.op, instruction.arg
    if op == _STORE_FAST:
        return bound | 1 << arg
    if op == _DELETE_FAST:
        return bound & ~(1 << arg)
    if op == _STORE_TWO:
        return bound | 1 << (arg >> 4) | 1 << (arg & 15)
    if op == _STORE_AND_LOAD:
        return bound | 1 << (arg >> 4)
    return bound
