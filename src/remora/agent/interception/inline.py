"""Making the code of a function with the steps around its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception.inline_template import inline_template
from remora.agent.interception.splice import splice
from remora.agent.interception.trampoline import (
    constants,
    keywords_of,
    names_of,
    shape_of,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.interception.template import Shape

_pop = dict.pop
"""The method itself: the name in the type may be diverted."""


def inline(
    code: CodeType, site: str, steps: tuple[Step, ...], driver: Driver
) -> CodeType:
    """The code with the steps around it. Raises ValueError where that cannot be."""
    shape = shape_of(code, steps)
    made = inline_template(shape)
    values = values_of(site, steps, driver)
    values |= names_of(code, shape)
    values |= {"BODY": None, "REBIND": _rebinding(shape, keywords_of(code), driver)}
    return splice(made, code, constants(made.code, values, keywords_of(code)))


def _rebinding(
    shape: Shape, keywords: tuple[str, ...], driver: Driver
) -> Callable[..., tuple[AppValue, ...]]:
    """What gives the values of all parameters as an outcome changes them.

    No builtin is called by its name here: it may be the very one that is diverted.
    """
    count, rebind = shape.positional, driver.rebind

    def rebound(
        outcome: object,
        names: tuple[str, ...],
        stars: tuple[str, str],
        args: tuple[AppValue, ...],
        kwargs: dict[str, AppValue],
    ) -> tuple[AppValue, ...]:
        args, kwargs = rebind(outcome, names, stars, args, kwargs)
        values = [*args[:count], *[_pop(kwargs, name) for name in keywords]]
        if shape.varargs:
            values += [args[count:]]
        if shape.varkeywords:
            values += [kwargs]
        return (*values,)

    return rebound
