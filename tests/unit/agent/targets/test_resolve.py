from __future__ import annotations

import importlib
import os
import sys
import types

import pytest

from remora.agent.targets import (
    Nature,
    ResolutionState,
    SiteKind,
    may_concern,
    modules_awaited,
)
from remora.protocol import parse_target

SHOP = """
import abc, asyncio, contextlib, enum, functools, os, operator, typing
from dataclasses import dataclass

def charge(account, /, amount, *rest, currency="EUR", **extra):
    return amount

def make():
    def inner(x):
        return x
    return inner

def make_class():
    class Local:
        def method(self, y):
            return lambda z: z
    return Local

half = lambda value: value / 2

def loud(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@loud
@loud
def decorated(a, b):
    return a

@contextlib.contextmanager
def managed(name):
    yield name

@functools.lru_cache
def cached(key):
    return key

@functools.singledispatch
def dispatched(value):
    return value

quick = functools.partial(charge, 1)

async def fetch(url): pass
def count(n): yield n
async def stream(n): yield n

class Base:
    def shared(self, a): return a
    @classmethod
    def build(cls, b): return b
    @staticmethod
    def plain(c): return c

class Cart(Base):
    LIMIT = 10
    def __init__(self, items): self.items = items
    def __eq__(self, other): return True
    def __secret(self): pass
    def add(self, item, *, quantity=1): return item
    @property
    def total(self): return 1
    @total.setter
    def total(self, value): pass
    @functools.cached_property
    def size(self): return 1
    @classmethod
    @loud
    def load(cls, path): return path
    @staticmethod
    def parse(text): return text
    bump = functools.partialmethod(add, 1)
    class Line:
        def price(self): return 1

class Callable_:
    def __call__(self, question): return question

class Memo:
    def __init__(self, function):
        functools.update_wrapper(self, function)
    def __call__(self, *args): return 1

@Memo
def memoised(n): return n

class Meta(type):
    def __call__(cls, *args): return super().__call__(*args)

@dataclass
class Point:
    x: int

class Pair(typing.NamedTuple):
    a: int

oracle = Callable_()
bound = Cart([]).add
LIMIT = 3
"""


@pytest.fixture
def shop(load):
    return load("shop_r.core", SHOP)


