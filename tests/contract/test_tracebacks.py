"""The contract for tracebacks: entry by entry the ones that the app has without us."""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Callable
from types import ModuleType

import pytest

from remora.agent.probes import Handle

Hook = Callable[..., Handle]

SUBJECTS = """
import math

def outer(value):
    return within(value)

def within(value):
    return math.sqrt(value)

async def waits(value):
    return within(value)

def yields(value):
    yield within(value)

async def yields_later(value):
    yield within(value)

async def gather(value):
    return [item async for item in yields_later(value)]

def translate(value):
    try:
        within(value)
    except ValueError as error:
        raise LookupError from error

class Stubborn(Exception):
    def __setattr__(self, name, value):
        raise TypeError(name)

def stubborn():
    raise Stubborn
"""

CALLS: dict[str, Callable[[ModuleType], object]] = {
    "outer": lambda app: app.outer(-1),
    "waits": lambda app: asyncio.run(app.waits(-1)),
    "yields": lambda app: list(app.yields(-1)),
    "yields_later": lambda app: asyncio.run(app.gather(-1)),
    "translate": lambda app: app.translate(-1),
    "stubborn": lambda app: app.stubborn(),
}


@pytest.fixture
def failing(app: ModuleType) -> ModuleType:
    exec(compile(SUBJECTS, "failing.py", "exec"), vars(app))
    return app


def entries(call: Callable[[], object]) -> list[tuple[str, int | None]]:
    """Names and lines of a failure and of what led to it, the test's own left out."""
    try:
        call()
    except Exception as error:
        found: list[tuple[str, int | None]] = []
        link: BaseException | None = error
        while link is not None:
            frames = traceback.extract_tb(link.__traceback__)
            found += [(f.name, f.lineno) for f in frames if f.filename == "failing.py"]
            link = link.__context__
        return found
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("phases", ["pre", "post", "fail", "pre post fail"])
@pytest.mark.parametrize("name", CALLS)
def test_a_traceback_is_the_one_without_a_probe(
    failing: ModuleType, hook: Hook, name: str, phases: str
) -> None:
    call = lambda: CALLS[name](failing)
    expected = entries(call)
    for target in {name, "within"}:
        hook(target, **{phase: lambda: None for phase in phases.split()})
    assert entries(call) == expected
    assert len(expected) == len(set(expected))


def test_a_redirected_c_function_is_in_no_traceback(hook: Hook, probes) -> None:
    handle = Handle("math:sqrt", {"pre": lambda: None}, probes)
    with pytest.raises(ValueError, match=r"math domain|nonnegative") as raised:
        math.sqrt(-1)
    handle.remove()
    assert [entry.name for entry in raised.traceback] == [
        "test_a_redirected_c_function_is_in_no_traceback"
    ]
