"""What C functions say of their parameters, and what wrappers leave of them."""

from __future__ import annotations

import functools
import os
import time

import pytest

from remora.agent.runtime import builtin_object
from remora.agent.targets.signature import (
    UNKNOWN,
    signature_of_c,
    signature_of_function,
)


def test_the_text_of_a_c_function_is_read_without_its_module() -> None:
    signature = signature_of_c(os.mkdir, drops_first=True)
    assert signature.names == ("path", "mode", "dir_fd")
    assert signature.keyword_only == ("dir_fd",)
    assert signature.defaults == {"mode": 0o777, "dir_fd": None}
    assert signature.optional == 1


def test_the_text_of_a_c_method_keeps_its_object() -> None:
    signature = signature_of_c(vars(str)["join"], drops_first=False)
    assert signature.positional == ("self", "iterable")
    assert signature.positional_only == 2


def test_a_function_that_says_nothing_has_args_and_kwargs_only() -> None:
    assert signature_of_c(max, drops_first=True) is UNKNOWN
    assert UNKNOWN.names == ("args", "kwargs")


@pytest.mark.skipif(not builtin_object.HAS_LAYOUT, reason="its flags cannot be read")
def test_a_function_that_takes_nothing_is_known_without_a_text() -> None:
    assert signature_of_c(time.time, drops_first=True).names == ()


@pytest.mark.parametrize("text", ["(", "($module, a=b c)", "no signature"])
def test_a_text_that_is_no_signature_is_none(text: str) -> None:
    class Odd:
        __text_signature__ = text

    assert signature_of_c(Odd(), drops_first=True) is UNKNOWN


def test_what_is_filled_in_is_no_parameter_any_more() -> None:
    def function(first, /, second, third=3, *rest, key, **more): ...

    whole = signature_of_function(function)
    assert whole.names == ("first", "second", "third", "key", "rest", "more")
    left = whole.after(1, {"third": 4})
    assert left.names == ("second", "third", "key", "rest", "more")
    assert left.positional_only == 0
    assert left.defaults == {"third": 4}
    assert functools.partial(function, 1).args == (1,)
