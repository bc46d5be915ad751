"""A trial of code with steps inside, in this interpreter, before the app's is touched.

A generator with a cell, loops, handlers, a `with` and several returns, and a plain
function get steps in every phase. They have to give what they gave before, the steps
have to come in order with what they want, and nothing may be left on the stack.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING

from remora.agent.config import self_tests_must_fail
from remora.agent.interception.inline import inline
from remora.agent.interception.plan import DURATION_MS, ERROR, RESULT, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from remora.agent.interception.plan import AppValue

_TEXT = """
def plain(n, *rest, key=None, **more):
    seen = sorted(locals())
    for i in rest:
        try:
            if i == n:
                return i, seen
            if i < 0:
                raise KeyError(i)
        except KeyError as caught:
            if n:
                raise
            n = caught.args[0]
        finally:
            seen.append(i)
    del i
    return n, key, more, seen

def generator(n, *rest, key=None, **more):
    def within():
        return n
    for i in rest:
        try:
            n += yield i, within()
        except ValueError:
            yield "caught"
        with key:
            if i < 0:
                return within(), [x for x in rest]
    raise KeyError(n)
"""

_CALLS: list[tuple[int, ...]] = [(2, 1, 2), (0, -1, 1), (1, -1), (5, 6), (5, 1, -1)]


class _Entered:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _Proceed:
    """A driver of steps that never ask for anything."""

    arguments = _Entered
    unbound: AppValue = None

    @staticmethod
    def give(outcome: object) -> AppValue:
        return outcome

    @staticmethod
    def rebind(
        outcome: object,
        names: tuple[str, ...],
        stars: tuple[str, str],
        args: tuple[AppValue, ...],
        kwargs: dict[str, AppValue],
    ) -> tuple[tuple[AppValue, ...], dict[str, AppValue]]:
        del outcome, names, stars
        return (args[0] + 1, *args[1:]), kwargs

    @staticmethod
    def call(
        site: str, started: int, names: tuple[str, ...], values: tuple[AppValue, ...]
    ) -> object:
        return site, started, names, values


@cache
def failure() -> str:
    """What went wrong in the trial; "" when all was well."""
    if self_tests_must_fail():
        return "self-tests are set to fail"
    for name in ("plain", "generator"):
        try:
            problem = _try(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, this way is closed
            return f"{type(error).__name__}: {error}"
        if problem:
            return problem
    return ""


def _try(name: str) -> str:
    told: list[tuple[object, ...]] = []
    try:
        return _compare(name, told)
    finally:
        # An error in it leads to the frames of whoever asked, and the collector does
        # not see it: it is held by constants of the code that those frames ran.
        told.clear()


def _compare(name: str, told: list[tuple[object, ...]]) -> str:
    names: dict[str, object] = {}
    exec(compile(_TEXT, "<remora trial>", "exec"), names)  # noqa: S102 - our own text
    function = names[name]
    assert isinstance(function, FunctionType)
    expected = [_outcome(function, (n + 1, *rest)) for n, *rest in _CALLS]
    code = function.__code__
    function.__code__ = _with_steps(code, told)
    results = [_outcome(function, call) for call in _CALLS]
    function.__code__ = code
    if results != expected:
        return f"it gave {results} and not {expected}"
    kinds = "".join(str(entry[0])[:2] for entry in told)
    wanted = "".join(
        "prfa" if type(result[-1]) is str else "prpo" for result in expected
    )
    starts, ends = told[::2], told[1::2]
    if kinds != wanted or [e[-1] for e in starts] != [e[-1] for e in ends]:
        return f"steps came as {told}"
    return ""


def _with_steps(code: CodeType, told: list[tuple[object, ...]]) -> CodeType:
    def step(phase: str, wants: tuple[str, ...]) -> Step:
        def note(*values: object) -> object:
            told.append((phase, *values))
            return changed if phase == "pre" else None

        return Step(phase, note, (*wants, "n"), told.append, _pass_on)  # pyright: ignore[reportArgumentType] - phases in order

    changed = _Entered()
    steps = (
        step("pre", ()),
        step("post", (RESULT, DURATION_MS, "rest", "more")),
        step("fail", (ERROR,)),
    )
    return inline(code, "trial", steps, _Proceed())


def _pass_on(outcome: object) -> object:
    return outcome


def _outcome(function: Callable[..., AppValue], call: tuple[int, ...]) -> list[object]:
    """What a call gives, item by item where it is a generator."""
    try:
        made = function(*call, key=_ENTERED, other=1)
        if type(made) is tuple:
            return [made]
        items: list[object] = [next(made)]
        try:
            while True:
                items.append(made.send(len(items)))
        except StopIteration as ended:
            return [*items, ended.value]
    except KeyError as error:
        return [repr(error)]


_ENTERED = _Entered()
