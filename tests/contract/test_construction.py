"""The contract for construction: a class as target, from arguments to instance."""

from __future__ import annotations

import collections
import copy
import gc
import inspect
import pickle
import sqlite3
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import type_object, vector_call
from remora.errors import HookError

Hook = Callable[..., Handle]

needs_memory = pytest.mark.skipif(
    bool(vector_call.WHY_NOT), reason="classes keep their address here"
)

CLASSES = """
import abc
import enum
import typing
from dataclasses import dataclass

class Nothing:
    pass

class Plain:
    def __init__(self, value, extra=2):
        self.value = judge(value)

class Made:
    def __new__(cls, value):
        self = super().__new__(cls)
        self.value = judge(value)
        return self

class Both:
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)
    def __init__(self, value):
        self.value = judge(value)

class Bare:
    __slots__ = ("value", "__weakref__")
    def __init__(self, value):
        self.value = judge(value)

@dataclass(frozen=True)
class Record:
    value: object
    def __post_init__(self):
        judge(self.value)

class Pair(typing.NamedTuple):
    value: object
    other: int = 0

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    @classmethod
    def _missing_(cls, value):
        judge(value)

class Shape(abc.ABC):
    def __init__(self, value):
        self.value = judge(value)

class Readable(typing.Protocol):
    def read(self): ...

class Reader(Readable):
    def __init__(self, value):
        self.value = judge(value)
    def read(self):
        return self.value

class Box(typing.Generic[typing.TypeVar("T")]):
    def __init__(self, value):
        self.value = judge(value)

class Wrong(ValueError):
    def __init__(self, value):
        super().__init__(value)
        self.value = judge(value)

class Meta(type):
    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.by = "Meta"
        return made

class Governed(metaclass=Meta):
    def __init__(self, value):
        self.value = judge(value)

class Heir(Plain):
    def __init__(self, value):
        super().__init__(value)

class Counted(int):
    pass
"""

NAMED = [
    *("Plain", "Made", "Both", "Bare", "Record", "Pair"),
    *("Shape", "Reader", "Box", "Wrong", "Heir"),
]
BY_METACLASS = ["Governed", "Colour"]


VALID_VERSION_TAG = 1 << 19
"""Comes and goes with the interpreter's caches."""


@pytest.fixture
def made(app: ModuleType) -> ModuleType:
    exec(CLASSES, vars(app))
    return app


@pytest.fixture
def install(probes: Probes) -> Hook:
    return lambda target, **phases: Handle(target, phases, probes)


def picture(cls: type) -> tuple[object, ...]:
    """All that Python shows of a class, and what memory says of its calls."""
    hidden = () if vector_call.WHY_NOT else (vector_call.read(cls),)
    return (
        *(type(cls), cls.__mro__, cls.__basicsize__),
        *(one.__flags__ & ~VALID_VERSION_TAG for one in (cls, type(cls))),
        {name: id(value) for name, value in vars(cls).items()},
        {name: id(value) for name, value in vars(type(cls)).items()},
        *(id(getattr(cls, slot)) for slot in ("__init__", "__new__")),
        *(repr(cls), cls.__doc__, str(_signature(cls)), hash(cls), hidden),
    )


def _signature(cls: type) -> object:
    try:
        return inspect.signature(cls)
    except ValueError:
        return None


@needs_memory
@pytest.mark.parametrize("name", NAMED)
def test_every_phase_of_a_construction(made: ModuleType, hook: Hook, name: str) -> None:
    cls = getattr(made, name)
    before = picture(cls)
    seen: list[Any] = []
    handle = hook(
        name,
        pre=lambda value: seen.append(("pre", value)),
        post=lambda result: seen.append(("post", type(result))),
        fail=lambda error: seen.append(("fail", error)),
    )
    shown = picture(cls)
    assert shown[0] is before[0]
    assert shown[5:-1] == before[5:-1]
    first, second = cls("x"), cls(value="y")
    assert type(first) is type(second) is cls
    assert isinstance(first, cls)
    assert (first.value, second.value) == ("x", "y")
    with pytest.raises(Exception) as raised:
        cls("boom") if name != "Pair" else cls()
    error = raised.value
    assert error is made.FAILURE or name == "Pair"
    assert next(map(cls, ["z"])).value == "z"
    handle.remove()
    assert picture(cls) == before
    assert cls("after").value == "after"
    absent = seen[4:6] if name == "Pair" else [("pre", "boom"), ("fail", error)]
    assert absent[1] == ("fail", error)
    assert seen == [
        *(("pre", "x"), ("post", cls), ("pre", "y"), ("post", cls)),
        *absent,
        *(("pre", "z"), ("post", cls)),
    ]


