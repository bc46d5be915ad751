from __future__ import annotations

import dis
import sys

import pytest

from remora.agent.hooks import HookTable
from remora.agent.interception import Step, function_version
from remora.agent.targets import Site, SiteKind


def site_of(function) -> Site:
    return Site(
        module=__name__,
        qualname=function.__qualname__,
        kind=SiteKind.FUNCTION,
        owner={},
        name=function.__name__,
        holder=function,
        function=function,
        code=function.__code__,
        own=True,
        file=__file__,
        line=1,
        note="",
    )


def contain(error: BaseException) -> None:
    raise error


@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="only 3.13 forgets them")
def test_the_version_of_a_function_survives_a_hook() -> None:
    def target() -> int:
        return 1

    before = function_version.read(target)
    assert before != 0
    installed = HookTable().install(
        site_of(target), Step("pre", lambda: None, (), contain, None)
    )
    assert function_version.read(target) == before
    assert installed.remove()
    assert function_version.read(target) == before


@pytest.mark.skipif(sys.version_info[:2] == (3, 13), reason="3.13 forgets them")
def test_other_versions_are_left_alone() -> None:
    assert function_version.read(site_of) == 0
    function_version.write(site_of, 7)
    function_version.give_new(site_of)
    assert function_version.read(site_of) == 0


def test_calls_are_specialised_while_hooked_and_after() -> None:
    def target(value):
        return value

    def caller() -> None:
        for number in range(500):
            target(number)

    def specialised() -> bool:
        names = {i.opname for i in dis.get_instructions(caller, adaptive=True)}
        return any(name.startswith(("CALL_PY", "CALL_BOUND")) for name in names)

    caller()
    installed = HookTable().install(
        site_of(target), Step("pre", lambda: None, (), contain, None)
    )
    for _ in range(5):
        caller()
    assert specialised()
    installed.remove()
    for _ in range(5):
        caller()
    assert specialised()
