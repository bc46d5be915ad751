"""A trial of injected bytecode, in this very interpreter, before the app's is touched.

A function with loops, handlers, a `with` and a generator gets a call at every line. It
has to give what it gave before, and the calls have to come in the order of the lines.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType

from remora.agent.config import self_tests_must_fail
from remora.agent.interception.line_injection import Gate, inject
from remora.agent.targets.code import lines_of

_TEXT = """
def trial(n, enter):
    total = 0
    for i in range(n):
        try:
            if i == 1:
                continue
            with enter as value:
                total += value
                if i == 3:
                    raise KeyError(i)
        except KeyError as caught:
            total += caught.args[0]
        finally:
            total += 1
        yield total
    while total > 3:
        total -= 2
    return max(
        total,
        n)
"""
_ARGUMENT = 5
_LINES = (
    "3 4 5 6 8 9 10 15 16 4 5 6 7 15 4 5 6 8 9 10 15 16 4 5 6 8 9 10 11 12 13 15 16 4"
)


class _Entered:
    def __enter__(self) -> int:
        return 10

    def __exit__(self, *_: object) -> None:
        pass


@cache
def failure() -> str:
    """What went wrong in the trial; "" when all was well."""
    if self_tests_must_fail():
        return "self-tests are set to fail"
    names: dict[str, object] = {}
    exec(compile(_TEXT, "<remora trial>", "exec"), names)  # noqa: S102 - our own text
    function = names["trial"]
    assert isinstance(function, FunctionType)
    expected = _outcome(function)
    calls: list[tuple[int, object]] = []
    code = function.__code__
    gates = {
        line: Gate(lambda n, line=line: calls.append((line, n)), ("n",))
        for line in lines_of(code)
    }
    try:
        function.__code__ = inject(code, gates, code.co_consts)
        result = _outcome(function)
    except Exception as error:  # noqa: BLE001 - whatever it is, this way is closed
        return f"{type(error).__name__}: {error}"
    if result != expected:
        return f"it gave {result} and not {expected}"
    came = " ".join(str(line) for line, _ in calls)
    if not came.startswith(_LINES) or {n for _, n in calls} != {_ARGUMENT}:
        return f"calls came at {came}"
    return ""


def _outcome(function: FunctionType) -> list[object]:
    generator = function(_ARGUMENT, _Entered())
    items: list[object] = []
    while True:
        try:
            items.append(next(generator))
        except StopIteration as ended:
            return [*items, ended.value]
