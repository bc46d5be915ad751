"""state: what probes note for each other, within one request or else one task.

A request that is open owns it; outside one it belongs to the task, or to the thread
where there are no tasks. Values are plain, so that nothing of the app is kept alive.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from remora.agent.request.context import State, current_request, held, hold
from remora.expression import Missing, render_text

if TYPE_CHECKING:
    from remora.agent.interception import AppValue

NAMES_LIMIT = 100
"""Names of one state: a probe sets up to twenty, and a handful work together."""

_TEXT_LIMIT = 1000
_INT_BITS = 1000

_EMPTY = State()
_state: ContextVar[set[State] | None] = ContextVar("remora_state", default=None)


def current_state() -> State:
    """What was noted so far, for expressions to read."""
    request = current_request()
    state = held(_state.get()) if request is None else request.state
    return _EMPTY if state is None else state


def note(names: tuple[str, ...], values: tuple[AppValue, ...]) -> None:
    """Set these names; a value that is missing takes its name away."""
    request = current_request()
    state = held(_state.get()) if request is None else request.state
    if state is None:
        state = State()
        if request is None:
            _state.set(hold(state))
        else:
            request.state = state
    own = state.__dict__
    for name, value in zip(names, values, strict=True):
        if type(value) is Missing:
            own.pop(name, None)
        elif name in own or len(own) < NAMES_LIMIT:
            own[name] = _plain(value)


def _plain(value: AppValue) -> object:
    """The value itself where it is plain and small, else its text."""
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is int and value.bit_length() <= _INT_BITS:
        return value
    if kind is str:
        return value[:_TEXT_LIMIT]
    return render_text(value)[:_TEXT_LIMIT]
