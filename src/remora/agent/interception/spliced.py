"""Which code of ours runs in place of the app's own, with the app's lines in it.

A line of a function is watched in the code that runs. Whoever watches lines follows
what comes and goes here. All changes happen under the lock of the table of hooks.
"""

from __future__ import annotations

from _weakref import ref
from typing import TYPE_CHECKING

from remora.agent.targets import without_injection

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_standing: dict[int, tuple[Callable[[], CodeType | None], ...]] = {}
"""By the identity of the app's code: what stands in its place, held weakly. What stands
there has the app's code among its constants, so the identity is not another's."""

followers: list[Callable[[CodeType], None]] = []
"""Told of the app's code for which something has come or gone."""


def codes_of(code: CodeType) -> tuple[CodeType, ...]:
    """All code that runs the lines of this code of the app, itself included."""
    found = [reference() for reference in _standing.get(id(code), ())]
    standing = [made for made in found if made is not None]
    return (code, *(made for made in standing if without_injection(made) is code))


def exchange(gone: CodeType | None, come: CodeType | None) -> None:
    """Let code of ours go, and other code for the same code of the app come."""
    made = come or gone
    assert made is not None
    original = without_injection(made)
    standing = [code for code in codes_of(original)[1:] if code is not gone]
    if come is not None:
        standing = [*(code for code in standing if code is not come), come]
    if standing:
        _standing[id(original)] = tuple(ref(code) for code in standing)
    else:
        _standing.pop(id(original), None)
    for follow in followers:
        follow(original)
