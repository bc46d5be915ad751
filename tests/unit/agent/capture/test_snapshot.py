"""Captured values: the forms of the wire, the bounds, redaction, and no app code."""

import collections
import datetime as dt
import decimal
import enum
import json
import threading
import time
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.agent.capture import CaptureLimits, capture, capture_fields
from remora.expression import MISSING, Missing

REDACTED = {"$": "redacted", "reason": "name"}


class Color(enum.Enum):
    RED = 1


class Word(str):
    __slots__ = ()


class Slotted:
    __slots__ = ("size", "token", "unset")


class Account:
    def __init__(self):
        self.name = "alice"
        self.api_key = "k"


def slotted():
    made = Slotted()
    made.size, made.token = 3, "t"
    return made


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, None),
        (True, True),
        (5, 5),
        (2**53, 2**53),
        (2**53 + 1, {"$": "int", "text": "9007199254740993"}),
        (-(10**400), {"$": "int", "text": "-1" + "0" * 254, "digits": 401}),
        (10**3000, {"$": "int", "text": "1000000000", "digits": 3001}),
        (1.5, 1.5),
        (float("nan"), {"$": "float", "text": "nan"}),
        (float("-inf"), {"$": "float", "text": "-inf"}),
        ("é", "é"),
        ("x" * 300, {"$": "text", "text": "x" * 256, "length": 300}),
        ("a\ud800\\", {"$": "text", "escaped": "a\\ud800\\\\", "length": 3}),
        (Word("w"), "w"),
        (Word("x" * 300), {"$": "text", "text": "x" * 256, "length": 300}),
        (b"abc", {"$": "bytes", "base64": "YWJj", "length": 3}),
        ([1, "a"], [1, "a"]),
        ((1,), {"$": "tuple", "items": [1], "length": 1}),
        ({1}, {"$": "set", "items": [1], "length": 1}),
        (collections.deque([1]), {"$": "deque", "items": [1], "length": 1}),
        ({"a": 1}, {"a": 1}),
        ({1: 2}, {"$": "dict", "entries": [[1, 2]], "length": 1}),
        ({"$": 1}, {"$": "dict", "entries": [["$", 1]], "length": 1}),
        (Color.RED, {"$": "enum", "type": f"{__name__}.Color", "name": "RED"}),
        (int, {"$": "type", "name": "int"}),
        (json.dumps, {"$": "function", "name": "json:dumps"}),
        (len, {"$": "function", "name": "builtins:len"}),
        (MISSING, {"$": "missing", "reason": "absent"}),
        (Missing("property"), {"$": "missing", "reason": "property"}),
        (object(), {"$": "object", "type": "object", "cut": "opaque"}),
        (json, {"$": "object", "type": "module", "cut": "opaque"}),
        (
            slotted(),
            {
                "$": "object",
                "type": f"{__name__}.Slotted",
                "fields": {"size": 3, "token": REDACTED},
                "length": 2,
            },
        ),
        (
            KeyError("k"),
            {"$": "exception", "type": "KeyError", "message": "k", "fields": {}},
        ),
        (
            decimal.Decimal("1.10"),
            {
                "$": "object",
                "type": "decimal.Decimal",
                "fields": {"text": "1.10"},
                "length": 1,
            },
        ),
        (
            dt.date(2026, 1, 2),
            {
                "$": "object",
                "type": "datetime.date",
                "fields": {"text": "2026-01-02"},
                "length": 1,
            },
        ),
        (
            uuid.UUID(int=5),
            {
                "$": "object",
                "type": "uuid.UUID",
                "fields": {"text": "00000000-0000-0000-0000-000000000005"},
                "length": 1,
            },
        ),
    ],
)
def test_a_value_has_its_form_of_the_wire(value, form):
    assert capture(value)[0] == form