@needs_memory
@pytest.mark.parametrize("name", NAMED)
def test_outcomes_of_a_construction(made: ModuleType, hook: Hook, name: str) -> None:
    cls = getattr(made, name)
    error = PermissionError("no")

    def judge(value: object) -> object:
        if value == "evil":
            return Raise(error)
        return Return("skipped") if value == "skip" else Arguments(value="changed")

    handle = hook(name, pre=judge)
    second = hook(name, post=lambda result: Return((result.value, "seen")))
    assert cls("x") == ("changed", "seen")
    assert cls("skip") == "skipped"
    with pytest.raises(PermissionError) as raised:
        cls("evil")
    assert raised.value is error
    second.remove()
    assert cls(value="x").value == "changed"
    handle.remove()
    rescue = hook(name, fail=lambda error: Return("rescued"))
    assert (cls() if name == "Pair" else cls("boom")) == "rescued"
    rescue.remove()
    assert cls("x").value == "x"


@pytest.mark.parametrize("name", BY_METACLASS)
def test_a_metaclass_that_makes_the_objects_itself(
    made: ModuleType, hook: Hook, name: str
) -> None:
    cls = getattr(made, name)
    good = "red" if name == "Colour" else "x"
    code = type(cls).__call__.__code__
    before, seen = picture(cls), []
    argument = "value" if name == "Colour" else "args"
    handle = hook(
        name,
        pre=eval(f"lambda {argument}: seen.append({argument})", {"seen": seen}),
        post=lambda result: seen.append(type(result)),
        fail=lambda error: seen.append(error),
    )
    assert cls(good).value == good
    with pytest.raises(made.Failure) as raised:
        cls("boom")
    assert raised.value is made.FAILURE
    other = type(cls)("Other", (), {}) if name == "Governed" else None
    assert other is None or other().by == "Meta"
    expected = [good, "boom"] if name == "Colour" else [(good,), ("boom",)]
    assert seen == [expected[0], cls, expected[1], made.FAILURE]
    second = hook(name, pre=lambda: Return("skipped"))
    assert cls(good) == "skipped"
    for one in (handle, second):
        one.remove()
    assert type(cls).__call__.__code__ is code
    assert picture(cls) == before


def test_the_call_of_a_metaclass_is_a_method(made: ModuleType, hook: Hook) -> None:
    seen: list[object] = []
    code = made.Meta.__call__.__code__
    handle = hook("Meta.__call__", pre=lambda cls, args: seen.append((cls, args)))
    assert made.Governed(1).by == "Meta"
    handle.remove()
    assert seen == [(made.Governed, (1,))]
    assert made.Meta.__call__.__code__ is code


@needs_memory
def test_a_probe_on_a_class_fires_for_exactly_that_class(
    made: ModuleType, hook: Hook
) -> None:
    seen: list[object] = []
    handle = hook("Plain", pre=lambda value: seen.append(value))
    made.Heir("heir")
    late = type("Late", (made.Plain,), {})
    late("late")
    made.Plain("plain")
    handle.remove()
    made.Plain("gone")
    late("gone")
    assert seen == ["plain"]


