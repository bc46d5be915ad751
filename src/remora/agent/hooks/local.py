"""Local hooks: a person's own function as a step, taking the arguments it names."""

from __future__ import annotations

import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING

from remora.agent.hooks.outcomes import refusal
from remora.agent.interception import (
    ARGS,
    CALL,
    ERROR,
    KWARGS,
    RESULT,
    PhaseName,
    Slot,
    Step,
)
from remora.agent.runtime import signals
from remora.agent.targets import Nature
from remora.agent.targets.code import CO_COROUTINE, CO_VARARGS, CO_VARKEYWORDS
from remora.errors import HookError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.targets import Site

FAULTS_ALLOWED = 3
"""Exceptions that may escape a hook before it is switched off: one may be bad luck with
odd arguments, three in a row of calls is a hook that does not fit its target."""

_EXTRAS: dict[str, tuple[str, frozenset[str]]] = {
    "result": (RESULT, frozenset({"post"})),
    "error": (ERROR, frozenset({"fail"})),
    "call": (CALL, frozenset({"pre", "post", "fail"})),
    "args": (ARGS, frozenset({"pre", "post", "fail"})),
    "kwargs": (KWARGS, frozenset({"pre", "post", "fail"})),
}


class LocalHook:
    """One function in one phase, contained: its faults are counted, never raised."""

    __slots__ = ("errors", "function", "last_error", "name", "phase", "slot")

    def __init__(self, function: Callable[..., object], phase: PhaseName) -> None:
        if not callable(function):
            raise HookError(f"{phase} = {function!r} cannot be called")
        self.function = function
        self.phase: PhaseName = phase
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.slot = Slot([True])
        self.errors = 0
        self.last_error = ""

    def step(self, site: Site) -> Step:
        """This hook as a step at `site`. Raises HookError where it does not fit."""
        awaits = _is_coroutine_function(self.function)
        if awaits and site.nature not in {Nature.COROUTINE, Nature.ASYNC_GENERATOR}:
            raise HookError(
                f"{self.phase} hook {self.name} is a coroutine function, but "
                f"{site.target} is no coroutine: nothing there could await it"
            )
        names = frozenset(site.parameters)
        stars = (site.var_positional, site.var_keyword)

        def check(outcome: object) -> object:
            reason = refusal(outcome, self.phase, names, stars)
            if not reason:
                return outcome
            self._count(reason)
            return None

        return Step(
            phase=self.phase,
            call=self.function,
            wants=self._wants(site),
            fault=self._fault_awaiting if awaits else self._fault,
            check=check,
            slot=self.slot,
            guarded=not awaits,
            awaits=awaits,
        )

    def _wants(self, site: Site) -> tuple[str, ...]:
        """What to hand over, in the order of the hook's own parameters."""
        own = {*site.parameters, site.var_positional, site.var_keyword} - {""}
        wants: list[str] = []
        skipped = ""
        for name, optional in _parameters(self.function, self.name):
            want = name if name in own else self._extra(name)
            if want is None:
                if not optional:
                    raise HookError(self._unknown(name, site, own))
                skipped = name
            elif skipped:
                raise HookError(
                    f"{self.phase} hook {self.name}: parameter {skipped!r} is unknown "
                    f"at {site.target} and stands before {name!r}: put it last"
                )
            else:
                wants.append(want)
        return tuple(wants)

    def _extra(self, name: str) -> str | None:
        token, phases = _EXTRAS.get(name.removeprefix("remora_"), ("", frozenset()))
        return token if self.phase in phases else None

    def _unknown(self, name: str, site: Site, own: set[str]) -> str:
        extras = {n for n, (_, phases) in _EXTRAS.items() if self.phase in phases}
        hint = suggest(name, [*own, *extras])
        return (
            f"{self.phase} hook {self.name} asks for {name!r}, but {site.target} has "
            f"{', '.join(sorted(own)) or 'no parameters'}, and the {self.phase} phase "
            f"offers {', '.join(sorted(extras))}{hint}"
        )

    def _fault(self, error: BaseException) -> None:
        try:
            if not signals.is_interruption(error):
                self._count(describe(error))
                return
        except (MemoryError, RecursionError):
            return  # there is no room even to say so; the next fault will say it
        raise error

    def _fault_awaiting(self, error: BaseException) -> None:
        """In an `async def` hook the app's own cancellation and close pass through."""
        if isinstance(error, GeneratorExit) or _is_cancellation(error):
            raise error
        self._fault(error)

    def _count(self, what: str) -> None:
        self.errors += 1
        self.last_error = what
        if self.errors >= FAULTS_ALLOWED:
            self.slot.clear()


def describe(error: BaseException) -> str:
    """Type and first text argument of an exception, without running its code."""
    name = type(error).__name__
    args = BaseException.args.__get__(error)  # pyright: ignore[reportAttributeAccessIssue]
    if args and type(args[0]) is str:
        return f"{name}: {args[0][:200]}"
    return name


def _is_cancellation(error: BaseException) -> bool:
    """Whether the app cancels the task, and not the hook something of its own."""
    trio = sys.modules.get("trio")
    if isinstance(error, getattr(trio, "Cancelled", ())):
        return True
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False  # somebody drives this coroutine without asyncio
    return task is not None and task.cancelling() > 0


def _is_coroutine_function(function: Callable[..., object]) -> bool:
    code = getattr(function, "__code__", None)
    return bool(code is not None and code.co_flags & CO_COROUTINE)


def _parameters(function: Callable[..., object], name: str) -> list[tuple[str, bool]]:
    """Names of a hook's positional parameters, and whether each has a default."""
    bound = True
    plain: object = function
    if isinstance(function, MethodType):
        plain = function.__func__
    elif isinstance(function, FunctionType):
        bound = False
    else:
        plain = type.__getattribute__(type(function), "__call__")
    if not isinstance(plain, FunctionType):
        raise HookError(
            f"hook {name} is no Python function, so it does not say which arguments it "
            "takes: wrap it in a function or lambda"
        )
    code = plain.__code__
    if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS) or code.co_kwonlyargcount:
        raise HookError(
            f"hook {name} has *, ** or keyword-only parameters: name plain ones; args "
            "and kwargs as plain parameters give all arguments of the call"
        )
    names = code.co_varnames[: code.co_argcount]
    first_default = len(names) - len(plain.__defaults__ or ())
    rows = [(n, position >= first_default) for position, n in enumerate(names)]
    return rows[1:] if bound else rows
