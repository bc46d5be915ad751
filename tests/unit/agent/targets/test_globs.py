from __future__ import annotations

import time

from remora.agent.targets import ResolutionState, points, resolve, sites_meant
from remora.protocol import parse_target, parse_targets

CORE = """
import functools
from os import system, getpid
from json import dumps
from collections import OrderedDict

def charge(amount): return amount
alias = charge

def loud(function):
    @functools.wraps(function)
    def wrapper(*args): return function(*args)
    return wrapper

@loud
def refund(amount): return amount

class Cart:
    LIMIT = 1
    borrowed = dumps
    def add(self, item): return item
    again = add
    @property
    def total(self): return 1
    @total.setter
    def total(self, value): pass
    @total.deleter
    def total(self): pass
    @staticmethod
    def parse(text): return text
    class Line:
        def price(self): return 1

Basket = Cart
VALUE = [1, 2]
instance = Cart()
"""

OTHER = """
from shop_g.core import charge, Cart, loud
def charge_twice(): pass
@loud
def decorated_elsewhere(): pass
class Cart:
    def add(self): pass
"""


def names(resolution):
    return sorted(site.target for site in resolution.sites)


def load_shop(load):
    load("shop_g.core", CORE)
    load("shop_g.other", OTHER)


def test_a_star_is_each_function_defined_there_once(load, meet):
    load_shop(load)
    assert [site.target for site in meet("shop_g.core:*").sites] == [
        "shop_g.core:charge",
        "shop_g.core:loud",
        "shop_g.core:refund",
        "shop_g.core:Cart.add",
        "shop_g.core:Cart.total",
        "shop_g.core:Cart.total.set",
        "shop_g.core:Cart.total.delete",
        "shop_g.core:Cart.parse",
        "shop_g.core:Cart.Line.price",
    ]


def test_imported_names_belong_to_the_module_that_defines_them(load, meet):
    load_shop(load)
    assert names(meet("shop_g.other:*")) == [
        "shop_g.other:Cart.add",
        "shop_g.other:charge_twice",
        "shop_g.other:decorated_elsewhere",
    ]


def test_two_stars_are_the_package_and_all_below_it(load, meet):
    load_shop(load)
    assert names(meet("shop_g.**:Cart.*")) == [
        "shop_g.core:Cart.add",
        "shop_g.core:Cart.parse",
        "shop_g.core:Cart.total",
        "shop_g.other:Cart.add",
    ]
    assert names(meet("shop_g.*:char*")) == [
        "shop_g.core:charge",
        "shop_g.other:charge_twice",
    ]


def test_a_glob_can_be_limited_to_the_module_that_is_news(load, store):
    load_shop(load)
    target = parse_target("shop_g.**:*")
    found = resolve(target, store, within=store.find("shop_g.other"))
    assert {site.module for site in found.sites} == {"shop_g.other"}
    outside = resolve(target, store, within=store.find("os"))
    assert outside.sites == ()


def test_exclusions_take_away(load, store):
    load_shop(load)
    targets = parse_targets(["shop_g.**:*", "!shop_g.core:Cart.*", "!shop_g.other"])
    assert [site.qualname for site in sites_meant(targets, store)] == [
        "charge",
        "loud",
        "refund",
        "Cart.total.set",
        "Cart.total.delete",
        "Cart.Line.price",
    ]


def test_what_several_targets_mean_is_listed_once(load, store):
    load_shop(load)
    targets = parse_targets(
        ["shop_g.core:charge", "shop_g.core:c*", "shop_g.other:charge"]
    )
    assert [site.target for site in sites_meant(targets, store)] == [
        "shop_g.core:charge"
    ]


def test_functions_and_methods_in_c_are_listed(meet):
    import math
    import sqlite3

    del math, sqlite3
    assert "math:sqrt" in names(meet("math:*"))
    assert names(meet("sqlite3:Cursor.execute*")) == [
        "sqlite3:Cursor.execute",
        "sqlite3:Cursor.executemany",
        "sqlite3:Cursor.executescript",
    ]


def test_a_glob_that_means_nothing_yet_waits_and_says_so(load, meet):
    load_shop(load)
    assert meet("shop_late.**:*").sentence == (
        "waiting: no module matching shop_late.** is imported"
    )
    found = meet("shop_g.core:pay*")
    assert found.state is ResolutionState.WAITING
    assert found.reason == (
        "no function matches pay* in the 1 imported modules matching shop_g.core"
    )


def test_a_name_with_odd_signs_in_it_does_not_make_a_glob_slow(store, meet):
    import sys
    import types

    name = "__editable___finder_of_a_project_with_a_long_name-1.0"
    sys.modules[name] = types.ModuleType(name)
    try:
        started = time.process_time()
        meet("**:nothing_has_this_name")
        assert time.process_time() - started < 2
    finally:
        del sys.modules[name]


def test_the_agent_itself_is_never_meant(meet):
    import remora.agent.targets.globs

    assert meet("remora.agent.**:*").sites == ()
    assert meet("agent/targets/globs.py:60").sites == ()
    assert meet("remora.agent.targets.globs:once").sentence == (
        "failed: remora.agent.targets.globs belongs to the agent and cannot be probed"
    )
    assert remora.agent.targets.globs.once


def test_points_say_what_can_be_probed_and_how_many_more(load, store):
    load_shop(load)
    listed, more = points(parse_targets("shop_g.core:*"), store, 2)
    assert more == 7
    assert [point.to_json()["target"] for point in listed] == [
        "shop_g.core:charge",
        "shop_g.core:loud",
    ]
    assert listed[0].to_json() == {
        "target": "shop_g.core:charge",
        "kind": "function",
        "file": listed[0].file,
        "line": 7,
        "note": "",
    }
    assert listed[0].file.endswith("/shop_g/core.py")


def test_ten_thousand_functions_are_listed_in_a_moment(load, store):
    load("shop_g.large", "\n".join(f"def f{n}(a): pass" for n in range(10_000)))
    targets = parse_targets("shop_g.large:*")
    started = time.process_time()
    listed, more = points(targets, store, 100)
    spent = time.process_time() - started
    assert (len(listed), more) == (100, 9_900)
    # The budget is 0.3 s; the rest is for a loaded machine.
    assert spent < 1.5
