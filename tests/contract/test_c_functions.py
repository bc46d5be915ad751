"""The contract for C functions of modules: by redirection, and by the fallback."""

from __future__ import annotations

import _json
import _thread
import builtins
import copy
import gc
import inspect
import math
import os
import pickle
import posix
import subprocess
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.interception import redirect
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import builtin_object, originals
from remora.errors import HookError

Install = Callable[..., Handle]

stored = os.getenv, os.strerror
ERROR = PermissionError("no")


class Holder:
    run = os.strerror


@pytest.fixture(params=["redirection", "attribute"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "attribute":
        monkeypatch.setattr(redirect, "_is_sound", False)
    elif not builtin_object.HAS_LAYOUT:
        pytest.skip("REMORA_SELF_TESTS=fail: nothing is redirected")
    return request.param


@pytest.fixture
def install(probes: Probes, mechanism: str) -> Install:
    def install(target: str, **phases: object) -> Handle:
        handle = Handle(target, phases, probes)
        assert handle.describe()["sites"][0]["mechanism"] == mechanism
        return handle

    return install


def test_a_function_of_c_may_import_while_it_is_hooked(install: Install) -> None:
    install("time:strptime", pre=lambda: None)
    assert time.strptime("2020", "%Y")[0] == 2020


@pytest.fixture
def redirected(mechanism: str) -> None:
    if mechanism != "redirection":
        pytest.skip("only redirection reaches this")


def test_every_phase_sees_arguments_result_and_error(install: Install) -> None:
    seen: list[object] = []
    install(
        "math:sqrt",
        pre=lambda args: seen.append(args),
        post=lambda result: seen.append(result),
        fail=lambda error: seen.append(type(error)),
    )
    assert math.sqrt(4) == 2
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        math.sqrt(-1)
    assert seen == [(4,), 2.0, (-1,), ValueError]


def test_arguments_go_by_name_where_the_function_has_a_signature(
    install: Install,
) -> None:
    seen: list[object] = []
    install(
        "os:mkdir",
        pre=lambda path, mode, dir_fd: (
            seen.append((path, mode, dir_fd)) or Return("skipped")
        ),
    )
    assert os.mkdir("/nowhere") == "skipped"
    assert os.mkdir(path="/nowhere", mode=0o700, dir_fd=3) == "skipped"
    assert seen == [("/nowhere", 0o777, None), ("/nowhere", 0o700, 3)]


def test_arguments_can_be_changed_by_name_and_as_a_whole(install: Install) -> None:
    first = install("os:strerror", pre=lambda code: Arguments(code=2))
    assert os.strerror(1) == os.strerror(2)
    first.remove()
    assert os.strerror(1) != os.strerror(2)
    install("builtins:max", pre=lambda args: Arguments(args=(5, 7)))
    assert max(1, 2) == 7


def test_a_call_can_be_skipped_refused_and_its_result_replaced(
    install: Install,
) -> None:
    install("os:strerror", pre=lambda code: Raise(ERROR) if code == 1 else None)
    install("os:strerror", post=lambda code, result: Return(f"{code} {result}"))
    install("math:sqrt", fail=lambda error: Return(type(error)))
    assert math.sqrt(-1) is ValueError
    with pytest.raises(PermissionError) as raised:
        os.strerror(1)
    assert raised.value is ERROR
    assert os.strerror(2).startswith("2 ")


def test_a_hook_that_asks_for_what_is_not_there_is_refused(install: Install) -> None:
    with pytest.raises(HookError, match=r"asks for 'cod', but .* has code"):
        install("os:strerror", pre=lambda cod: None)
    assert not os.strerror.__self__.__class__.__dict__.get("__call__")


def test_every_kind_of_reference_is_reached(install: Install, redirected: None) -> None:
    from os import strerror as imported

    seen: list[int] = []
    install("os:strerror", pre=lambda code: seen.append(code))
    calls = [
        os.strerror,
        posix.strerror,
        imported,
        stored[1],
        Holder.run,
        Holder().run,
        lambda code: next(map(imported, [code])),
    ]
    for number, call in enumerate(calls):
        call(number)
    assert seen == list(range(len(calls)))


def test_names_in_modules_and_classes_are_reached_and_restored(
    install: Install, app: ModuleType
) -> None:
    original = os.strerror
    others = [types.ModuleType(f"importer{n}") for n in range(10)]
    for module in others:
        sys.modules[module.__name__] = module
        exec("from os import strerror", vars(module))
    late = types.ModuleType("late")
    sys.modules["late"] = late
    seen: list[int] = []
    try:
        handle = install("os:strerror", pre=lambda code: seen.append(code))
        exec("from os import strerror", vars(late))
        exec("class K: run = strerror", vars(late))
        for number, module in enumerate([*others, late]):
            module.strerror(number)
        assert Holder().run(1) == original(1)
        handle.remove()
        assert seen[:11] == list(range(11))
        assert all(module.strerror is original for module in [*others, late])
        assert Holder.run is original
        seen.clear()
        for module in [*others, late]:
            module.strerror(0)
        Holder().run(1)
        assert seen == []
    finally:
        for module in [*others, late]:
            del sys.modules[module.__name__]


def test_redirection_keeps_identity_and_description(
    install: Install, redirected: None
) -> None:
    original = os.strerror
    words = builtin_object.words(original)
    before = (repr(original), inspect.signature(original), original.__doc__)
    handle = install("os:strerror", pre=lambda: None)
    assert os.strerror is original
    assert pickle.loads(pickle.dumps(original)) is original
    assert copy.copy(original) is original
    assert weakref.ref(original)() is original
    assert inspect.isbuiltin(original)
    assert (repr(original), inspect.signature(original), original.__doc__) == before
    handle.remove()
    assert builtin_object.words(original)[:2] == words[:2]
    assert builtin_object.words(original)[4] == words[4]
    assert original.__self__ is posix
    gc.collect()


def test_callers_that_are_specialised_notice_both_ways(install: Install) -> None:
    namespace: dict[str, Any] = {"strerror": os.strerror, "os": os}
    exec("def hot(n):\n for _ in range(n): os.strerror(1)\n", namespace)
    seen: list[int] = []
    namespace["hot"](2000)
    handle = install("os:strerror", pre=lambda: seen.append(1))
    namespace["hot"](2000)
    handle.remove()
    namespace["hot"](2000)
    assert len(seen) == 2000


OURS: dict[str, Callable[[], object]] = {
    "time:time": lambda: time.time(),
    "time:monotonic_ns": lambda: time.monotonic_ns(),
    "time:perf_counter_ns": lambda: time.perf_counter_ns(),
    "time:thread_time_ns": lambda: time.thread_time_ns(),
    "os:getpid": lambda: os.getpid(),
    "_thread:get_ident": lambda: _thread.get_ident(),
    "_json:encode_basestring_ascii": lambda: _json.encode_basestring_ascii("é"),
    "builtins:id": lambda: id(1),
    "builtins:getattr": lambda: getattr(1, "real"),  # noqa: B009
    "builtins:sorted": lambda: sorted([2, 1]),
    "builtins:max": lambda: max(1, 2),
}


@pytest.mark.parametrize("target", OURS)
def test_what_the_agent_uses_itself_can_be_probed(
    install: Install, target: str
) -> None:
    seen: list[object] = []
    call = OURS[target]
    expected = type(call())
    handle = install(
        target,
        pre=lambda call: seen.append(call.site),
        post=lambda result: Return(result),
    )
    results = [call() for _ in range(3)]
    handle.remove()
    call()
    assert len(seen) == 3
    assert {type(result) for result in results} == {expected}


def test_the_clocks_of_trampolines_are_not_redirected(install: Install) -> None:
    hook = lambda: None
    seen: list[float] = []
    install("time:perf_counter_ns", pre=hook)
    install("time:monotonic", pre=hook, post=lambda call: seen.append(call.started))
    time.monotonic()
    assert seen[0] <= originals.perf_counter_ns()


def plain_eval() -> list[object]:
    secret = 41
    values: list[object] = [eval("secret + 1"), eval("secret", {"secret": 1})]
    exec("added = secret", globals())
    values.append(globals().pop("added"))
    exec("inner = secret")
    values += ["inner" in locals(), eval("  secret"), eval(b"secret")]

    class Body:
        three = 3
        six = eval("three * 2")
        exec("seven = 7")

    return [*values, Body.six, Body.seven]  # pyright: ignore[reportAttributeAccessIssue]


def test_builtins_that_read_their_caller_s_frame_read_it_still(
    install: Install,
) -> None:
    globals()["secret"] = "of the module"
    expected = plain_eval()
    seen: list[str] = []
    for name in ("eval", "exec", "compile"):
        install(f"builtins:{name}", pre=lambda call: seen.append(call.site))
    assert plain_eval() == expected
    assert "builtins:exec" in seen
    del globals()["secret"]


def test_future_flags_of_the_caller_reach_what_it_compiles(install: Install) -> None:
    for name in ("eval", "exec", "compile"):
        install(f"builtins:{name}", pre=lambda: None)
    text = "def f(a: undefined): pass"
    exec(text, {})
    exec(compile(text, "x", "exec"), {})
    namespace: dict[str, object] = {}
    eagerly = f"exec({text!r}, {{}})"
    with pytest.raises(NameError):
        exec(compile(eagerly, "x", "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize(
    "target",
    ["builtins:locals", "builtins:dir", "builtins:vars", "sys:_getframe"],
)
def test_other_readers_of_frames_are_refused(probes: Probes, target: str) -> None:
    with pytest.raises(HookError, match="reads the frame of its caller"):
        Handle(target, {"pre": lambda: None}, probes)


def test_threads_that_call_while_hooks_come_and_go(install: Install, turns) -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            while not stop.is_set():
                if os.strerror(1) != expected or posix.strerror(1) != expected:
                    raise AssertionError
        except BaseException as error:
            errors.append(error)

    expected = os.strerror(1)
    threads = [threading.Thread(target=call) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in turns(40):
            handle = install("os:strerror", pre=lambda: None)
            other = install("os:strerror", post=lambda result: None)
            handle.remove()
            other.remove()
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
        sys.setswitchinterval(interval)
    assert errors == []


def test_without_memory_tricks_the_agent_still_probes() -> None:
    script = (
        "import os, remora\n"
        "remora.start(records=os.devnull, log='off')\n"
        "handle = remora.hook('os:strerror', pre=lambda: remora.Return('ours'))\n"
        "assert os.strerror(1) == 'ours'\n"
        "assert handle.describe()['sites'][0]['mechanism'] == 'attribute'\n"
        "handle.remove()\n"
        "assert os.strerror(1) != 'ours'\n"
    )
    environment = {**os.environ, "REMORA_SELF_TESTS": "fail"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, env=environment
    )


def test_open_is_reached_through_builtins(install: Install) -> None:
    seen: list[object] = []
    install("builtins:open", pre=lambda args: seen.append(args[0]))
    with builtins.open(os.devnull) as file:
        assert file.read() == ""
    assert seen == [os.devnull]


def test_an_object_that_claims_to_be_a_module_is_left_alone(install: Install) -> None:
    class Claims:
        __class__ = ModuleType  # pyright: ignore[reportAssignmentType]

    sys.modules["claims"] = Claims()  # pyright: ignore[reportArgumentType]
    try:
        install("os:strerror", pre=lambda: Return("ours"))
        assert os.strerror(1) == "ours"
    finally:
        del sys.modules["claims"]