@pytest.mark.parametrize(
    ("path", "kind", "function"),
    [
        ("charge", SiteKind.FUNCTION, "charge"),
        ("half", SiteKind.LAMBDA, "<lambda>"),
        ("decorated", SiteKind.WRAPPED, "decorated"),
        ("managed", SiteKind.WRAPPED, "managed"),
        ("cached", SiteKind.LRU_CACHE, "cached"),
        ("cached.__wrapped__", SiteKind.FUNCTION, "cached"),
        ("dispatched", SiteKind.SINGLEDISPATCH, "singledispatch.<locals>.wrapper"),
        ("quick", SiteKind.PARTIAL, "charge"),
        ("oracle", SiteKind.INSTANCE, "Callable_.__call__"),
        ("memoised", SiteKind.WRAPPED, "memoised"),
        ("bound", SiteKind.BOUND_METHOD, "Cart.add"),
        ("Cart", SiteKind.CLASS, "Cart.__init__"),
        ("Point", SiteKind.CLASS, "__init__"),
        ("Cart.add", SiteKind.METHOD, "Cart.add"),
        ("Cart.__init__", SiteKind.METHOD, "Cart.__init__"),
        ("Cart.__eq__", SiteKind.METHOD, "Cart.__eq__"),
        ("Cart.__secret", SiteKind.METHOD, "Cart.__secret"),
        ("Cart._Cart__secret", SiteKind.METHOD, "Cart.__secret"),
        ("Cart.total", SiteKind.PROPERTY_GET, "Cart.total"),
        ("Cart.total.get", SiteKind.PROPERTY_GET, "Cart.total"),
        ("Cart.total.set", SiteKind.PROPERTY_SET, "Cart.total"),
        ("Cart.size", SiteKind.CACHED_PROPERTY, "Cart.size"),
        ("Cart.load", SiteKind.CLASSMETHOD, "Cart.load"),
        ("Cart.parse", SiteKind.STATICMETHOD, "Cart.parse"),
        ("Cart.bump", SiteKind.PARTIALMETHOD, "Cart.add"),
        ("Cart.Line.price", SiteKind.METHOD, "Cart.Line.price"),
        ("Cart.shared", SiteKind.INHERITED_METHOD, "Base.shared"),
        ("Cart.build", SiteKind.CLASSMETHOD, "Base.build"),
        ("Cart.plain", SiteKind.STATICMETHOD, "Base.plain"),
        ("Meta.__call__", SiteKind.METHOD, "Meta.__call__"),
        ("Callable_.__call__", SiteKind.METHOD, "Callable_.__call__"),
        ("Pair", SiteKind.CLASS, None),
        ("Pair._asdict", SiteKind.METHOD, "_asdict"),
    ],
)
def test_every_kind_of_target_is_named_with_the_function_under_it(
    shop, site, path, kind, function
):
    found = site(f"shop_r.core:{path}")
    assert found.kind is kind
    if function is not None:
        assert type(found.function) is types.FunctionType
        assert found.function.__code__.co_qualname.endswith(function)
        assert found.code is found.function.__code__
        assert found.line > 0


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("os:system", SiteKind.C_FUNCTION),
        ("time:time", SiteKind.C_FUNCTION),
        ("math:sqrt", SiteKind.C_FUNCTION),
        ("builtins:open", SiteKind.C_FUNCTION),
        ("builtins:eval", SiteKind.C_FUNCTION),
        ("builtins:str.join", SiteKind.C_METHOD),
        ("builtins:dict.fromkeys", SiteKind.C_METHOD),
        ("sqlite3:Connection.execute", SiteKind.C_METHOD),
        ("sqlite3:Cursor.execute", SiteKind.C_METHOD),
        ("sqlite3:Cursor", SiteKind.C_TYPE),
        ("_io:FileIO.__init__", SiteKind.C_METHOD),
        ("socket:socket.connect", SiteKind.C_METHOD),
        ("builtins:type", SiteKind.C_TYPE),
        ("datetime:datetime.year", SiteKind.DESCRIPTOR),
        ("sqlite3:Cursor.description", SiteKind.DESCRIPTOR),
        ("random:random", SiteKind.C_FUNCTION),
        ("random:randint", SiteKind.BOUND_METHOD),
        ("collections:OrderedDict", SiteKind.C_TYPE),
        ("socket:socket", SiteKind.CLASS),
    ],
)
def test_code_in_c_is_told_from_code_in_python(site, target, kind):
    importlib.import_module(target.partition(":")[0])
    assert site(target).kind is kind


def test_parameters_are_named_in_order(shop, site):
    charge = site("shop_r.core:charge")
    assert charge.parameters == ("account", "amount", "currency")
    assert (charge.var_positional, charge.var_keyword) == ("rest", "extra")
    half = site("shop_r.core:half")
    assert (half.parameters, half.var_positional, half.var_keyword) == (
        ("value",),
        "",
        "",
    )
    assert site("os:getpid").parameters == ()


@pytest.mark.parametrize(
    ("name", "nature"),
    [
        ("charge", Nature.PLAIN),
        ("fetch", Nature.COROUTINE),
        ("count", Nature.GENERATOR),
        ("managed", Nature.GENERATOR),
        ("stream", Nature.ASYNC_GENERATOR),
    ],
)
def test_the_nature_says_what_a_call_gives_back(shop, site, name, nature):
    assert site(f"shop_r.core:{name}").nature is nature


def test_a_site_says_where_it_stands(shop, site):
    add = site("shop_r.core:Cart.add")
    assert (add.module, add.qualname, add.name) == ("shop_r.core", "Cart.add", "add")
    assert add.target == "shop_r.core:Cart.add"
    assert add.owner is shop.Cart
    assert add.holder is vars(shop.Cart)["add"]
    assert add.own is True
    assert add.file == os.path.realpath(shop.__file__)
    setter = site("shop_r.core:Cart.total.set")
    assert (setter.owner, setter.name) == (shop.Cart, "total")
    charge = site("shop_r.core:charge")
    assert charge.owner is vars(shop)


def test_an_inherited_method_belongs_to_the_class_that_was_named(shop, site):
    shared = site("shop_r.core:Cart.shared")
    assert shared.target == "shop_r.core:Cart.shared"
    assert shared.owner is shop.Cart
    assert shared.holder is vars(shop.Base)["shared"]
    assert shared.own is False
    assert shared.note == "inherited from shop_r.core:Base"


