"""Making a trampoline: a template with the hooks and the original put in.

`exact` makes the code object that stands in for a Python function's own; `Loose` makes
a function that stands in for a callable of any other kind.
"""

from __future__ import annotations

import builtins
import sys
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception.plan import GUARDED, UNGUARDED
from remora.agent.interception.template import (
    PLAIN,
    Shape,
    StepShape,
    nature_of,
    placeholder,
    template,
)
from remora.agent.runtime import guard, originals
from remora.agent.runtime.frame_locals import OWN_LOCALS
from remora.agent.targets import TRAMPOLINE_MARK
from remora.agent.targets.code import (
    CO_HAS_DOCSTRING,
    CO_ITERABLE_COROUTINE,
    CO_NESTED,
    CO_VARARGS,
    CO_VARKEYWORDS,
    parameters,
)
from remora.expression import MISSING
from remora.values import frozen_by_identity

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature

    _Places = tuple[
        list[tuple[int, str]], list[tuple[int, int]], list[tuple[int, tuple[int, ...]]]
    ]
    """By their positions: placeholders, names of keywords, tuples of such names."""

_traceback = vars(BaseException)["__traceback__"]
"""The descriptor itself: a class of the app may have its own way to set attributes."""


def _first_step(generator: AsyncGenerator[AppValue, AppValue]) -> Awaitable[AppValue]:
    """Begin to run an async generator without telling the event loop of it.

    An event loop keeps a list of all that have begun, to close them at its end. It must
    know the outer one only, ours: closing both at a time fails with "asynchronous
    generator is already running" as soon as the inner one's `finally` awaits.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


_ALWAYS: dict[str, object] = {
    "NOW": originals.perf_counter_ns,
    "IDENT": originals.get_ident,
    "LENGTH": originals.length,
    "GET": dict.get,  # the method itself: the name in the type may be diverted
    "BASE": BaseException,
    "CLOSING": GeneratorExit,
    "ENDED": StopAsyncIteration,
    "FIRST": _first_step,
    "TRACE": _traceback.__get__,
    "SETTRACE": _traceback.__set__,
}
"""Placeholders that stand for the same thing in every trampoline."""


def exact(
    code: CodeType,
    clone: FunctionType | None,
    site: str,
    steps: tuple[Step, ...],
    driver: Driver,
) -> CodeType:
    """The code that runs the steps and `clone`, with the signature of `code`.

    Where there is no clone, each call makes one of `code` from the cells and the
    globals of the function that is called: any function made of `code` can have it.
    """
    names = parameters(code)
    shape = shape_of(code, steps)
    if clone is None:
        shape = shape._replace(cells=len(code.co_freevars))
    made = template(shape)
    values = values_of(site, steps, driver)
    values |= {"CLONE": clone, **names_of(code, shape)}
    if clone is None:
        values |= {"CODE": code, "DOC": _docstring(code)}
    return made.replace(
        co_consts=(*constants(made, values, keywords_of(code)), TRAMPOLINE_MARK),
        co_varnames=(
            *names,
            *(f"{OWN_LOCALS}{n}" for n in range(len(made.co_varnames) - len(names))),
        ),
        co_freevars=code.co_freevars,
        co_filename=code.co_filename,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
        co_flags=(made.co_flags & ~CO_HAS_DOCSTRING) | (code.co_flags & _KEPT_FLAGS),
    )


def shape_of(code: CodeType, steps: tuple[Step, ...]) -> Shape:
    """What of a function's code and its steps decides the trampoline."""
    return Shape(
        nature=nature_of(code),
        positional=code.co_argcount,
        positional_only=code.co_posonlyargcount,
        keyword_only=code.co_kwonlyargcount,
        varargs=bool(code.co_flags & CO_VARARGS),
        varkeywords=bool(code.co_flags & CO_VARKEYWORDS),
        steps=_step_shapes(steps, parameters(code), UNGUARDED),
    )


_KEPT_FLAGS = CO_ITERABLE_COROUTINE | CO_NESTED | CO_HAS_DOCSTRING


def _docstring(code: CodeType) -> str | None:
    """What a function made of this code has as its docstring."""
    cells = tuple(CellType() for _ in code.co_freevars)
    return FunctionType(code, {}, None, None, cells).__doc__


