"""What a call may be given, where no code of Python says it at the place itself.

C functions describe themselves in a text (`($module, path, /, *, mode=511)`), or not at
all: then all that can be named is `args` and `kwargs`. What wraps a Python function
(a cache, a partial, a class) takes that function's parameters, less those it fills in.
"""

from __future__ import annotations

import ast
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from remora.agent.runtime import builtin_object
from remora.agent.targets.code import CO_VARARGS, CO_VARKEYWORDS
from remora.expression.source_text import parse_source
from remora.values import field, frozen_by_identity, replace

if TYPE_CHECKING:
    from collections.abc import Callable

AppValue = Any

_text_of_class: Callable[[type], AppValue] = vars(type)["__text_signature__"].__get__
"""Past its metaclass, which may answer for itself."""

_TEXT_LIMIT = 4096
"""Characters of a signature: the longest in the standard library has about 300."""


@frozen_by_identity
class Signature:
    """Parameters by name: the positional ones, of which some have no keyword."""

    positional: tuple[str, ...] = ()
    positional_only: int = 0
    keyword_only: tuple[str, ...] = ()
    var_positional: str = ""
    var_keyword: str = ""
    defaults: dict[str, AppValue] = field(default_factory=dict[str, AppValue])
    optional: int = 0
    """How many positional parameters may be left out, also by unknown defaults."""
    is_known: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All names; the two that gather the rest come last."""
        rest = (self.var_positional, self.var_keyword)
        return (*self.positional, *self.keyword_only, *filter(None, rest))

    def after(self, filled: int, bound: dict[str, AppValue] | None = None) -> Signature:
        """The parameters that are left when something fills in the first ones.

        What is `bound` by name may still be given, and is the default now.
        """
        filled = min(filled, len(self.positional))
        return Signature(
            self.positional[filled:],
            max(self.positional_only - filled, 0),
            self.keyword_only,
            self.var_positional,
            self.var_keyword,
            self.defaults | (bound or {}),
            self.optional,
        )

    def behind_object(self) -> Signature:
        """The same where the called object comes first, as `self` does."""
        return replace(
            self,
            positional=(OBJECT, *self.positional),
            positional_only=self.positional_only + 1,
        )


OBJECT = ".object"
"""No name that anybody can ask for."""

UNKNOWN = Signature(var_positional="args", var_keyword="kwargs", is_known=False)
"""Of a callable that does not say what it takes."""


NOTHING = Signature()
"""Of a callable that takes no arguments."""


def signature_of_function(function: FunctionType) -> Signature:
    """The signature that a function's code has, with the defaults it has now."""
    return _signature_of_code(
        function.__code__, function.__defaults__, function.__kwdefaults__
    )


def signature_of_compiled(function: AppValue) -> Signature:
    """The signature of a function made by Cython, which shows code as Python's do."""
    code = getattr(function, "__code__", None)
    if type(code) is not CodeType:
        return UNKNOWN
    return _signature_of_code(code, function.__defaults__, function.__kwdefaults__)


def _signature_of_code(
    code: CodeType,
    given: tuple[AppValue, ...] | None,
    given_by_name: dict[str, AppValue] | None,
) -> Signature:
    names, count = code.co_varnames, code.co_argcount
    end = count + code.co_kwonlyargcount
    has_rest = bool(code.co_flags & CO_VARARGS)
    values = given or ()
    defaults = dict(zip(names[count - len(values) : count], values, strict=True))
    return Signature(
        names[:count],
        code.co_posonlyargcount,
        names[count:end],
        names[end] if has_rest else "",
        names[end + has_rest] if code.co_flags & CO_VARKEYWORDS else "",
        defaults | (given_by_name or {}),
        len(values),
    )


def signature_of_c(function: AppValue, *, drops_first: bool) -> Signature:
    """The signature that a C function, method or class says it has, or UNKNOWN.

    `drops_first` leaves out the module or object that the text begins with.
    """
    if issubclass(type(function), type):
        text = _text_of_class(function)
    else:
        text = getattr(function, "__text_signature__", None)
    if type(text) is str and len(text) < _TEXT_LIMIT:
        read = _read(text, drops_first=drops_first)
        if read is not None:
            return read
    if not builtin_object.HAS_LAYOUT or type(function) is not BuiltinFunctionType:
        return UNKNOWN
    takes_nothing = builtin_object.flags_of(function) & builtin_object.METH_NOARGS
    return NOTHING if takes_nothing else UNKNOWN


def _read(text: str, *, drops_first: bool) -> Signature | None:
    begins_with_self = text.startswith("($")
    plain = text.replace("($", "(", 1).replace("<unrepresentable>", "...")
    try:
        tree = parse_source(f"def f{plain}: pass")
    except (SyntaxError, ValueError):
        return None
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    arguments = definition.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    keyword_only = [a.arg for a in arguments.kwonlyargs]
    names = positional[len(positional) - len(arguments.defaults) :] + keyword_only
    given = zip(names, [*arguments.defaults, *arguments.kw_defaults], strict=True)
    read = Signature(
        tuple(positional),
        len(arguments.posonlyargs),
        tuple(keyword_only),
        "" if arguments.vararg is None else arguments.vararg.arg,
        "" if arguments.kwarg is None else arguments.kwarg.arg,
        {
            name: default.value
            for name, default in given
            if isinstance(default, ast.Constant) and default.value is not ...
        },
        len(arguments.defaults),
    )
    return read.after(1) if begins_with_self and drops_first else read
