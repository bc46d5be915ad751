"""The app's side of the contract: one piece of code of every kind that can be hooked.

Each fails with the one exception object FAILURE when it is given "boom". The module is
executed anew for each test.
"""

import functools
import types
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass


class Failure(Exception):
    pass


FAILURE = Failure("boom")


def judge(value):
    if value == "boom":
        raise FAILURE
    return value


def function(value, extra: int = 2) -> tuple:
    """Say what it was given."""
    return judge(value), extra


def make(added):
    def inner(value):
        nonlocal added
        judge(value)
        added += 1
        return value, added

    def peek():
        return added

    return inner, peek


closure, peek = make(10)

anonymous = lambda value, *, extra=3: (judge(value), extra)


def decorate(target):
    @functools.wraps(target)
    def wrapper(*args, **kwargs):
        return "decorated", target(*args, **kwargs)

    return wrapper


@decorate
def decorated(value):
    """Stand under a decorator."""
    return judge(value)


class Parent:
    def method(self, value):
        return "parent", judge(value)

    @classmethod
    def build(cls, value):
        return cls.__name__, judge(value)


class Child(Parent):
    def __init__(self, value=None):
        self.value = judge(value)

    def method(self, value, *rest):
        return "child", super().method(value), rest

    @classmethod
    def build(cls, value):
        return "child", super().build(value)

    @staticmethod
    def static(value):
        return "static", judge(value)

    @property
    def shown(self):
        return judge(self.value)

    @shown.setter
    def shown(self, value):
        self.value = judge(value)

    @shown.deleter
    def shown(self):
        judge(self.value)
        self.value = "deleted"

    @functools.cached_property
    def kept(self):
        return "kept", judge(self.value)

    def __call__(self, value):
        return "called", judge(value)

    def __eq__(self, other):
        return judge(other) == self.value

    __hash__ = None


@dataclass(order=True)
class Point:
    x: int
    y: object = 0

    def moved(self, by):
        judge(by)
        return Point(self.x + by, self.y)

    def __post_init__(self):
        judge(self.y)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = judge(value)

    def method(self, value):
        return self.value, judge(value)


def recursive(value, depth=3):
    if depth == 0:
        return judge(value)
    return depth, recursive(value, depth - 1)


def all_kinds(value, second=2, /, third=3, *rest, key, other=5, **more):
    return judge(value), second, third, rest, key, other, more


def cells(value, *rest, key=None, **more):
    def read():
        return value, rest, key, more

    judge(value)
    value = value, "changed"
    return read()


async def coroutine(value):
    await pause()
    return judge(value), await pause()


@types.coroutine
def pause():
    got = yield
    return got


@types.coroutine
def old_style(value):
    yield
    return judge(value)


def generator(value):
    got = []
    try:
        got.append((yield value))
        judge(value)
        got.append((yield "second"))
    except ValueError as error:
        got.append(str(error))
        yield "caught"
    finally:
        LOG.append("generator ended")
    return got


LOG = []


async def async_generator(value):
    got = []
    try:
        got.append((yield value))
        judge(value)
        got.append((yield "second"))
    except ValueError as error:
        got.append(str(error))
        yield "caught"
    finally:
        LOG.append("async generator ended")
    yield got


@contextmanager
def context(value):
    LOG.append("entered")
    try:
        yield judge(value)
    finally:
        LOG.append("left")


@asynccontextmanager
async def async_context(value):
    LOG.append("entered")
    try:
        yield judge(value)
    finally:
        LOG.append("left")
