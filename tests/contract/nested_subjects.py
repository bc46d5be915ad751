"""The app's side for functions within functions. Executed anew for each test."""

import functools


def make(n):
    def inner(value, *rest, key=1, **more):
        """Count up."""
        nonlocal n
        if value == "boom":
            raise LookupError(n)
        n += key
        return value, n, rest, more

    return inner


def pair(n):
    def add(value):
        nonlocal n
        n += value
        return n

    return add, lambda value: (n, value)


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return "decorated", function(*args, **kwargs)

    return wrapper


@decorate
def decorated(value):
    return value


def outermost(added):
    def middle(more):
        def innermost(value):
            return value + added + more

        return innermost

    return middle


def make_class(added):
    class Parent:
        def method(self, value):
            return value + added

    class Local(Parent):
        def __init__(self):
            super().__init__()

        def method(self, value):
            return super().method(value)

    return Local


class Holder:
    def method(self):
        def inner(value):
            return self, value

        return inner


def make_plain():
    def inner(value):
        return value

    return inner


def make_generator():
    def inner(value):
        got = yield value
        return got

    return inner


def make_coroutine():
    async def inner(value):
        return value

    return inner


def make_async_generator():
    async def inner(value):
        yield value
        yield "second"

    return inner


def make_recursive():
    def inner(value):
        return 0 if value == 0 else 1 + inner(value - 1)

    return inner


def running():
    while True:

        def inner(value):
            return value

        yield inner


def either(which):
    if which:

        def inner(value):
            return "yes", value
    else:

        def inner(value):
            return "no", value

    return inner


kept = make(10)
