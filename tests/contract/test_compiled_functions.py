"""The contract for what Cython and mypyc compiled: msgpack and tomli are such."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from remora.agent.hooks import Arguments, Raise, Return
from remora.agent.probes import Handle, Probes
from remora.agent.runtime import type_object, vector_call

Hook = Callable[..., Handle]

cython: Any = pytest.importorskip("msgpack._cmsgpack", exc_type=ImportError)
mypyc: Any = pytest.importorskip("tomli._parser", exc_type=ImportError)

needs_memory = pytest.mark.skipif(
    bool(vector_call.WHY_NOT), reason="objects keep their address here"
)
needs_types = pytest.mark.skipif(
    not type_object.CAN_CHANGE, reason="immutable types stay as they are here"
)
needs_compiled = pytest.mark.skipif(
    not mypyc.__file__.endswith(".so"), reason="tomli has no compiled wheel here"
)


@pytest.fixture
def install(probes: Probes) -> Hook:
    return lambda target, **phases: Handle(target, phases, probes)


def test_every_phase_of_a_function_of_cython(install: Hook) -> None:
    function = cython.unpackb
    seen: list[object] = []
    handle = install(
        "msgpack._cmsgpack:unpackb",
        pre=lambda packed, raw: seen.append((packed, raw)),
        post=lambda result: seen.append(result),
        fail=lambda error: seen.append(type(error)),
    )
    assert cython.unpackb(b"\x07", raw=True) == 7
    with pytest.raises(ValueError, match="incomplete"):
        cython.unpackb(b"")
    assert pickle.loads(pickle.dumps(cython.unpackb)) is cython.unpackb
    handle.remove()
    assert cython.unpackb is function
    cython.unpackb(b"\x07")
    assert seen == [(b"\x07", True), 7, (b"", False), ValueError]


@needs_memory
def test_a_function_of_cython_is_reached_by_every_reference(install: Hook) -> None:
    held = cython.unpackb
    table = {"unpack": cython.unpackb}
    address, signature = vector_call.read(held), inspect.signature(held)
    handle = install("msgpack._cmsgpack:unpackb", pre=lambda: Return("skipped"))
    assert held(b"\x01") == table["unpack"](b"\x01") == "skipped"
    assert list(map(held, [b"\x01"])) == ["skipped"]
    assert inspect.signature(held) == signature
    handle.remove()
    assert held(b"\x01") == 1
    assert vector_call.read(held) == address


@needs_types
def test_a_method_of_cython(install: Hook) -> None:
    error = PermissionError("no")
    packer = cython.Packer()
    bound, original = packer.pack, vars(cython.Packer)["pack"]
    changes = {"evil": Raise(error), "x": Arguments(obj="y"), "skip": Return(b"")}
    handle = install("msgpack._cmsgpack:Packer.pack", pre=lambda obj: changes.get(obj))
    assert packer.pack("x") == b"\xa1y"
    assert packer.pack("skip") == b""
    with pytest.raises(PermissionError) as raised:
        packer.pack("evil")
    assert raised.value is error
    # only a redirected object is reached by what was bound to it before
    assert bound("x") == (b"\xa1x" if vector_call.WHY_NOT else b"\xa1y")
    handle.remove()
    assert packer.pack("x") == bound("x") == b"\xa1x"
    assert vars(cython.Packer)["pack"] is original


@needs_memory
def test_a_class_of_cython(install: Hook) -> None:
    seen: list[object] = []
    handle = install(
        "msgpack._cmsgpack:Packer",
        pre=lambda kwargs: seen.append(kwargs),
        post=lambda result: seen.append(type(result)),
    )
    cython.Packer(use_bin_type=True)
    handle.remove()
    cython.Packer()
    assert seen == [{"use_bin_type": True}, cython.Packer]


@needs_types
def test_a_glob_means_what_cython_and_mypyc_compiled(install: Hook) -> None:
    seen: list[object] = []
    handle = install(
        ["msgpack._cmsgpack:u*", "msgpack._cmsgpack:Packer.p*", "tomli._parser:load*"],
        pre=lambda: seen.append(None),
    )
    reached = {name.rpartition(":")[2] for name in handle.sites}
    assert {"unpackb", "Packer.pack", "Packer.pack_ext_type", "loads"} <= reached
    generated = install("msgpack._cmsgpack:*_cython__", pre=lambda: None)
    assert generated.state == "waiting"
    assert mypyc.loads("a = 1") == {"a": 1}
    assert cython.unpackb(cython.Packer().pack(7)) == 7
    handle.remove()
    assert len(seen) >= 3


@needs_compiled
def test_a_function_of_mypyc(install: Hook) -> None:
    function = mypyc.loads
    seen: list[object] = []
    handle = install(
        "tomli._parser:loads",
        pre=lambda args: seen.append(args),
        post=lambda result: Return(result | {"b": 2}),
        fail=lambda error: seen.append(type(error)),
    )
    assert function("a = 1") == {"a": 1, "b": 2} or vector_call.WHY_NOT
    assert mypyc.loads("a = 1") == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="Invalid value"):
        mypyc.loads("a = ")
    handle.remove()
    assert function("a = 1") == {"a": 1}
    assert seen[-2:] == [("a = ",), mypyc.TOMLDecodeError]
    assert mypyc.loads is function


@needs_compiled
@needs_types
def test_classes_and_methods_of_mypyc(install: Hook) -> None:
    before = vars(mypyc.Flags)["is_"]
    seen: list[object] = []
    method = install("tomli._parser:Flags.is_", pre=lambda args: seen.append(args[1:]))
    flags = mypyc.Flags()
    assert not flags.is_(("a",), 1)
    method.remove()
    assert seen == [(("a",), 1)]
    assert vars(mypyc.Flags)["is_"] is before
    if not vector_call.WHY_NOT:
        made = install("tomli._parser:Flags", post=lambda result: seen.append(result))
        flags = mypyc.Flags()
        made.remove()
        assert seen[-1] is flags