def test_a_decorated_function_says_under_which_decorators_it_stands(shop, site):
    assert site("shop_r.core:decorated").note == (
        "under shop_r.core.loud, shop_r.core.loud"
    )
    assert site("shop_r.core:managed").note == "under contextlib.contextmanager"
    assert site("shop_r.core:Cart.load").note == "under shop_r.core.loud"
    assert site("shop_r.core:memoised").note == "under Memo"


def test_nested_functions_are_found_in_the_code_around_them(shop, site):
    inner = site("shop_r.core:make.<locals>.inner")
    assert inner.kind is SiteKind.NESTED
    assert inner.holder in shop.make.__code__.co_consts
    assert (inner.owner, inner.name, inner.parameters) == (shop.make, "inner", ("x",))
    method = site("shop_r.core:make_class.<locals>.Local.method")
    assert method.parameters == ("self", "y")
    deep = site("shop_r.core:make_class.<locals>.Local.method.<locals>.<lambda>")
    assert deep.parameters == ("z",)


def test_an_alias_of_a_module_leads_to_where_it_lives(site):
    join = site("os.path:join")
    assert join.target == "posixpath:join"
    assert join.note == "os.path:join is posixpath:join"
    assert join.file.endswith("/posixpath.py")
    assert site("os:path.join").target == "posixpath:join"


def test_an_imported_name_leads_to_where_it_was_defined(shop, load, site):
    load("shop_r.api", "from shop_r.core import charge as pay, Cart\n")
    pay = site("shop_r.api:pay")
    assert pay.target == "shop_r.core:charge"
    assert pay.owner is vars(shop)
    assert pay.note == "shop_r.api:pay is shop_r.core:charge"
    add = site("shop_r.api:Cart.add")
    assert (add.target, add.owner) == ("shop_r.core:Cart.add", shop.Cart)
    assert site("shop_r.api:Cart.Line.price").target == "shop_r.core:Cart.Line.price"


def test_a_function_that_lies_about_its_home_stays_where_it_stands(load, site):
    load(
        "shop_r.lies", "def f(): pass\nf.__module__ = 'os'\nf.__qualname__ = 'getpid'\n"
    )
    assert site("shop_r.lies:f").target == "shop_r.lies:f"


def test_a_module_not_imported_is_waited_for(meet):
    found = meet("shop.late:f")
    assert found.state is ResolutionState.WAITING
    assert found.sentence == "waiting: module shop.late is not imported"


def test_a_module_half_imported_is_waited_for(store, meet, load):
    seen = []
    sys.modules["ask_r"] = types.ModuleType("ask_r")
    sys.modules["ask_r"].ask = lambda: seen.append(meet("shop_r.half:g").sentence)
    load("shop_r.half", "import ask_r\ndef f(): pass\nask_r.ask()\ndef g(): pass\n")
    assert seen == ["waiting: module shop_r.half is still being imported"]
    assert meet("shop_r.half:g").state is ResolutionState.RESOLVED


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "shop_r.core:chrage",
            "failed: shop_r.core has no chrage; did you mean 'charge'?",
        ),
        ("shop_r.core:zzz", "failed: shop_r.core has no zzz"),
        (
            "shop_r.core:Cart.ad",
            "failed: shop_r.core:Cart has no ad; did you mean 'add'?",
        ),
        (
            "shop_r.core:Cart.share",
            "failed: shop_r.core:Cart has no share; did you mean 'shared'?",
        ),
        (
            "shop_r.core:make.<locals>.iner",
            "failed: shop_r.core:make has no iner; did you mean 'inner'?",
        ),
        (
            "shop_r.core:LIMIT",
            "failed: shop_r.core:LIMIT is a value of type int and no code",
        ),
        (
            "shop_r.core:Cart.LIMIT",
            "failed: shop_r.core:Cart.LIMIT is a value of type int and no code",
        ),
        (
            "shop_r.core:Cart.total.delete",
            "failed: property shop_r.core:Cart.total has no deleter",
        ),
        ("shop_r.core:charge.__wrapped__", "failed: shop_r.core:charge wraps nothing"),
        (
            "shop_r.core:oracle.ask",
            (
                "failed: shop_r.core:oracle is an object of type Callable_ and no "
                "class: name ask through the class that defines it"
            ),
        ),
        (
            "shop_r.core.Cart:add",
            (
                "failed: shop_r.core.Cart is a class and no module: "
                "write shop_r.core:Cart.add"
            ),
        ),
        (
            "shop_r.core:LIMIT.<locals>.f",
            "failed: shop_r.core:LIMIT is no function written in Python",
        ),
    ],
)
def test_a_name_that_leads_nowhere_says_why_and_what_was_meant(
    shop, meet, target, sentence
):
    assert meet(target).sentence == sentence