# Compared by identity: the generated methods would call the app's.
@frozen_by_identity
class Loose:
    """What stands for a callable that has no code to swap, whatever it is given.

    `shield` is the guard of steps that have none of their own.
    """

    original: Callable[..., AppValue]
    name: str
    signature: Signature
    site: str
    driver: Driver
    shield: str
    nature: str = PLAIN
    takes_keywords: bool = True
    is_exact: bool = False
    """Whether the signature has no optional parameter and can be taken at its word."""

    def function(self, steps: tuple[Step, ...]) -> FunctionType:
        """A function that runs the steps and the original.

        A C function that imports a module takes `__import__` from the globals of the
        frame below it, which is this function's (PyImport_Import in Python/import.c).
        """
        made = template(self._shape(steps))
        signature, names = self.signature, self.signature.names
        values = values_of(self.site, steps, self.driver)
        values |= {
            "CLONE": self.original,
            "ALL": names,
            "NAMES": signature.positional,
            "STARS": (signature.var_positional, signature.var_keyword),
        }
        for number, parameter in enumerate(names):
            values[f"NAME{number}"] = parameter
            values[f"DEFAULT{number}"] = signature.defaults.get(parameter, MISSING)
        code = made.replace(
            co_consts=(*constants(made, values, ()), TRAMPOLINE_MARK),
            co_varnames=(
                *(names if self.is_exact else ()),
                *made.co_varnames[len(names) if self.is_exact else 0 :],
            ),
            co_name=self.name,
            co_qualname=self.name,
        )
        return FunctionType(code, {"__name__": __name__, "__builtins__": builtins})

    def _shape(self, steps: tuple[Step, ...]) -> Shape:
        signature = self.signature
        loose = "keywords" if self.takes_keywords else "positional"
        return Shape(
            nature=self.nature,
            positional=len(signature.positional),
            positional_only=signature.positional_only,
            keyword_only=len(signature.keyword_only),
            varargs=bool(signature.var_positional),
            varkeywords=bool(signature.var_keyword),
            steps=_step_shapes(steps, signature.names, self.shield),
            loose="" if self.is_exact else loose,
        )


def keywords_of(code: CodeType) -> tuple[str, ...]:
    """The keyword-only parameters."""
    return code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]


def names_of(code: CodeType, shape: Shape) -> dict[str, object]:
    """What the placeholders for the parameters' names stand for."""
    names = parameters(code)
    rest = names[shape.positional + shape.keyword_only :]
    stars = (
        rest[0] if shape.varargs else "",
        rest[-1] if shape.varkeywords else "",
    )
    return {"ALL": names, "NAMES": names[: shape.positional], "STARS": stars}


def _step_shapes(
    steps: tuple[Step, ...], names: tuple[str, ...], shield: str
) -> tuple[StepShape, ...]:
    # Lists cost less than generators, and there is one for each function of a glob.
    shapes = [
        StepShape(
            step.phase,
            tuple([w if w.startswith("@") else names.index(w) for w in step.wants]),
            step.slot is not None,
            GUARDED if step.guarded else shield,
            step.awaits,
            step.closing,
            step.check is not None,
            step.only is not None,
        )
        for step in steps
    ]
    return tuple(shapes)


def values_of(site: str, steps: tuple[Step, ...], driver: Driver) -> dict[str, object]:
    """What the placeholders stand for, but for the parameters and the original."""
    values = _ALWAYS | {
        "GUARD": guard.marks,
        "ADD": guard.busy.add,
        "DISCARD": guard.busy.discard,
        "RAISE": guard.shielded.add,
        "LOWER": guard.shielded.discard,
        "ARGUMENTS": driver.arguments,
        "GIVE": driver.give,
        "REBIND": driver.rebind,
        "CALL": driver.call,
        "SITE": site,
    }
    for number, step in enumerate(steps):
        values[f"HOOK{number}"] = step.call
        values[f"FAULT{number}"] = step.fault
        values[f"CHECK{number}"] = step.check
        if step.slot is not None:
            values[f"SLOT{number}"] = step.slot
        if step.only is not None:
            values[f"ONLY{number}"] = step.only
    return values


_places: dict[int, tuple[CodeType, _Places]] = {}
"""By the identity of a template, which is kept beside: hashing a code object costs as
much as making the trampoline."""

_PLACES_LIMIT = 1000
"""As many as there are templates."""


def constants(
    made: CodeType, values: dict[str, object], keyword_names: tuple[str, ...]
) -> list[object]:
    """The template's constants with placeholders and keyword names put in."""
    known = _places.get(id(made))
    if known is None or known[0] is not made:
        if len(_places) >= _PLACES_LIMIT:
            _places.clear()
        known = _places[id(made)] = made, _find_places(made, len(keyword_names))
    named, keywords, tuples = known[1]
    constants: list[object] = list(made.co_consts)
    for place, name in named:
        constants[place] = values[name]
    for place, number in keywords:
        constants[place] = keyword_names[number]
    for place, numbers in tuples:
        constants[place] = tuple(keyword_names[number] for number in numbers)
    return constants


def _find_places(made: CodeType, keyword_count: int) -> _Places:
    """Where in the constants of a template something else is put in."""
    numbers = {f"k{n}": n for n in range(keyword_count)}
    named: list[tuple[int, str]] = []
    keywords: list[tuple[int, int]] = []
    tuples: list[tuple[int, tuple[int, ...]]] = []
    for place, constant in enumerate(made.co_consts):
        if type(constant) is str and constant.startswith(placeholder("")):
            named.append((place, constant.removeprefix(placeholder(""))))
        elif type(constant) is CodeType:
            named.append((place, "CODE"))
        elif type(constant) is str and constant in numbers:
            keywords.append((place, numbers[constant]))
        elif type(constant) is tuple and constant and numbers.keys() >= set(constant):
            tuples.append((place, tuple(numbers[name] for name in constant)))
    return named, keywords, tuples
