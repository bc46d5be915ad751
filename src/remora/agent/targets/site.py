"""Sites: resolved places in this process, and what a resolution came to."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from remora.agent.targets.code import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_GENERATOR,
    CO_VARARGS,
    CO_VARKEYWORDS,
)
from remora.values import frozen, frozen_by_identity

if TYPE_CHECKING:
    from types import CodeType

    from remora.agent.targets.signature import Signature
    from remora.protocol import Target

AppValue = Any

MaybeFunction = Any
"""FunctionType or None. A checker binds a field of type FunctionType as if it were a
method, so it cannot be said as a type."""


class SiteKind(Enum):
    """What stands at a site. The values are what people read in `remora points`."""

    FUNCTION = "function"
    NESTED = "nested function"
    LAMBDA = "lambda"
    METHOD = "method"
    INHERITED_METHOD = "inherited method"
    CLASSMETHOD = "classmethod"
    STATICMETHOD = "staticmethod"
    BOUND_METHOD = "bound method"
    PROPERTY_GET = "property get"
    PROPERTY_SET = "property set"
    PROPERTY_DELETE = "property delete"
    CACHED_PROPERTY = "cached_property"
    INSTANCE = "callable instance"
    CLASS = "class construction"
    PARTIAL = "partial"
    PARTIALMETHOD = "partialmethod"
    LRU_CACHE = "lru_cache"
    SINGLEDISPATCH = "singledispatch"
    WRAPPED = "wrapped"
    DESCRIPTOR = "descriptor"
    C_FUNCTION = "c function"
    C_METHOD = "c method"
    C_TYPE = "c type"
    CYTHON_FUNCTION = "cython function"
    LINE = "line"

    # Enum's own is a Python function, and each site is looked up a score of times.
    __hash__ = object.__hash__


CLASSES = frozenset({SiteKind.CLASS, SiteKind.C_TYPE})
"""Kinds whose calls make an object."""


class Nature(Enum):
    """What a call of the code gives back."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


class ResolutionState(Enum):
    """What resolving a target came to."""

    RESOLVED = "resolved"
    WAITING = "waiting"
    FAILED = "failed"


# Compared by identity and shown without their values: the generated methods would call
# the app's `__eq__` and `__repr__`.
@frozen_by_identity
class Site:
    """A place in this process where a call, or a line, can be diverted.

    `module` and `qualname` say where the code lives, `target` is their text. `owner` is
    a module's namespace, a class, or for nested code and `__wrapped__` the function
    around it; `holder` is the raw object that stands in the owner (or the code object
    of a nested function or line); `own` says whether it stands in that very owner.
    `function` is the Python function whose code runs in the end, found under
    descriptors and decorators, or None where there is none. `signature` is what a call
    takes where that is not what the code of `function` takes.
    """

    module: str
    qualname: str
    kind: SiteKind
    owner: AppValue
    name: str
    holder: AppValue
    function: MaybeFunction
    code: CodeType | None
    own: bool
    file: str
    line: int
    note: str
    signature: Signature | None = None

    def __repr__(self) -> str:
        return f"<Site {self.target} {self.kind.value}>"

    @property
    def target(self) -> str:
        """The text that names this site; for lines, the file and line."""
        if self.kind is SiteKind.LINE:
            return f"{self.file}:{self.line}"
        return f"{self.module}:{self.qualname}"

    @property
    def is_one_of_many(self) -> bool:
        """Whether the code serves other objects too, and calls of `holder` are meant.

        So it is with the `__call__` of a class, and of a metaclass.
        """
        if self.kind is SiteKind.INSTANCE:
            return self.function is not None
        return self.kind in CLASSES and self.signature is None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names: positional-only, positional, keyword-only, in this order."""
        if self.signature is not None:
            return tuple(
                name
                for name in (*self.signature.positional, *self.signature.keyword_only)
                if not name.startswith(".")
            )
        code = self.code
        if code is None:
            return ()
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @property
    def hidden(self) -> int:
        """How many positional arguments no caller writes: the object of a method."""
        signature = self.signature
        if signature is not None:
            unnamed = sum(name.startswith(".") for name in signature.positional)
            # Nobody can name the object that a method of C is called with.
            return unnamed or int(self._is_compiled_method)
        return int(self.code is not None and self.kind in _WITH_OBJECT)

    @property
    def counted(self) -> tuple[str, ...]:
        """The names of positional parameters as a caller counts them."""
        if self.signature is not None:
            return self.signature.positional[self.hidden :]
        if self.code is None:
            return ()
        return self.code.co_varnames[self.hidden : self.code.co_argcount]

    @property
    def _is_compiled_method(self) -> bool:
        if self.kind is SiteKind.CYTHON_FUNCTION:
            return "." in self.qualname
        return self.kind is SiteKind.C_METHOD

    @property
    def var_positional(self) -> str:
        """The name of `*args`, or ""."""
        if self.signature is not None:
            return self.signature.var_positional
        code = self.code
        if code is None or not code.co_flags & CO_VARARGS:
            return ""
        return code.co_varnames[code.co_argcount + code.co_kwonlyargcount]

    @property
    def var_keyword(self) -> str:
        """The name of `**kwargs`, or ""."""
        if self.signature is not None:
            return self.signature.var_keyword
        code = self.code
        if code is None or not code.co_flags & CO_VARKEYWORDS:
            return ""
        position = code.co_argcount + code.co_kwonlyargcount
        return code.co_varnames[position + bool(code.co_flags & CO_VARARGS)]

    @property
    def nature(self) -> Nature:
        """What a call of the code gives back."""
        if self.code is None or self.signature is not None:
            return Nature.PLAIN
        flags = self.code.co_flags
        for bit, nature in _NATURES:
            if flags & bit:
                return nature
        return Nature.PLAIN


_WITH_OBJECT = frozenset(
    {
        SiteKind.METHOD,
        SiteKind.INHERITED_METHOD,
        SiteKind.CLASSMETHOD,
        SiteKind.BOUND_METHOD,
        SiteKind.INSTANCE,
        SiteKind.CLASS,
    }
)
"""Kinds whose code has the object or class as its first parameter."""

_NATURES = (
    (CO_COROUTINE, Nature.COROUTINE),
    (CO_GENERATOR, Nature.GENERATOR),
    (CO_ASYNC_GENERATOR, Nature.ASYNC_GENERATOR),
)
"""By flags of code; `types.coroutine` leaves a function a generator by its nature."""


@frozen
class Resolution:
    """The sites a target means now, or the sentence why there are none."""

    target: Target
    state: ResolutionState
    sites: tuple[Site, ...] = ()
    reason: str = ""

    @property
    def sentence(self) -> str:
        """State and reason, as shown: `waiting: module shop.late is not imported`."""
        return f"{self.state.value}: {self.reason}" if self.reason else self.state.value


@frozen
class Point:
    """A place that can be probed, as `remora points` lists it."""

    target: str
    kind: str
    file: str
    line: int
    note: str

    def to_json(self) -> dict[str, object]:
        """Return the message of docs/protocol.md, section Query."""
        return {
            "target": self.target,
            "kind": self.kind,
            "file": self.file,
            "line": self.line,
            "note": self.note,
        }
