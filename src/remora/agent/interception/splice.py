"""One code object of two: an inline template with the body of a function in its place.

Rules of this file
- The body keeps its own beginning (cells, free variables, the making of a generator)
  and its variables, constants and names in front; what is the template's is numbered
  behind them.
- Where the body returned, the rest of the template follows, once for each `return` and
  at its position. Where the body let an exception out, the template's handler is next.
- Variables of the template that wait lie on the stack, below all that the body puts
  there.
- The template's own instructions have no line, but for those that may raise or that
  leave the function: they show as the `def` line.
- What is made is read again and compared before anybody runs it.
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING

from remora.agent.interception.bytecode import (
    NOWHERE,
    Instruction,
    assemble,
    compare,
    take_apart,
)
from remora.agent.interception.inline_template import BODY, DEF_LINE
from remora.agent.runtime import facts
from remora.agent.runtime.frame_locals import OWN_LOCALS
from remora.agent.targets import SPLICE_MARK
from remora.agent.targets.code import parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

    from remora.agent.interception.code_tables import Position
    from remora.agent.interception.inline_template import InlineTemplate

_OPS = opcode.opmap
_LOAD_FAST, _STORE_FAST = _OPS["LOAD_FAST"], _OPS["STORE_FAST"]
_LOAD_FAST_AND_CLEAR = _OPS.get("LOAD_FAST_AND_CLEAR", -1)
_DELETE_FAST, _LOAD_CONST = _OPS["DELETE_FAST"], _OPS["LOAD_CONST"]
_RETURN_VALUE, _RETURN_CONST = _OPS["RETURN_VALUE"], _OPS.get("RETURN_CONST", -1)
_RAISE_VARARGS, _RESUME = _OPS["RAISE_VARARGS"], _OPS["RESUME"]
_SWAP, _PUSH_EXC_INFO = _OPS["SWAP"], _OPS["PUSH_EXC_INFO"]
_YIELD_VALUE = _OPS["YIELD_VALUE"]

_PAIRS = {
    _OPS[pair]: (_OPS[first], _OPS[second])
    for pair, first, second in (
        ("LOAD_FAST_LOAD_FAST", "LOAD_FAST", "LOAD_FAST"),
        ("STORE_FAST_LOAD_FAST", "STORE_FAST", "LOAD_FAST"),
        ("STORE_FAST_STORE_FAST", "STORE_FAST", "STORE_FAST"),
    )
    if pair in _OPS
}
"""Instructions of two variables, whose numbers have four bits each (3.13)."""

_VARIABLES = frozenset({*opcode.haslocal, *opcode.hasfree} - set(_PAIRS))
_IN_CELLS = {
    _OPS[fast]: _OPS[deref]
    for fast, deref in (
        ("LOAD_FAST", "LOAD_DEREF"),
        ("LOAD_FAST_CHECK", "LOAD_DEREF"),
        ("STORE_FAST", "STORE_DEREF"),
        ("DELETE_FAST", "DELETE_DEREF"),
    )
    if fast in _OPS
}
_CONSTS, _NAMES = frozenset(opcode.hasconst), frozenset(opcode.hasname)
_LEAVES = frozenset({_RETURN_VALUE, _RETURN_CONST, _RAISE_VARARGS})

_AT_DEPTH_ONE = 4
"""The bit of RESUME's argument that is set where only the generator's own handler is
around (3.13)."""

_INSTRUCTIONS_LIMIT = 50_000
"""What follows the body stands behind each `return` of it: functions of programs stay
far below, and what a machine has written need not be made ten times longer."""


def splice(made: InlineTemplate, code: CodeType, consts: Sequence[object]) -> CodeType:
    """The code of a function with the template around it.

    `consts` are those of the template with everything put in. Raises ValueError where
    the code is not of the known form.
    """
    frame = _Frame(made, code)
    wanted = _Splice(frame).instructions()
    raw, locations, handlers = assemble(wanted, code.co_firstlineno)
    result = code.replace(
        co_code=raw,
        co_consts=(*code.co_consts, *consts, SPLICE_MARK, code),
        co_names=(*code.co_names, *made.code.co_names),
        co_varnames=(*code.co_varnames, *frame.variables),
        co_nlocals=code.co_nlocals + len(frame.variables),
        co_stacksize=max(code.co_stacksize, made.code.co_stacksize)
        + len(frame.kept)
        + 1,
        co_linetable=locations,
        co_exceptiontable=handlers,
    )
    compare(wanted, take_apart(result))
    return result


class _Frame:
    """The numbers of variables, constants and names in the code that is made."""

    def __init__(self, made: InlineTemplate, code: CodeType) -> None:
        self.made = made
        self.code = code
        self._parameters = len(parameters(code))
        own = made.code.co_nlocals - self._parameters
        self.variables = [f"{OWN_LOCALS}{number}" for number in range(own)]
        names = made.code.co_varnames
        self.kept = [self._slot(names.index(name)) for name in made.kept]
        self._cells = {
            number
            for number, name in enumerate(code.co_varnames[: self._parameters])
            if name in code.co_cellvars
        }
        line = code.co_firstlineno
        self._def_position: Position = (line, line, None, None)

    def _slot(self, number: int) -> int:
        """The number of a variable of the template."""
        if number < self._parameters:
            return number
        return number - self._parameters + self.code.co_nlocals

    def template(self) -> list[Instruction]:
        """The template's instructions, of which each takes one variable only."""
        return _one_by_one(take_apart(self.made.code), lambda *_: True)

    def renumber(self, at: Instruction) -> None:
        """Make an instruction of the template one of the code that is made."""
        if at.op in _VARIABLES:
            at.arg = self._slot(at.arg)
            if at.arg in self._cells:
                at.op = _IN_CELLS[at.op]
        elif at.op in _CONSTS:
            at.arg += len(self.code.co_consts)
        elif at.op in _NAMES:
            at.arg += len(self.code.co_names) << facts.ATTRIBUTES_ARE_SHIFTED
        shown = at.position[0] == DEF_LINE or at.op in _LEAVES
        at.position = self._def_position if shown else NOWHERE

    def body(self) -> list[Instruction]:
        """The function's own instructions, with its cells behind our variables."""
        count, added = self.code.co_nlocals, len(self.variables)
        result = _one_by_one(
            take_apart(self.code), lambda one, two: max(one, two) >= count
        )
        for at in result:
            if at.op in _VARIABLES and at.arg >= count:
                at.arg += added
        return result