def test_secrets_are_redacted_by_name_wherever_they_stand():
    form, _ = capture(
        {"user": Account(), b"Authorization": "x", "list": [{"dbPassword": 1}]}
    )
    entries = {str(key): value for key, value in form["entries"]}
    assert entries["user"]["fields"] == {"name": "alice", "api_key": REDACTED}
    assert REDACTED in [value for _, value in form["entries"]]
    assert entries["list"] == [{"dbPassword": REDACTED}]
    headers = [(b"host", b"x"), (b"authorization", b"y"), ["Cookie", "z"]]
    pairs = capture(headers)[0]
    assert pairs[0]["items"][1] != REDACTED
    assert pairs[1]["items"][1] == REDACTED
    assert pairs[2] == ["Cookie", REDACTED]
    assert capture("x", names=("password",))[0] == REDACTED
    assert capture_fields({"token": 1, "size": 2})[0] == {"token": REDACTED, "size": 2}


def test_a_cycle_and_a_depth_are_cut_and_say_so():
    cycle = []
    cycle.append(cycle)
    assert capture(cycle)[0] == [{"$": "object", "type": "list", "cut": "cycle"}]
    deep = {"a": {"b": {"c": {"d": 1}}}}
    assert capture(deep)[0] == {
        "a": {"b": {"c": {"$": "object", "type": "dict", "cut": "depth"}}}
    }


def test_containers_are_cut_at_their_bounds_with_their_length():
    form, _ = capture(list(range(5000)))
    assert (len(form["items"]), form["length"]) == (100, 5000)
    form, _ = capture({str(key): key for key in range(5000)})
    assert (len(form["entries"]), form["length"]) == (100, 5000)
    wide = Account()
    wide.__dict__.update({f"f{number}": number for number in range(100)})
    form, _ = capture(wide)
    assert (len(form["fields"]), form["length"]) == (20, 102)


def grow(depth):
    return [grow(depth - 1) for _ in range(100)] if depth else "é" * 255


@pytest.mark.parametrize(
    "value",
    [
        grow(2),
        {
            f"k{n}": {f"j{m}": decimal.Decimal(m) for m in range(100)}
            for n in range(100)
        },
        [[(Color.RED, b"x" * 300)] * 100] * 100,
        {(n, n): {n: object()} for n in range(1000)},
    ],
    ids=["texts", "decimals", "enums", "keys"],
)
def test_the_size_on_the_wire_stays_near_the_bound(value):
    form, size = capture(value)
    encoded = len(json.dumps(form, ensure_ascii=False).encode())
    assert encoded < 3 * 32 * 1024
    assert size < 1.2 * 32 * 1024


def test_a_huge_value_costs_no_more_than_a_large_one():
    start = time.perf_counter()
    capture([b"x" * 100_000_000, "x" * 100_000_000, 1 << 10_000_000])
    assert time.perf_counter() - start < 5


def test_nothing_of_an_exploding_object_runs(exploding):
    bases = [(), (dict,), (list,), (tuple,), (str,), (bytes,), (int,), (float,)]
    bases += [(set,), (frozenset,), (collections.deque,), (ValueError,), (OSError,)]
    for base in bases:
        obj = exploding(*base, x=1)
        for value in (obj, [obj], {"k": obj}, (obj,), ValueError(obj), {1: [obj]}):
            form, _ = capture(value)
            json.dumps(form)


def test_a_proxy_is_not_resolved():
    from werkzeug.local import LocalProxy

    def explode():
        raise AssertionError

    form, _ = capture(LocalProxy(explode))
    assert form["type"] == "werkzeug.local.LocalProxy"


def test_a_thread_may_change_what_is_captured():
    shared, ended = {"a": 1}, threading.Event()

    def churn():
        number = 0
        while not ended.is_set():
            shared[f"k{number % 50}"] = number
            shared.pop(f"k{(number + 25) % 50}", None)
            number += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(300):
            capture(shared)
    finally:
        ended.set()
        thread.join(10)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids()
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text() | st.integers() | st.binary() | st.booleans(), inner, max_size=5
        )
        | st.tuples(inner, inner)
        | st.builds(ValueError, inner)
    ),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_any_value_is_captured_as_json_that_utf8_can_carry(value):
    form, size = capture(value, CaptureLimits(depth=5))
    text = json.dumps(form, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode()) == form
    assert size > 0