@needs_memory
def test_calls_that_are_specialised_are_reached_and_left(
    made: ModuleType, hook: Hook
) -> None:
    def hot(times: int) -> None:
        for number in range(times):
            made.Plain(number)

    seen: list[object] = []
    hot(2000)
    handle = hook("Plain", pre=lambda value: seen.append(value))
    hot(2000)
    assert len(seen) == 2000
    handle.remove()
    hot(2000)
    assert len(seen) == 2000


@needs_memory
def test_instances_live_as_before(made: ModuleType, hook: Hook) -> None:
    seen: list[object] = []
    hook("Plain", post=lambda result: seen.append(None))
    hook("Wrong", pre=lambda: seen.append(None))
    first = made.Plain([1])
    for twin in (copy.copy(first), pickle.loads(pickle.dumps(first))):
        assert type(twin) is made.Plain
        assert twin.value == [1]
    assert copy.deepcopy(made.Plain) is made.Plain
    assert pickle.loads(pickle.dumps(made.Plain)) is made.Plain
    assert {made.Plain: 1}[made.Plain] == 1
    # to copy or load an instance is no call of the class, but exceptions reduce to one
    assert len(seen) == 1
    reference = weakref.ref(first)
    del first
    gc.collect()
    assert reference() is None
    with pytest.raises(made.Wrong):
        raise made.Wrong("x")


@needs_memory
def test_a_class_that_takes_nothing_still_refuses_arguments(
    made: ModuleType, hook: Hook
) -> None:
    with pytest.raises(TypeError) as bare:
        made.Nothing(1)
    seen: list[object] = []
    hook("Nothing", fail=lambda error: seen.append(error))
    with pytest.raises(TypeError) as probed:
        made.Nothing(1)
    assert str(bare.value) == str(probed.value)
    assert seen == [probed.value]
    assert type(made.Nothing()) is made.Nothing


@needs_memory
def test_classes_of_one_metaclass_are_told_apart(made: ModuleType, hook: Hook) -> None:
    flags = type(made.Shape).__flags__
    seen: list[object] = []
    first = hook("Shape", pre=lambda value: seen.append(("shape", value)))
    second = hook("Reader", pre=lambda value: seen.append(("reader", value)))
    made.Shape(1)
    made.Reader(2)
    first.remove()
    made.Shape(3)
    made.Reader(4)
    second.remove()
    made.Reader(5)
    assert seen == [("shape", 1), ("reader", 2), ("reader", 4)]
    assert type(made.Shape).__flags__ == flags


@needs_memory
def test_a_metaclass_that_gets_a_call_later_is_asked(
    made: ModuleType, hook: Hook
) -> None:
    exec("class Late(type): pass\nclass Child(metaclass=Late): pass\n", vars(made))
    seen: list[object] = []
    handle = hook("Child", pre=lambda: seen.append("pre"))
    made.Late.__call__ = lambda cls: "by Late"
    assert made.Child() == "by Late"
    handle.remove()
    assert made.Child() == "by Late"
    del made.Late.__call__
    assert type(made.Child()) is made.Child


@needs_memory
@pytest.mark.parametrize(
    ("target", "call", "arguments"),
    [
        ("builtins:dict", lambda: dict(zip("a", "b", strict=True)), ()),
        ("builtins:list", lambda: list("ab"), ("ab",)),
        ("builtins:int", lambda: int("7"), ("7",)),
        ("builtins:bytearray", lambda: bytearray(b"x"), (b"x",)),
        ("builtins:ValueError", lambda: str(ValueError("x")), ("x",)),
        ("collections:OrderedDict", lambda: collections.OrderedDict(), ()),
        ("collections:deque", lambda: collections.deque("ab"), ("ab",)),
        ("_io:StringIO", lambda: __import__("io").StringIO("x").read(), ("x",)),
        ("_thread:RLock", lambda: type(threading.RLock()), ()),
    ],
)
def test_constructors_of_c_types(
    install: Hook,
    target: str,
    call: Callable[[], object],
    arguments: tuple[object, ...],
) -> None:
    expected = call()
    seen: list[object] = []
    handle = install(
        target,
        pre=lambda call: seen.append(tuple(call.arguments.values())),
        post=lambda result: seen.append(type(result).__name__),
    )
    assert call() == expected
    handle.remove()
    assert call() == expected
    assert handle.errors == 0
    assert len(seen) % 2 == 0
    name = target.partition(":")[2]
    flat = [given for given in seen if isinstance(given, tuple)]
    assert any(arguments == given[: len(arguments)] for given in map(_plain, flat))
    assert name in seen