def test_an_object_in_place_of_a_module_is_refused(meet, monkeypatch):
    class Odd:
        pass

    monkeypatch.setitem(sys.modules, "odd_r", Odd())
    assert meet("odd_r:f").sentence == (
        "failed: odd_r in sys.modules is no module but an object of type "
        "test_an_object_in_place_of_a_module_is_refused.<locals>.Odd"
    )
    monkeypatch.setitem(sys.modules, "never_r", None)
    assert meet("never_r:f").state is ResolutionState.WAITING


def test_a_name_that_main_may_still_define_is_waited_for(meet, monkeypatch):
    main = types.ModuleType("__main__")
    main.charge = lambda: None
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert meet("__main__:chrage").sentence == (
        "waiting: __main__ has no chrage; did you mean 'charge'?"
    )


def test_a_file_run_as_main_and_imported_is_meant_twice_by_its_name(
    shop, store, meet, monkeypatch
):
    main = types.ModuleType("__main__")
    main.__spec__ = shop.__spec__
    main.__file__ = shop.__file__
    exec(compile(SHOP, shop.__file__, "exec"), vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    both = meet("shop_r.core:charge").sites
    assert {s.function for s in both} == {shop.charge, main.charge}
    assert [s.module for s in both] == ["shop_r.core", "__main__"]
    assert [s.function for s in meet("__main__:charge").sites] == [main.charge]


EXPLODING = """
class Meta(type):
    def __getattribute__(cls, name): raise AssertionError(name)
    def __eq__(cls, other): raise AssertionError("eq")
    __hash__ = type.__hash__
    def __instancecheck__(cls, other): raise AssertionError("instance")
    def __subclasscheck__(cls, other): raise AssertionError("subclass")
    def __dir__(cls): raise AssertionError("dir")
    @property
    def __mro__(cls): raise AssertionError("mro")
    @property
    def __name__(cls): raise AssertionError("name")

class Descriptor:
    def __get__(self, instance, owner=None): raise AssertionError("get")

class Bomb(metaclass=Meta):
    trap = Descriptor()
    def method(self, a): return a
    @property
    def value(self): raise AssertionError("property")

class Child(Bomb):
    pass

class Instance:
    def __getattribute__(self, name): raise AssertionError(name)
    def __eq__(self, other): raise AssertionError("eq")
    def __repr__(self): raise AssertionError("repr")
    def __bool__(self): raise AssertionError("bool")
    def __len__(self): raise AssertionError("len")
    def __hash__(self): raise AssertionError("hash")
    def __call__(self, question): return question
    @property
    def __class__(self): raise AssertionError("class")
    @property
    def __wrapped__(self): raise AssertionError("wrapped")

class Plain(metaclass=Meta):
    pass

instance = Instance()
class_holder = Bomb
plain = type.__call__(Plain)
"""


def test_nothing_of_the_app_runs_while_its_objects_are_resolved(load, meet):
    load("shop_r.bombs", EXPLODING)
    for path, kind in [
        ("Bomb", SiteKind.CLASS),
        ("Bomb.method", SiteKind.METHOD),
        ("Bomb.value", SiteKind.PROPERTY_GET),
        ("Bomb.trap", SiteKind.DESCRIPTOR),
        ("Child.method", SiteKind.INHERITED_METHOD),
        ("class_holder.method", SiteKind.METHOD),
        ("instance", SiteKind.INSTANCE),
        ("Instance.__call__", SiteKind.METHOD),
    ]:
        found = meet(f"shop_r.bombs:{path}")
        assert [s.kind for s in found.sites] == [kind], path
        assert repr(found)
    for path in ("Bomb.nothing", "Child.metho", "instance.x", "plain", "plain.x"):
        assert meet(f"shop_r.bombs:{path}").state is ResolutionState.FAILED
    assert len(meet("shop_r.bombs:*").sites) > 10


def test_a_module_reached_by_a_name_must_be_an_imported_one(load, meet):
    load(
        "shop_r.strange",
        "import types, remora.agent.targets as t\nm = types.ModuleType('m')\n",
    )
    sentence = "failed: the name leads to a module that is not in sys.modules"
    assert meet("shop_r.strange:m.f").sentence == sentence
    assert meet("shop_r.strange:t.resolve").sentence == sentence


def test_chains_of_wrappers_may_have_cycles_and_no_end(load, site):
    module = load(
        "shop_r.chains",
        """
        def a(): pass
        def b(): pass
        a.__wrapped__ = b
        b.__wrapped__ = a
        def long(): pass
        for _ in range(200):
            def outer(): pass
            outer.__wrapped__ = long
            long = outer
        """,
    )
    assert site("shop_r.chains:a").kind is SiteKind.WRAPPED
    assert type(site("shop_r.chains:long").function) is types.FunctionType
    assert module.a.__wrapped__ is module.b


@pytest.mark.parametrize(
    ("target", "module", "concerned"),
    [
        ("shop_r.core:f", "shop_r.core", True),
        ("shop_r.core.alias:f", "shop_r.core", True),
        ("shop_r.cor:f", "shop_r.core", False),
        ("os.path:join", os.path.__name__, True),
        ("os.path:join", "shop_r.core", False),
        ("shop_r.**:*", "shop_r.core", True),
        ("shop_x.**:*", "shop_r.core", False),
        ("shop_r/core.py:3", "shop_r.core", True),
        ("core.py:3", "shop_r.core", True),
        ("ore.py:3", "shop_r.core", False),
    ],
)
def test_news_of_a_module_concern_the_targets_that_can_mean_it(
    shop, store, target, module, concerned
):
    wanted = parse_target(target)
    assert may_concern(wanted, store.find(module)) is concerned
    around, meant = modules_awaited([wanted])
    asked = module in around or not sys.modules.keys().isdisjoint(meant)
    assert asked or not around or not concerned, "the short way skips it"


def test_news_of_other_modules_is_no_news_for_targets_with_a_name(shop):
    around, meant = modules_awaited(map(parse_target, ["a.b:f", "shop_r.cor:f"]))
    assert around == {"a", "a.b", "shop_r", "shop_r.cor"}
    assert meant == {"a.b", "shop_r.cor"}
    assert "shop_r.core" not in around
    assert sys.modules.keys().isdisjoint(meant)
    assert modules_awaited(map(parse_target, ["a.b:f", "a.*:f"])) == (set(), set())


def test_further_kinds_of_classes_and_decorators_are_told(load, site):
    load(
        "shop_r.further",
        """
        import enum, functools, types, typing

        class Colour(enum.Enum):
            RED = 1
            def mix(self): pass

        class Reader(typing.Protocol):
            def read(self): ...

        class Slots:
            __slots__ = ("a",)
            def method(self): pass

        class cached_property:
            def __init__(self, func): self.func = func
            def __get__(self, instance, owner=None): return self.func(instance)

        class Bound:
            def __get__(self, instance, owner=None): return self
            def __call__(self): pass

        class Page:
            bound = Bound()
            @cached_property
            def body(self): return 1
            @functools.singledispatchmethod
            def show(self, value): pass
            run = __import__("os").system

        @types.coroutine
        def older(): yield

        class Error(Exception):
            pass
        """,
    )
    expected = {
        "Colour": SiteKind.CLASS,
        "Colour.mix": SiteKind.METHOD,
        "Reader.read": SiteKind.METHOD,
        "Slots": SiteKind.CLASS,
        "Slots.a": SiteKind.DESCRIPTOR,
        "Page": SiteKind.CLASS,
        "Page.body": SiteKind.CACHED_PROPERTY,
        "Page.bound": SiteKind.DESCRIPTOR,
        "Page.show": SiteKind.SINGLEDISPATCH,
        "Page.run": SiteKind.C_FUNCTION,
        "older": SiteKind.FUNCTION,
        "Error": SiteKind.CLASS,
        "Error.with_traceback": SiteKind.C_METHOD,
    }
    found = {path: site(f"shop_r.further:{path}").kind for path in expected}
    assert found == expected
    assert site("shop_r.further:older").nature is Nature.GENERATOR
