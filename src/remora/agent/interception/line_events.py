"""Line probes by sys.monitoring (3.12+): the interpreter reports the line itself.

Events are switched on for single code objects, so nothing else in the process is
slower. Within such a code object the first pass over a line without a probe answers
DISABLE, and that line costs nothing from then on. The code stays as it is: every
closure of it is reached, and frames that are running already.

All changes happen under the lock of the table of hooks. The callback takes none.
"""

from __future__ import annotations

import operator
import sys
from _weakref import ref
from typing import TYPE_CHECKING, Any

from remora.agent.interception.line_starts import first_line, returns_to
from remora.agent.interception.spliced import codes_of, followers
from remora.agent.runtime import facts, frame_locals

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from remora.agent.interception.plan import AppValue, Driver, Step

    _Runner = tuple[
        Callable[..., object],
        Callable[[FrameType], tuple[AppValue, ...]] | None,
        Callable[[BaseException], None],
    ]
    """A step's call, what reads the values it wants, and where its faults go."""

    _Gate = tuple[frozenset[int], tuple[_Runner, ...]]
    """Offsets at which a line does not begin, and what to run where it does."""

MECHANISM = "line event"

_monitoring: Any = getattr(sys, "monitoring", None)
"""Any, because the checker reads the source as 3.11, which has no such module."""

_TOOL_IDS = (4, 3, 5)
"""Identifiers that PEP 669 reserves for nobody, then the optimizers'; those of
debuggers, coverage and profilers (0, 1, 2) stay free for them."""

_TOOL_NAME = "remora"


class _Tool:
    """Our place among the tools of sys.monitoring, held while a line has a probe."""

    __slots__ = ("_watched", "identifier")

    def __init__(self) -> None:
        self.identifier = -1
        self._watched: dict[int, set[int]] = {}

    def enter(self) -> bool:
        """Take an identifier; False where other tools have them all."""
        if self.identifier >= 0:
            return True
        for identifier in _TOOL_IDS:
            try:
                _monitoring.use_tool_id(identifier, _TOOL_NAME)
            except ValueError:
                continue
            self.identifier = identifier
            # Starts are heard for MISSES_LINE_AT_START alone: the cheapest callable of
            # two arguments that does nothing.
            self._call_back(_on_line, operator.is_)
            return True
        return False

    def _call_back(self, line: object, start: object) -> None:
        events = _monitoring.events
        _monitoring.register_callback(self.identifier, events.LINE, line)
        _monitoring.register_callback(self.identifier, events.PY_START, start)

    def listen(self, code: CodeType, line: int) -> None:
        """Hear of a line of a code object, also where it has been disabled.

        `restart_events` would enable again what other tools have disabled, everywhere.
        Off and on does so in this code object alone. Both happen inside one call of C,
        so no other thread can pass a line in between unheard.
        """
        lines = self._watched.setdefault(id(code), set())
        lines.add(line)
        tool = self.identifier
        events = _monitoring.events.LINE
        if facts.MISSES_LINE_AT_START and first_line(code) in lines:
            events |= _monitoring.events.PY_START
        off_and_on = (0, events)
        tuple(map(_monitoring.set_local_events, (tool, tool), (code, code), off_and_on))

    def ignore(self, key: tuple[int, int], code: CodeType | None) -> None:
        """Hear no more of a line; gives the identifier back with the last one.

        `code` is None where it has been collected, and its events with it.
        """
        identity, line = key
        lines = self._watched[identity]
        lines.discard(line)
        if lines:
            return  # the next pass over the line disables it
        if code is not None:
            _monitoring.set_local_events(self.identifier, code, 0)
        del self._watched[identity]
        if not self._watched:
            self._call_back(None, None)
            _monitoring.free_tool_id(self.identifier)
            self.identifier = -1


