"""Every kind of target is either diverted and restored, or refused with the reason."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from remora.agent.probes import Handle, Probes
from remora.agent.targets import SiteKind, resolve
from remora.errors import HookError
from remora.protocol import parse_probe, parse_target

Call = Callable[[ModuleType], object]

SUBJECTS = """
import sqlite3

@functools.lru_cache
def cached(value):
    return value

partly = functools.partial(function, extra=5)

@functools.singledispatch
def dispatched(value):
    return value

class Called:
    def __call__(self, value):
        return value

one = Called()
bound = Child().method

class Gives:
    def __get__(self, instance, owner=None):
        return judge

class Shop:
    given = Gives()
    def sell(self, amount, value=None):
        return amount, value
    sell_two = functools.partialmethod(sell, 2)

connect = sqlite3.Connection
"""

KINDS: dict[SiteKind, tuple[str, Call]] = {
    SiteKind.FUNCTION: ("function", lambda app: app.function(1)),
    SiteKind.NESTED: ("make.<locals>.inner", lambda app: app.make(1)[0](1)),
    SiteKind.LAMBDA: ("anonymous", lambda app: app.anonymous(1)),
    SiteKind.METHOD: ("Parent.method", lambda app: app.Parent().method(1)),
    SiteKind.INHERITED_METHOD: ("Heir.method", lambda app: app.Heir().method(1)),
    SiteKind.CLASSMETHOD: ("Parent.build", lambda app: app.Parent.build(1)),
    SiteKind.STATICMETHOD: ("Child.static", lambda app: app.Child.static(1)),
    SiteKind.BOUND_METHOD: ("bound", lambda app: app.bound(1)),
    SiteKind.PROPERTY_GET: ("Child.shown", lambda app: app.Child(1).shown),
    SiteKind.PROPERTY_SET: (
        "Child.shown.set",
        lambda app: setattr(app.Child(1), "shown", 2),
    ),
    SiteKind.PROPERTY_DELETE: (
        "Child.shown.delete",
        lambda app: delattr(app.Child(1), "shown"),
    ),
    SiteKind.CACHED_PROPERTY: ("Child.kept", lambda app: app.Child(1).kept),
    SiteKind.INSTANCE: ("one", lambda app: app.one(1)),
    SiteKind.CLASS: ("Point", lambda app: app.Point(1).x),
    SiteKind.PARTIAL: ("partly", lambda app: app.partly(1)),
    SiteKind.PARTIALMETHOD: ("Shop.sell_two", lambda app: app.Shop().sell_two(1)),
    SiteKind.LRU_CACHE: ("cached", lambda app: app.cached(1)),
    SiteKind.SINGLEDISPATCH: ("dispatched", lambda app: app.dispatched(1)),
    SiteKind.WRAPPED: ("decorated", lambda app: app.decorated(1)),
    SiteKind.DESCRIPTOR: ("Shop.given", lambda app: app.Shop().given(1)),
    SiteKind.C_FUNCTION: ("math:sqrt", lambda app: math.sqrt(4)),
    SiteKind.C_METHOD: ("builtins:str.join", lambda app: "-".join("ab")),
    SiteKind.C_TYPE: ("_sqlite3:Connection", lambda app: app.connect("").close()),
    SiteKind.CYTHON_FUNCTION: (
        "msgpack._cmsgpack:unpackb",
        lambda app: sys.modules["msgpack._cmsgpack"].unpackb(b"x"),
    ),
}  # fmt: skip
"""A target of each kind, and a call of it that is the same each time."""


@pytest.fixture
def subjects(app: ModuleType) -> ModuleType:
    exec(SUBJECTS, vars(app))
    exec("class Heir(Parent): pass", vars(app))
    return app


def test_every_kind_is_here() -> None:
    assert {*KINDS, SiteKind.LINE} == {*SiteKind}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_a_kind_is_diverted_and_restored_or_refused_with_the_reason(
    subjects: ModuleType, probes: Probes, kind: SiteKind
) -> None:
    if kind is SiteKind.CYTHON_FUNCTION:
        pytest.importorskip("msgpack._cmsgpack", exc_type=ImportError)
    name, call = KINDS[kind]
    target = name if ":" in name else f"{subjects.__name__}:{name}"
    (site,) = resolve(parse_target(target), probes.store).sites
    assert site.kind is kind
    owner = site.owner if isinstance(site.owner, (dict, type)) else {}
    before = holders(owner)
    expected = call(subjects)
    seen: list[object] = []
    try:
        handle = Handle(target, {"pre": lambda: seen.append(kind)}, probes)
    except HookError as error:
        reason = str(error)
    else:
        reason = ""
        assert call(subjects) == expected
        assert kind in seen
        handle.remove()
        seen.clear()
    assert not reason or len(reason) > len(target) + 20
    assert call(subjects) == expected
    assert seen == []
    now = holders(owner)
    assert now.keys() == before.keys()
    assert all(now[key] is before[key] for key in before)
    if site.function is not None:
        assert site.function.__code__ is site.code


def test_a_line_is_diverted_or_refused_with_the_reason(
    subjects: ModuleType, probes: Probes
) -> None:
    code = subjects.judge.__code__
    target = f"contract/subjects.py:{code.co_firstlineno + 1}"
    probes.add([parse_probe({"id": "p", "target": target, "log": "{value}"})])
    (status,) = probes.statuses()
    subjects.judge(1)
    is_installed = status.state.value == "installed"
    assert probes.statuses()[0].firings == is_installed
    assert is_installed or len(status.reason) > 40
    probes.remove(["p"])
    assert subjects.judge.__code__ is code


def holders(owner: dict[str, object] | type) -> dict[str, object]:
    """What stands in a module or class, but for what changes with every look."""
    return dict(owner if isinstance(owner, dict) else vars(owner))