def _one_by_one(
    instructions: list[Instruction], is_split: Callable[[int, int], bool]
) -> list[Instruction]:
    """Instructions of two variables made into two where that is asked for."""
    result: list[Instruction] = []
    for at in instructions:
        result.append(at)
        if at.op not in _PAIRS:
            continue
        one, two = at.arg >> 4, at.arg & 15
        if is_split(one, two):
            first, second = _PAIRS[at.op]
            at.op, at.arg = first, one
            following = Instruction(second, two, at.position)
            following.line, following.handler = at.line, at.handler
            result.append(following)
    return result


class _Splice:
    """The instructions of a template and of the body in it."""

    def __init__(self, frame: _Frame) -> None:
        template = frame.template()
        begun = _begin(template)
        self._outer = template[begun].handler
        template = template[begun + 1 :]
        marked = frame.made.code.co_consts.index(BODY)
        self._marker = next(
            at
            for at in template
            if at.op in {_LOAD_CONST, _RETURN_CONST} and at.arg == marked
        )
        for at in template:
            frame.renumber(at)
        self._template = template
        self._place = template.index(self._marker)
        self._kept = frame.kept
        self._body = frame.body()
        handler = self._marker.handler
        self._is_guarded = handler is not None and handler[0].op == _PUSH_EXC_INFO
        self._rest = self._find_rest()

    def instructions(self) -> list[Instruction]:
        """All instructions in order."""
        begun = _begin(self._body)
        head = self._body[: begun + 1]
        for at in head:
            at.handler = self._outer
        landing = self._landing()
        inside = [*self._stash(), *self._inside(self._body[begun + 1 :], landing)]
        for at in self._template:
            if at.target is self._marker:
                at.target = inside[0]
        result = [*head, *self._template[: self._place], *inside]
        handler = self._marker.handler
        for at in self._template[self._place + 1 :]:
            if landing and handler is not None and at is handler[0]:
                result += landing
            result.append(at)
        return result

    def _stash(self) -> list[Instruction]:
        """Lay the variables that wait on the stack."""
        stash: list[Instruction] = []
        for number in self._kept:
            if _LOAD_FAST_AND_CLEAR >= 0:
                stash.append(Instruction(_LOAD_FAST_AND_CLEAR, number))
            else:
                stash.append(Instruction(_LOAD_FAST, number))
                stash.append(Instruction(_DELETE_FAST, number))
        return stash

    def _take_back(self) -> list[Instruction]:
        """Take them from below what lies on top of the stack."""
        taken: list[Instruction] = []
        for number in reversed(self._kept):
            taken += [Instruction(_SWAP, 2), Instruction(_STORE_FAST, number)]
        return taken

    def _landing(self) -> list[Instruction]:
        """What stands in front of the template's handler for exceptions of the body."""
        return self._take_back() if self._is_guarded else []

    def _inside(
        self, body: list[Instruction], landing: list[Instruction]
    ) -> list[Instruction]:
        """The body, made to go on with the rest of the template."""
        outside = self._marker.handler
        if landing and outside is not None:
            outside = (landing[0], 2 * len(self._kept))
        result: list[Instruction] = []
        for at in body:
            if at.handler is None:
                at.handler = outside
            else:
                at.handler = (at.handler[0], at.handler[1] + 2 * len(self._kept))
            result.append(at)
            if self._is_guarded:
                _stand_deeper(at)
            if at.op in {_RETURN_VALUE, _RETURN_CONST}:
                result += self._go_on(at)
        if len(result) > _INSTRUCTIONS_LIMIT:
            raise ValueError(f"it would have {len(result)} instructions")
        return result

    def _go_on(self, at: Instruction) -> list[Instruction]:
        """What follows a `return`, which becomes the first instruction of it."""
        if not self._kept and [part.op for part in self._rest] == [_RETURN_VALUE]:
            return []
        position = at.position
        if position[0] is None:
            position = (at.line, at.line, None, None)
        following = [*self._take_back(), *_copied(self._rest)]
        for part in following:
            part.position = position
        if at.op == _RETURN_CONST:
            at.op = _LOAD_CONST
            return following
        first = following.pop(0)
        at.op, at.arg, at.target = first.op, first.arg, first.target
        at.units, at.handler = first.units, first.handler
        return following

    def _find_rest(self) -> list[Instruction]:
        """What of the template may run behind the body, but for its handlers."""
        if self._marker.op == _RETURN_CONST:
            return [Instruction(_RETURN_VALUE)]
        template, start = self._template, self._place + 1
        numbers = {id(at): number for number, at in enumerate(template)}
        shared = {
            id(handler[0])
            for handler in (self._marker.handler, self._outer)
            if handler is not None
        }
        seen: set[int] = set()
        work = [start]
        while work:
            number = work.pop()
            if number in seen:
                continue
            seen.add(number)
            at = template[number]
            if at.falls_through:
                work.append(number + 1)
            if at.target is not None:
                work.append(numbers[id(at.target)])
            if at.handler is not None and id(at.handler[0]) not in shared:
                work.append(numbers[id(at.handler[0])])
        if min(seen) != start:
            raise ValueError("what follows the body begins in front of it")
        return [template[number] for number in sorted(seen)]


def _begin(instructions: list[Instruction]) -> int:
    """Where the interpreter has set the frame up and the function begins."""
    return next(n for n, at in enumerate(instructions) if at.op == _RESUME)


def _stand_deeper(at: Instruction) -> None:
    """Tell a generator's `close()` that there is a handler of ours around a yield."""
    if facts.YIELD_TELLS_DEPTH and at.op == _YIELD_VALUE:
        at.arg += 1
    elif facts.RESUME_TELLS_DEPTH and at.op == _RESUME:
        at.arg &= ~_AT_DEPTH_ONE


def _copied(instructions: list[Instruction]) -> list[Instruction]:
    """The same once more, with jumps and handlers that lead within it."""
    copies: dict[int, Instruction] = {}
    for at in instructions:
        copy = copies[id(at)] = Instruction(at.op, at.arg)
        copy.line, copy.units = at.line, at.units
    for at in instructions:
        copy = copies[id(at)]
        if at.target is not None:
            copy.target = copies.get(id(at.target), at.target)
        if at.handler is not None:
            target, depth = at.handler
            copy.handler = (copies.get(id(target), target), depth)
    return list(copies.values())
