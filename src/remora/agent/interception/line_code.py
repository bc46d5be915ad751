"""Line probes by injected bytecode, where the interpreter cannot report lines.

Code is never changed in place: a function gets another code object with calls in it,
and the original back when the last probe of it leaves. Code within other code
(closures, comprehensions) is a constant of it, so all functions around it get new code
as well, and closures made later are reached. Frames that run already keep the code they
began with: the calls in it do nothing any more once their probe is removed. The body of
a module is such a frame, and nothing but: where it is still running (`__main__`), the
functions that it is about to define are exchanged among its constants.

All changes happen under the lock of the table of hooks.
"""

from __future__ import annotations

import gc
from _weakref import ref
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception.inlined import inlined_with
from remora.agent.interception.line_call import make_call
from remora.agent.interception.line_injection import Gate, bound_names, inject
from remora.agent.runtime import code_constants, facts
from remora.agent.runtime.frame_locals import CO_OPTIMIZED
from remora.agent.targets import (
    INJECTION_MARK,
    all_code,
    code_to_clone,
    is_trampoline,
    without_injection,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.interception.inlined import Inlined
    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets.site import MaybeFunction

MECHANISM = "injected bytecode"
WHY = (
    "a line: a call was put into the bytecode, since lines cannot be reported {}; "
    "frames that run already are not reached"
)

_gates: dict[int, tuple[CodeType, dict[int, Gate]]] = {}
"""By the identity of original code: the code, and what is to be called at its lines."""

_bodies: list[ref[CodeType]] = []
"""Bodies of modules among whose constants some were exchanged."""


def why_not_reported() -> str:
    """Why lines are not reported by the interpreter, in the middle of a sentence."""
    if facts.CAN_MONITOR:
        return "now: other tools use every free identifier of sys.monitoring"
    return "in this interpreter: it has no sys.monitoring"


class LineInjection:
    """The interception of one line. Made by `interception.intercept`."""

    __slots__ = (
        "_code",
        "_function",
        "_line",
        "_namespace",
        "_slots",
        "_unbound",
        "mechanism",
        "why",
    )

    def __init__(
        self,
        code: CodeType,
        line: int,
        namespace: dict[str, AppValue],
        function: FunctionType | None,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY.format(why_not_reported())
        self._code = code
        self._line = line
        self._namespace = namespace
        self._function: MaybeFunction = function
        self._unbound = driver.unbound
        self._slots: dict[int, list[bool]] = {}
        self.update(steps)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps in calls to come. Raises ValueError, with nothing done."""
        wanted = {name for step in steps for name in step.wants}
        names = tuple(sorted(wanted & bound_names(self._code, self._line)))
        slots = {id(step): self._slots.get(id(step), [True]) for step in steps}
        call = make_call(self._code, steps, list(slots.values()), names, self._unbound)
        gate = Gate(call, names)
        _, gates = _gates.setdefault(id(self._code), (self._code, {}))
        before = gates.get(self._line)
        gates[self._line] = gate
        try:
            _bring_up_to_date(self._code, self._namespace, self._function)
        except ValueError:
            _put_gate(self._code, self._line, before)
            raise
        for identifier, slot in self._slots.items():
            if identifier not in slots:
                slot.clear()
        self._slots = slots

    def remove(self) -> bool:
        """Put the identical code back. May be called twice."""
        for slot in self._slots.values():
            slot.clear()
        _put_gate(self._code, self._line, None)
        _bring_up_to_date(self._code, self._namespace, self._function)
        return True


def _put_gate(code: CodeType, line: int, gate: Gate | None) -> None:
    _, gates = _gates.setdefault(id(code), (code, {}))
    if gate is not None:
        gates[line] = gate
        return
    gates.pop(line, None)
    if not gates:
        del _gates[id(code)]


def _bring_up_to_date(
    code: CodeType, namespace: dict[str, AppValue], function: FunctionType | None
) -> None:
    """Give every function that has the code, or has it inside, its present version.

    First all versions are made, then they are put in place: a failure changes nothing.
    """
    versions: dict[int, CodeType] = {}
    changes: list[tuple[FunctionType, CodeType]] = []
    moves: list[tuple[Inlined, CodeType, CodeType]] = []
    is_found = False
    for holder in _functions(namespace, function):
        present = holder.__code__
        if is_trampoline(present) and code_to_clone(present) is None:
            continue  # its clone has the original code and is a function like others
        original = without_injection(present)
        if not any(inner is code for inner in all_code(original)):
            continue
        if not original.co_flags & CO_OPTIMIZED:
            is_found = _note_body(original) or is_found
            continue
        version = _same_version(original, versions)
        inlined = inlined_with(present)
        if inlined is None and version is not present:
            changes.append((holder, version))
        elif inlined is not None and version is not inlined.code:
            moves.append((inlined, version, inlined.around(version)))
        is_found = True
    if not is_found and id(code) in _gates:
        raise ValueError("no function that runs it was found")
    exchanges = [
        each for body in _live_bodies() for each in _exchanges_in(body, versions)
    ]
    for holder, version in changes:
        holder.__code__ = version
    for inlined, version, made in moves:
        inlined.move(version, made)
    for body, position, version in exchanges:
        code_constants.exchange(body, position, version)


def _note_body(body: CodeType) -> bool:
    """Whether the body of a module can be reached while it runs."""
    if code_constants.CAN_EXCHANGE and not any(body is each for each in _live_bodies()):
        _bodies.append(ref(body, _bodies.remove))
    return code_constants.CAN_EXCHANGE


def _live_bodies() -> list[CodeType]:
    return [body for each in tuple(_bodies) if (body := each()) is not None]


def _exchanges_in(
    body: CodeType, versions: dict[int, CodeType]
) -> Iterator[tuple[CodeType, int, CodeType]]:
    """What is to be exchanged in the body of a module, and of the classes within."""
    for position, constant in enumerate(body.co_consts):
        if type(constant) is not CodeType or is_trampoline(constant):
            continue
        original = without_injection(constant)
        if not original.co_flags & CO_OPTIMIZED:
            yield from _exchanges_in(constant, versions)
        elif (version := _same_version(original, versions)) is not constant:
            yield body, position, version


def _same_version(code: CodeType, versions: dict[int, CodeType]) -> CodeType:
    """The version of a code object, the same wherever that stands."""
    version = versions.get(id(code))
    if version is None:
        version = versions[id(code)] = _version(code)
    return version


def _functions(
    namespace: dict[str, AppValue], function: FunctionType | None
) -> list[FunctionType]:
    """The functions of a module, and one that `gc.freeze` may have hidden."""
    found = [
        holder
        for holder in gc.get_referrers(namespace)
        if type(holder) is FunctionType and holder.__globals__ is namespace
    ]
    if function is not None and not any(holder is function for holder in found):
        found.append(function)
    return found


def _version(code: CodeType) -> CodeType:
    """The code with the calls that are wanted in it and in the code within it."""
    consts = tuple(
        _version(constant) if type(constant) is CodeType else constant
        for constant in code.co_consts
    )
    _, gates = _gates.get(id(code), (code, {}))
    is_changed = any(
        new is not old for new, old in zip(consts, code.co_consts, strict=True)
    )
    if not gates and not is_changed:
        return code
    made = inject(code, gates, consts) if gates else code.replace(co_consts=consts)
    return made.replace(co_consts=(*made.co_consts, INJECTION_MARK, code))