_tool = _Tool()
_gates: dict[tuple[int, int], _Gate] = {}
_DISABLE: object = getattr(_monitoring, "DISABLE", None)
_REMOVED: _Gate = (frozenset(), ())


def _on_line(code: CodeType, line: int) -> object:
    """Run the steps of a line; called by the interpreter, in the app's thread.

    Between the look for the line and the answer DISABLE stands no call: only after
    calls may threads switch, and one that installs a probe on this very line just then
    would have it disabled again.
    """
    key = (id(code), line)
    if key not in _gates:
        return _DISABLE
    returns, runners = _gates.get(key, _REMOVED)
    if returns and sys._getframe(1).f_lasti in returns:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the frame
        return _DISABLE
    for call, read, fault in runners:
        try:
            if read is None:
                call()
            else:
                call(*read(sys._getframe(1)))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as above
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            fault(error)
    return None


_events: dict[int, list[LineEvent]] = {}
"""By the identity of the app's code: the interceptions of its lines."""


def _follow(code: CodeType) -> None:
    """Watch lines in what runs in place of this code from now on."""
    for event in _events.get(id(code), ()):
        event.watch(code, codes_of(code))


def _forget(key: tuple[int, int]) -> None:
    """A code object has been collected: what is known of it goes."""
    _gates.pop(key, None)


followers.append(_follow)


class LineEvent:
    """The interception of one line. Made by `try_line_event`.

    It holds the code weakly; what is known of it goes before its identity is free.
    """

    __slots__ = (
        "_code",
        "_identity",
        "_line",
        "_runners",
        "_unbound",
        "_watched",
        "mechanism",
        "why",
    )

    def __init__(
        self, code: CodeType, line: int, steps: tuple[Step, ...], driver: Driver
    ) -> None:
        self.mechanism = MECHANISM
        self.why = (
            f"a line: sys.monitoring reports it (tool id {_tool.identifier}), the code "
            "stays as it is, and every closure and running frame of it is reached"
        )
        self._code = ref(code)
        self._identity = id(code)
        self._line = line
        self._unbound = driver.unbound
        self._watched: dict[tuple[int, int], Callable[[], CodeType | None]] = {}
        _events.setdefault(id(code), []).append(self)
        self.update(steps)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next time on."""
        code = self._code()
        if code is None:
            return  # nobody can run it
        self._runners = tuple(self._runner(code, step) for step in steps)
        self.watch(code, codes_of(code))

    def remove(self) -> bool:
        """Leave no event behind. May be called twice."""
        events = _events.get(self._identity, [])
        if self in events:
            events.remove(self)
            if not events:
                del _events[self._identity]
        self._ignore(frozenset())
        return True

    def watch(self, original: CodeType, codes: tuple[CodeType, ...]) -> None:
        """Hear of the line in these code objects, and in no others."""
        if self._code() is not original:
            return  # another one has its identity by now
        for code in codes:
            key = (id(code), self._line)
            _gates[key] = (returns_to(code, self._line), self._runners)
            known = self._watched.get(key)
            if known is None or known() is not code:
                self._watched[key] = ref(code, lambda _, key=key: _forget(key))
                _tool.listen(code, self._line)
        self._ignore(frozenset(id(code) for code in codes))

    def _ignore(self, kept: frozenset[int]) -> None:
        for key in [key for key in self._watched if key[0] not in kept]:
            _gates.pop(key, None)
            _tool.ignore(key, self._watched.pop(key)())

    def _runner(self, code: CodeType, step: Step) -> _Runner:
        read = None
        if step.wants:
            read = frame_locals.reader(code, step.wants, self._unbound)
        return step.call, read, step.fault


def try_line_event(
    code: CodeType, line: int, steps: tuple[Step, ...], driver: Driver
) -> LineEvent | None:
    """Let the interpreter report a line; None where it cannot, or has no id left."""
    if not facts.CAN_MONITOR or not _tool.enter():
        return None
    return LineEvent(code, line, steps, driver)
