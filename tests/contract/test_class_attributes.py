"""The contract for methods of C types, and for what a subclass inherits."""

from __future__ import annotations

import _io
import inspect
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import type_object
from remora.errors import HookError

Install = Callable[..., Handle]

needs_memory = pytest.mark.skipif(
    not type_object.CAN_CHANGE, reason="immutable types stay as they are here"
)


@pytest.fixture
def install(probes: Probes) -> Install:
    return lambda target, **phases: Handle(target, phases, probes)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


class Cursor(sqlite3.Cursor):
    pass


@needs_memory
def test_every_phase_of_a_c_method(
    install: Install, connection: sqlite3.Connection
) -> None:
    seen: list[Any] = []
    original = vars(sqlite3.Cursor)["execute"]
    handle = install(
        "sqlite3:Cursor.execute",
        pre=lambda args: seen.append(args[1]),
        post=lambda result: seen.append(type(result)),
        fail=lambda error: seen.append(type(error)),
    )
    cursor = connection.cursor()
    assert cursor.execute("select 1").fetchone() == (1,)
    with pytest.raises(sqlite3.OperationalError):
        cursor.execute("nonsense")
    Cursor(connection).execute("select 2")
    handle.remove()
    assert vars(sqlite3.Cursor)["execute"] is original
    cursor.execute("select 3")
    assert seen == [
        *("select 1", sqlite3.Cursor, "nonsense", sqlite3.OperationalError),
        *("select 2", Cursor),
    ]


@needs_memory
def test_outcomes_of_a_c_method(
    install: Install, connection: sqlite3.Connection
) -> None:
    error = PermissionError("no")

    def judge(sql: str) -> object:
        if sql == "evil":
            return Raise(error)
        return Return("skipped") if sql == "skip" else Arguments(sql="select 7")

    install("sqlite3:Connection.execute", pre=judge)
    install("sqlite3:Cursor.fetchone", post=lambda result: Return((result, "seen")))
    with pytest.raises(PermissionError) as raised:
        connection.execute("evil")
    assert raised.value is error
    assert connection.execute("skip") == "skipped"
    assert connection.execute("select 1").fetchone() == ((7,), "seen")


@needs_memory
def test_slots_of_a_heap_type(install: Install) -> None:
    original = vars(sqlite3.Connection)["__init__"]
    seen: list[object] = []
    handle = install(
        "sqlite3:Connection.__init__", pre=lambda args: seen.append(args[-1])
    )
    sqlite3.connect(":memory:").close()
    handle.remove()
    sqlite3.connect(":memory:").close()
    assert seen == [":memory:"]
    assert vars(sqlite3.Connection)["__init__"] is original
    with pytest.raises(TypeError):
        sqlite3.Connection.execute = None  # pyright: ignore[reportAttributeAccessIssue]


@needs_memory
def test_methods_of_static_types_and_callers_that_are_specialised(
    install: Install,
) -> None:
    def hot(times: int) -> None:
        for _ in range(times):
            "-".join(parts)

    parts = ["a", "b"]
    original = vars(str)["join"]
    seen: list[object] = []
    hot(2000)
    handle = install("builtins:str.join", pre=lambda args: seen.append(args[0]))
    hot(50)
    handle.remove()
    hot(50)
    assert seen.count("-") == 50
    assert vars(str)["join"] is original


@needs_memory
def test_class_and_static_methods_of_c_types(install: Install) -> None:
    before = vars(dict)["fromkeys"], vars(str)["maketrans"]
    seen: list[object] = []
    first = install("builtins:dict.fromkeys", pre=lambda args: seen.append(args))
    second = install("builtins:str.maketrans", pre=lambda args: seen.append(args))
    assert dict.fromkeys("a") == {"a": None}
    assert str.maketrans("a", "b") == {97: 98}
    first.remove()
    second.remove()
    assert seen == [(dict, "a"), ("a", "b")]
    assert (vars(dict)["fromkeys"], vars(str)["maketrans"]) == before


@needs_memory
@pytest.mark.parametrize("name", ["str.join", "dict.get", "list.append", "dict.pop"])
def test_methods_that_our_own_code_calls(install: Install, name: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "str.join": lambda: ",".join(str(n) for n in range(3)),
        "dict.get": lambda: {1: 2}.get(1),
        "list.append": lambda: [].append(1),
        "dict.pop": lambda: {1: 2}.pop(1),
    }
    seen: list[object] = []
    handle = install(
        f"builtins:{name}",
        pre=lambda call: seen.append(call.arguments),
        post=lambda result: Return(result),
    )
    expected = calls[name]()
    assert handle.errors == 0
    assert seen
    handle.remove()
    assert calls[name]() == expected


