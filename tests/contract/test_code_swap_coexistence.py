"""Other tools on the same functions: on top of us, below us, and gone again."""

from __future__ import annotations

import bdb
import functools
import inspect
import io
import pdb  # noqa: T100 - a debugger is what this is about
from collections.abc import Callable
from types import FunctionType, ModuleType
from unittest import mock

import pytest

from remora.agent.probes import Handle, Probes
from remora.errors import HookError
from remora.protocol import parse_probe

pytestmark = pytest.mark.usefixtures("mechanism")

Hook = Callable[..., Handle]


@pytest.fixture
def seen() -> list[object]:
    return []


def swap(function: FunctionType) -> Callable[[], None]:
    """Do what another tool does that swaps code; returns its undo."""
    found = function.__code__

    def theirs(value, extra=2):
        return "theirs", value

    function.__code__ = theirs.__code__

    def undo() -> None:
        function.__code__ = found

    return undo


def test_removal_does_not_restore_blindly_under_another_tool(
    app: ModuleType, hook: Hook, probes: Probes, seen: list[object]
) -> None:
    original = app.function.__code__
    handle = hook("function", pre=lambda: seen.append("hook"))
    ours = app.function.__code__
    undo = swap(app.function)
    theirs = app.function.__code__
    handle.remove()
    assert app.function.__code__ is theirs
    assert app.function(1) == ("theirs", 1)
    assert probes.hooks.settle() == 1
    undo()
    assert app.function.__code__ is ours
    assert app.function(1) == (1, 2)
    assert seen == []
    assert probes.hooks.settle() == 0
    assert app.function.__code__ is original


def test_a_hook_can_return_before_what_was_left_has_settled(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    original = app.function.__code__
    first = hook("function", pre=lambda: seen.append("first"))
    undo = swap(app.function)
    first.remove()
    undo()
    second = hook("function", pre=lambda: seen.append("second"))
    app.function(1)
    assert seen == ["second"]
    second.remove()
    assert app.function.__code__ is original


def test_another_hook_under_a_foreign_tool_is_refused_with_the_reason(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    first = hook("function", pre=lambda: seen.append("first"))
    undo = swap(app.function)
    with pytest.raises(HookError, match="another tool has replaced the code"):
        hook("function", pre=lambda: seen.append("second"))
    undo()
    app.function(1)
    assert seen == ["first"]
    first.remove()


def test_one_of_two_hooks_is_off_though_another_tool_stands_on_top(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    original = app.function.__code__
    first = hook("function", pre=lambda: seen.append("first"))
    second = hook("function", pre=lambda: seen.append("second"))
    undo = swap(app.function)
    first.remove()
    undo()
    app.function(1)
    assert seen == ["second"]
    second.remove()
    assert app.function.__code__ is original


def test_a_probe_is_off_though_another_tool_stands_on_top(
    app: ModuleType, probes: Probes
) -> None:
    reported: list[object] = []
    probes.put = lambda record, size: reported.append(record) or True
    original = app.function.__code__
    probes.add(
        [
            parse_probe(
                {"id": "p", "target": f"{app.__name__}:function", "count": True}
            ),
            parse_probe({"id": "q", "target": f"{app.__name__}:function", "log": "x"}),
        ]
    )
    app.function(1)
    undo = swap(app.function)
    probes.remove(["p", "q"])
    told = len(reported)
    undo()
    app.function(1)
    assert len(reported) == told
    probes.hooks.settle()
    assert app.function.__code__ is original


def test_a_wrapper_of_another_tool_on_top_calls_us(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    original = app.function
    code = original.__code__

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        seen.append("wrapper")
        return original(*args, **kwargs)

    handle = hook("function", pre=lambda: seen.append("hook"))
    app.function = wrapper
    assert app.function(1) == (1, 2)
    assert seen == ["wrapper", "hook"]
    handle.remove()
    assert original.__code__ is code
    assert app.function is wrapper


def test_mock_patch_on_top_hides_the_hook_while_it_lasts(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    handle = hook("function", pre=lambda: seen.append("hook"))
    with mock.patch.object(app, "function", return_value="mocked"):
        assert app.function(1) == "mocked"
        assert seen == []
    app.function(1)
    assert seen == ["hook"]
    handle.remove()


def test_removal_while_a_mock_is_on_top_restores_the_function_below(
    app: ModuleType, hook: Hook
) -> None:
    function, code = app.function, app.function.__code__
    handle = hook("function", pre=lambda: None)
    with mock.patch.object(app, "function"):
        handle.remove()
        assert function.__code__ is code
    assert app.function is function


def test_mock_autospec_of_a_hooked_function_keeps_its_signature(
    app: ModuleType, hook: Hook
) -> None:
    hook("function", pre=lambda: None)
    with mock.patch.object(app, "function", autospec=True) as double:
        app.function(1, extra=3)
        double.assert_called_once_with(1, extra=3)
        with pytest.raises(TypeError):
            app.function()


def test_a_mock_in_the_place_of_a_target_is_called_as_before(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    with mock.patch.object(app, "function") as double:
        handle = hook("function", pre=lambda: seen.append("hook"))
        assert double.mock_calls == []
        app.function(1)
        double.assert_called_once_with(1)
        handle.remove()
    assert seen == ["hook"]
    assert app.function(1) == (1, 2)


def test_code_replaced_below_us_by_assignment_stays_theirs(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    undo = swap(app.function)
    theirs = app.function.__code__
    handle = hook("function", pre=lambda: seen.append("hook"))
    assert app.function(1) == ("theirs", 1)
    assert seen == ["hook"]
    handle.remove()
    assert app.function.__code__ is theirs
    undo()
    assert app.function(1) == (1, 2)


def debug(call: Callable[[], object], *commands: str) -> str:
    """What pdb says to these commands while it runs a call."""
    typed, said = io.StringIO("\n".join(commands) + "\n"), io.StringIO()
    bdb.Breakpoint.clearBreakpoints()  # they are numbered from 1 on again
    debugger = pdb.Pdb(stdin=typed, stdout=said, nosigint=True, readrc=False)
    debugger.use_rawinput = False
    debugger.runcall(call)
    return said.getvalue()


def test_pdb_shows_the_function_as_it_is(
    app: ModuleType, hook: Hook, seen: list[object]
) -> None:
    lines, first = inspect.getsourcelines(app.function)
    body = f"{app.__file__}:{first + len(lines) - 1}"
    at_body = (f"tbreak {body}", "continue", "args", "next", "p __return__", "continue")
    stepping = ("step",) * 8 + ("continue",)

    def call() -> object:
        return app.function(1)

    bare, bare_steps = debug(call, *at_body), debug(call, *stepping)
    assert "value = 1" in bare
    assert "(1, 2)" in bare
    handle = hook("function", pre=lambda value: seen.append(value))
    assert debug(call, *at_body) == bare
    assert "return judge(value), extra" in debug(call, *stepping, "continue")
    assert seen == [1, 1]
    handle.remove()
    assert debug(call, *stepping) == bare_steps