def _plain(given: tuple[object, ...]) -> tuple[object, ...]:
    """What a call was given, whether by name or as `args` and `kwargs`."""
    return given[0] if given and isinstance(given[0], tuple) else given


@needs_memory
def test_connections_made_by_c_code(install: Hook) -> None:
    before = picture(sqlite3.Connection)
    seen: list[object] = []
    error = PermissionError("no")

    def judge(args: tuple[object, ...]) -> object:
        seen.append(args[0])
        return Raise(error) if args[0] == "evil" else None

    handle = install("sqlite3:Connection", pre=judge)
    sqlite3.connect(":memory:").close()
    with pytest.raises(PermissionError) as raised:
        sqlite3.connect("evil")
    assert raised.value is error
    handle.remove()
    sqlite3.connect(":memory:").close()
    assert seen == [":memory:", "evil"]
    assert picture(sqlite3.Connection) == before


@pytest.mark.parametrize("name", ["type", "super", "MemoryError", "RecursionError"])
def test_classes_that_cannot_be_probed_are_refused(install: Hook, name: str) -> None:
    with pytest.raises(HookError, match="cannot be diverted"):
        install(f"builtins:{name}", pre=lambda: None)


def test_without_memory_a_class_is_refused_with_what_to_name(
    made: ModuleType, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_call, "WHY_NOT", "the self-test did not pass")
    with pytest.raises(HookError, match=r"self-test.*'__init__' or '__new__'"):
        hook("Plain", pre=lambda: None)
    hook("Governed", pre=lambda: None)


def test_new_of_a_python_class(made: ModuleType, hook: Hook) -> None:
    before = vars(made.Made)["__new__"]
    seen: list[object] = []
    handle = hook(
        "Made.__new__",
        pre=lambda cls, value: seen.append((cls, value)),
        post=lambda result: seen.append(type(result)),
        fail=lambda error: seen.append(error),
    )
    assert made.Made("x").value == "x"
    with pytest.raises(made.Failure):
        made.Made("boom")
    handle.remove()
    made.Made("y")
    cls = made.Made
    assert seen == [(cls, "x"), cls, (cls, "boom"), made.FAILURE]
    assert vars(cls)["__new__"] is before


@pytest.mark.parametrize("name", ["Counted.__new__", "Plain.__new__"])
def test_new_in_c_is_refused_with_what_to_name(
    made: ModuleType, hook: Hook, name: str
) -> None:
    with pytest.raises(HookError, match="name the class"):
        hook(name, pre=lambda: None)


@pytest.mark.parametrize("name", ["Pair.__init__", "Nothing.__init__"])
def test_init_of_object_is_refused_because_a_class_would_change(
    made: ModuleType, hook: Hook, name: str
) -> None:
    with pytest.raises(HookError, match="is that of object"):
        hook(name, pre=lambda: None)
    assert made.Pair(1) == (1, 0)


@needs_memory
def test_a_fork_of_calls_and_installs_in_threads_loses_nothing(
    made: ModuleType, hook: Hook
) -> None:
    stop = threading.Event()
    faults: list[BaseException] = []
    counts: list[int] = []

    def call() -> None:
        count = 0
        try:
            while not stop.is_set():
                assert made.Plain(count, extra=1).value == count
                count += 1
        except BaseException as error:
            faults.append(error)
        counts.append(count)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen: list[None] = []
    for _ in range(150):
        handle = hook("Plain", pre=lambda: seen.append(None))
        made.Plain(0)
        handle.remove()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not faults
    assert len(counts) == 4
    assert len(seen) >= 150
    assert vector_call.read(made.Plain) == 0
    assert type_object.CAN_CHANGE
