"""Redirecting a C function: the builtin object itself leads to our trampoline.

The object keeps its identity; the words in it that say which C function runs, and with
which `self`, change in one write. So whoever holds the function is reached, also bound
to a class, in a tuple or imported by name. The original runs through a clone.

What takes the call is CPython's own `PyObject_Vectorcall` with an object of ours as
`self`: no callback of ctypes is involved, and an exception passes as from any call.
That object is a module, as `self` of such a function always is: pickling and
`inspect.signature` go by it.

Known differences while redirected: the function's hash and `__self__`; a name that is
called where the interpreter has specialised `len` or `isinstance` passes by.
"""

from __future__ import annotations

import _weakref
import sys
from types import BuiltinFunctionType, ModuleType
from typing import TYPE_CHECKING

from remora.agent.interception import frame_readers
from remora.agent.interception.shield import shield_of
from remora.agent.interception.trampoline import Loose
from remora.agent.runtime import builtin_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.interception.plan import AppValue, Driver, Step
    from remora.agent.targets import Signature

MECHANISM = "redirection"
WHY = "a C function: the object itself is redirected, so every reference is reached"

_PAST_IT = "; compiled code may call its own functions past their objects"
"""Code that mypyc compiled does so."""

_TAKES_VECTOR = builtin_object.METH_FASTCALL | builtin_object.METH_KEYWORDS


class _Detour:
    """What a builtin is led to: an object that is called, and the words for it.

    Kept for as long as the process lives, once for each builtin that was ever
    redirected: a thread may have read the words just before they were put back.
    """

    __slots__ = (
        "builtin",
        "clone",
        "definition",
        "kind",
        "redirected",
        "reference",
        "words",
    )

    def __init__(self, builtin: AppValue) -> None:
        self.builtin = builtin
        # As long as this one lives, new weak references leave the word for them as it
        # is, and the words may be written as they were read.
        self.reference = _weakref.ref(builtin)
        self.words = builtin_object.words(builtin)
        self.clone = builtin_object.clone(builtin)
        owner = getattr(builtin, "__self__", None)
        name = owner.__name__ if type(owner) is ModuleType else ""
        self.kind = type("module", (ModuleType,), {"__module__": "builtins"})
        target = self.kind(name)
        builtin_object.keep_for_ever(target)
        self.definition, address = builtin_object.definition_like(
            self.words[builtin_object.DEFINITION], "PyObject_Vectorcall", _TAKES_VECTOR
        )
        # made to learn what CPython puts into the last word for such a definition
        sample = builtin_object.words(builtin_object.make(address, id(target), 0))
        self.redirected = list(self.words)
        for word in (builtin_object.DEFINITION, builtin_object.SELF):
            self.redirected[word] = sample[word]
        self.redirected[builtin_object.VECTOR_CALL] = sample[builtin_object.VECTOR_CALL]

    @property
    def takes_keywords(self) -> bool:
        """Whether the original takes keywords at all."""
        flags = builtin_object.flags_of(self.clone)
        return bool(flags & builtin_object.METH_KEYWORDS)

    def lead_to(self, function: Callable[..., AppValue]) -> None:
        """What calls run from now on, where the builtin is redirected."""
        setattr(self.kind, "__call__", staticmethod(function))  # noqa: B010 - a dunder of a class made here

    def install(self) -> None:
        """Redirect."""
        builtin_object.write(self.builtin, self.redirected)

    def undo(self) -> None:
        """Put the very words back; who read ours just before runs the clone."""
        builtin_object.write(self.builtin, self.words)
        self.lead_to(self.clone)


_detours: dict[int, _Detour] = {}


class Redirection:
    """The interception of one builtin. Made by `interception.intercept`."""

    __slots__ = ("_detour", "_loose", "mechanism", "why")

    def __init__(
        self,
        builtin: AppValue,
        site: str,
        signature: Signature,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY if _is_of_python(builtin) else WHY + _PAST_IT
        detour = _detours.get(id(builtin))
        if detour is None:
            detour = _detours[id(builtin)] = _Detour(builtin)
        self._detour = detour
        self._loose = Loose(
            frame_readers.shim(builtin, detour.clone),
            builtin.__name__,
            signature,
            site,
            driver,
            shield_of(builtin),
            takes_keywords=detour.takes_keywords,
            is_exact=_is_exact(builtin, signature),
        )
        self.update(steps)
        detour.install()

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        self._detour.lead_to(self._loose.function(steps))

    def remove(self) -> bool:
        """Put the identical words back."""
        self._detour.undo()
        return True


def _is_exact(builtin: AppValue, signature: Signature) -> bool:
    """Whether a trampoline may have this very signature, which is cheaper.

    CPython generates the texts of its own functions with the code that reads the
    arguments. What others write there need not be so.
    """
    if not signature.is_known or signature.optional or signature.keyword_only:
        return False
    if signature.var_positional or signature.var_keyword:
        return False
    return _is_of_python(builtin)


def _is_of_python(builtin: AppValue) -> bool:
    """Whether it is of the standard library."""
    return builtin.__self__.__name__ in sys.stdlib_module_names


def why_not(builtin: AppValue) -> str:
    """Why this builtin cannot be redirected here, or ""."""
    if not builtin_object.HAS_LAYOUT:
        return "its memory is not laid out as known, or the self-test is set to fail"
    if type(builtin) is not BuiltinFunctionType:
        return f"it is a {type(builtin).__name__}"
    if builtin_object.flags_of(builtin) & builtin_object.METH_METHOD:
        return "it wants to know the class that defines it"
    if type(getattr(builtin, "__self__", None)) is not ModuleType:
        return "it is bound to an object"
    global _is_sound  # noqa: PLW0603 - the interpreter's, one for all
    if _is_sound is None:
        _is_sound = _self_test()
    return "" if _is_sound else "the self-test of redirection failed in this process"


_is_sound: bool | None = None


def _self_test() -> bool:
    """Redirect and restore a builtin that nobody else holds: a clone of `divmod`."""
    builtin: AppValue = builtin_object.clone(divmod)
    detour = _Detour(builtin)
    seen: list[object] = []

    def trampoline(*args: object, **kwargs: object) -> object:
        seen.append((args, kwargs))
        return detour.clone(*args, **kwargs)

    detour.lead_to(trampoline)
    detour.install()
    try:
        given = builtin(7, 2)
        raised = False
        try:
            builtin(1, 0)
        except ZeroDivisionError:
            raised = True
    finally:
        detour.undo()
    restored = builtin(9, 2) == (4, 1) and builtin_object.words(builtin) == detour.words
    expected = [((7, 2), {}), ((1, 0), {})]
    return given == (3, 1) and raised and seen == expected and restored