def test_slots_of_static_types_are_refused(install: Install) -> None:
    with pytest.raises(HookError, match=r"slot of a static C type|immutable type"):
        install("builtins:list.__init__", pre=lambda: None)
    with pytest.raises(HookError, match=r"is that of object, .*name the class"):
        install("builtins:str.__init__", pre=lambda: None)


@needs_memory
def test_a_file_opened_by_its_type(install: Install) -> None:
    seen: list[object] = []
    try:
        handle = install("_io:FileIO.__init__", pre=lambda args: seen.append(args[0]))
    except HookError as error:
        assert "static C type" in str(error)  # noqa: PT017 - 3.11 has it so
        return
    _io.FileIO(os.devnull).close()
    handle.remove()
    assert seen == [os.devnull]


def test_what_a_python_class_inherits_from_a_c_type(
    install: Install, connection: sqlite3.Connection
) -> None:
    seen: list[object] = []
    name = f"{__name__}:Cursor.execute"
    handle = install(name, pre=lambda args: seen.append(args[1]))
    Cursor(connection).execute("select 1")
    connection.cursor().execute("select 2")
    handle.remove()
    Cursor(connection).execute("select 3")
    assert seen == ["select 1"]
    assert "execute" not in vars(Cursor)


def test_connect_through_the_class_that_apps_use(install: Install) -> None:
    handle = install("socket:socket.connect", pre=lambda: Raise(PermissionError("no")))
    with socket.socket() as plain, pytest.raises(PermissionError):
        plain.connect(("127.0.0.1", 1))
    handle.remove()
    assert "connect" not in vars(socket.socket)


@pytest.fixture
def family(app: ModuleType) -> ModuleType:
    exec(FAMILY, vars(app))
    return app


FAMILY = """
class Heir(Parent):
    pass

class Sibling(Parent):
    pass

class Grandchild(Heir):
    def method(self, value):
        return "grandchild", super().method(value)
"""

INHERITED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "method": lambda app, cls, value: cls().method(value),
    "build": lambda app, cls, value: cls.build(value),
}


@pytest.mark.parametrize("name", INHERITED)
def test_an_inherited_method_fires_for_the_subclass_only(
    family: ModuleType, hook: Install, name: str
) -> None:
    call = INHERITED[name]
    seen: list[object] = []
    before = dict(vars(family.Heir))
    expected = [call(family, cls, 1) for cls in (family.Heir, family.Parent)]
    handle = hook(
        f"Heir.{name}",
        pre=lambda value: seen.append(("pre", value)),
        post=lambda result: seen.append("post"),
        fail=lambda error: seen.append(error),
    )
    second = hook(f"Heir.{name}", pre=lambda value: seen.append(("second", value)))
    assert [call(family, cls, 1) for cls in (family.Heir, family.Parent)] == expected
    call(family, family.Sibling, 2)
    with pytest.raises(family.Failure) as raised:
        call(family, family.Heir, "boom")
    assert raised.value is family.FAILURE
    assert seen == [
        *(("pre", 1), ("second", 1), "post"),
        *(("pre", "boom"), ("second", "boom"), family.FAILURE),
    ]
    attribute = getattr(family.Heir, name)
    assert inspect.signature(attribute) == inspect.signature(
        getattr(family.Parent, name)
    )
    handle.remove()
    second.remove()
    assert dict(vars(family.Heir)) == before


def test_an_inherited_method_is_reached_through_super(
    family: ModuleType, hook: Install
) -> None:
    seen: list[object] = []
    hook("Heir.method", pre=lambda value: seen.append(value))
    assert family.Grandchild().method(1) == ("grandchild", ("parent", 1))
    assert seen == [1]


def test_the_parent_and_the_heir_can_be_hooked_at_once(
    family: ModuleType, hook: Install
) -> None:
    seen: list[object] = []
    parent = hook("Parent.method", pre=lambda: seen.append("parent"))
    heir = hook("Heir.method", pre=lambda: seen.append("heir"))
    family.Parent().method(1)
    family.Heir().method(1)
    assert seen[0] == "parent"
    assert "heir" in seen[1:]
    parent.remove()
    heir.remove()
    assert "method" not in vars(family.Heir)
