"""What kind of thing stands at a place, and which Python function is under it.

A table of types, asked in order. Layers (decorators, partial, lru_cache, descriptors)
are taken off one by one by `layer_under`; chains are bounded and may have cycles.
"""

from __future__ import annotations

import functools
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from remora.agent.targets import raw
from remora.agent.targets.site import MaybeFunction, SiteKind
from remora.values import frozen_by_identity

if TYPE_CHECKING:
    from collections.abc import Callable

AppValue = Any

_LAYERS_LIMIT = 50
"""Decorators on one function: the deepest seen in real code is below ten."""

_EVERY_IMPLEMENTATION = "calls of every implementation"

_LRU_CACHE: type = functools._lru_cache_wrapper  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no public name
_CYTHON_TYPES = ("cython_function_or_method", "fused_cython_function")
_C_METHODS = (
    MethodDescriptorType,
    ClassMethodDescriptorType,
    WrapperDescriptorType,
    MethodWrapperType,
)


@frozen_by_identity
class Classified:
    """The kind of a holder, the function under it, and a note for the reader."""

    kind: SiteKind
    function: MaybeFunction = None
    note: str = ""


def is_compiled(value: AppValue) -> bool:
    """Whether it is a function that Cython made."""
    return raw.type_name(value) in _CYTHON_TYPES


def _member(cls: type, name: str) -> Callable[[AppValue], AppValue]:
    return raw.class_dictionary(cls)[name].__get__


_static_function = _member(staticmethod, "__func__")
_class_function = _member(classmethod, "__func__")
_bound_function = _member(MethodType, "__func__")
_bound_self = _member(MethodType, "__self__")
_partial_args = _member(functools.partial, "args")
_partial_keywords = _member(functools.partial, "keywords")
_partial_function = _member(functools.partial, "func")
_property_parts = {
    SiteKind.PROPERTY_GET: _member(property, "fget"),
    SiteKind.PROPERTY_SET: _member(property, "fset"),
    SiteKind.PROPERTY_DELETE: _member(property, "fdel"),
}

_UNDER: tuple[tuple[type, Callable[[AppValue], AppValue]], ...] = (
    (staticmethod, _static_function),
    (classmethod, _class_function),
    (property, _property_parts[SiteKind.PROPERTY_GET]),
    (MethodType, _bound_function),
    (functools.partial, _partial_function),
    (functools.partialmethod, lambda value: raw.own_attribute(value, "func")),
    (functools.cached_property, lambda value: raw.own_attribute(value, "func")),
    (functools.singledispatchmethod, lambda value: raw.own_attribute(value, "func")),
)


def layer_under(value: AppValue) -> AppValue:
    """Return what a descriptor, a decorator or a partial stands for, or ABSENT."""
    if type(value) is not FunctionType:
        for cls, under in _UNDER:
            if raw.is_a(value, cls):
                return under(value)
        if raw.is_class(value):
            return raw.ABSENT
    return raw.own_attribute(value, "__wrapped__")


def bound_by(value: AppValue) -> tuple[int, dict[str, AppValue]]:
    """Return how many arguments a partial has by position, and those by name."""
    return len(_partial_args(value)), dict(_partial_keywords(value))


def function_under(value: AppValue) -> tuple[FunctionType | None, list[AppValue]]:
    """Return the innermost Python function and what is around it, outermost first."""
    layers: list[AppValue] = []
    innermost: FunctionType | None = None
    depth = 0
    while len(layers) < _LAYERS_LIMIT:
        if type(value) is FunctionType:
            innermost, depth = value, len(layers)
        under = layer_under(value)
        if under is raw.ABSENT or any(under is layer for layer in layers):
            break
        layers.append(value)
        value = under
    return innermost, layers[:depth]


def property_part(value: AppValue, kind: SiteKind) -> Classified | None:
    """Return one of the three functions of a property; None where it is not set."""
    part = _property_parts[kind](value)
    if part is None:
        return None
    function, layers = function_under(part)
    return Classified(kind, function, _decorators(layers))


def classify(holder: AppValue, *, in_class: bool) -> Classified | None:
    """Return what this object is as a target; None for a value that is no code."""
    if type(holder) is FunctionType:
        return _classify_function(holder, in_class=in_class)
    for cls, kind in _DESCRIPTORS:
        if raw.is_a(holder, cls):
            function, layers = function_under(holder)
            return Classified(kind, function, _note(kind, holder, layers[1:]))
    if raw.is_class(holder):
        return _classify_class(holder)
    if raw.is_a(holder, BuiltinFunctionType):
        return Classified(SiteKind.C_FUNCTION)
    if raw.is_a(holder, *_C_METHODS):
        return Classified(SiteKind.C_METHOD)
    if is_compiled(holder):
        return Classified(SiteKind.CYTHON_FUNCTION)
    if raw.is_a(holder, GetSetDescriptorType, MemberDescriptorType):
        return Classified(SiteKind.DESCRIPTOR, note="written in C")
    return _classify_object(holder, in_class=in_class)


_DESCRIPTORS: tuple[tuple[type, SiteKind], ...] = (
    (staticmethod, SiteKind.STATICMETHOD),
    (classmethod, SiteKind.CLASSMETHOD),
    (property, SiteKind.PROPERTY_GET),
    (functools.cached_property, SiteKind.CACHED_PROPERTY),
    (functools.partialmethod, SiteKind.PARTIALMETHOD),
    (functools.singledispatchmethod, SiteKind.SINGLEDISPATCH),
    (functools.partial, SiteKind.PARTIAL),
    (_LRU_CACHE, SiteKind.LRU_CACHE),
    (MethodType, SiteKind.BOUND_METHOD),
)


def _classify_function(holder: FunctionType, *, in_class: bool) -> Classified:
    if (
        raw.own_attribute(holder, "registry") is not raw.ABSENT
        and raw.own_attribute(holder, "dispatch") is not raw.ABSENT
    ):
        # The wrapper and not the function under it, which serves one type only.
        return Classified(SiteKind.SINGLEDISPATCH, holder, _EVERY_IMPLEMENTATION)
    function, layers = function_under(holder)
    if layers:
        return Classified(SiteKind.WRAPPED, function, _decorators(layers))
    if holder.__code__.co_name == "<lambda>":
        return Classified(SiteKind.LAMBDA, holder)
    return Classified(SiteKind.METHOD if in_class else SiteKind.FUNCTION, holder)


def _classify_class(cls: type) -> Classified:
    """Classify what a call of a class runs: a function of its metaclass, or `type`'s.

    The function of the class that takes the arguments is what a reader looks for.
    """
    kind = SiteKind.CLASS if raw.is_python_class(cls) else SiteKind.C_TYPE
    call = call_of_metaclass(cls)
    if call is not None:
        note = f"arguments of {raw.type_name(cls)}.__call__"
        return Classified(kind, call if type(call) is FunctionType else None, note)
    function = maker_of(cls)
    if function is None:
        return Classified(kind)
    return Classified(kind, function, f"arguments of {function.__name__}")


def call_of_metaclass(cls: type) -> AppValue:
    """Return the `__call__` that a metaclass has of its own, or None."""
    found = raw.look_up(type(cls), "__call__")
    return None if found is None or found[0] is type else found[1]


def maker_of(cls: type) -> FunctionType | None:
    """Return the `__init__` or `__new__` in Python that names a class's arguments."""
    found: list[FunctionType] = []
    for name in ("__init__", "__new__"):
        method = raw.look_up(cls, name)
        function = None if method is None else function_under(method[1])[0]
        if function is not None:
            found.append(function)
    # one that only gathers what it is given leaves the names to the other
    named = [function for function in found if function.__code__.co_argcount > 1]
    return next(iter(named or found), None)


def _classify_object(holder: AppValue, *, in_class: bool) -> Classified | None:
    """Classify an object whose class defines `__call__` or makes it a descriptor.

    Django and others have a `cached_property` of their own, built like functools'.
    """
    function, layers = function_under(holder)
    if function is not None and layers:
        return Classified(SiteKind.WRAPPED, function, _decorators(layers))
    if in_class and raw.type_name(holder) == "cached_property":
        function, layers = function_under(raw.own_attribute(holder, "func"))
        return Classified(SiteKind.CACHED_PROPERTY, function, _decorators(layers))
    if in_class and raw.look_up(type(holder), "__get__") is not None:
        # Before __call__: what a class hands out is what __get__ makes of it.
        return _classify_descriptor(holder)
    call = raw.look_up(type(holder), "__call__")
    if call is not None:
        function, _ = function_under(call[1])
        return Classified(
            SiteKind.INSTANCE,
            function,
            f"calls of this object of type {raw.type_name(holder)} only",
        )
    return None


def _classify_descriptor(holder: AppValue) -> Classified:
    """Classify an object with a `__get__` by the one function that it keeps.

    Of several, the getter is what a read runs: `fget` and `func` are its names.
    """
    note = f"an object of type {raw.type_name(holder)}"
    functions: dict[str, FunctionType] = {}
    for name, value in raw.own_values(holder):
        function, _ = function_under(value)
        if function is not None:
            functions[name] = function
    names = [name for name in ("fget", "func") if name in functions] or list(functions)
    if len(names) == 1 or len(set(map(id, functions.values()))) == 1:
        said = f"{note}: the function that it keeps as {names[0]!r}"
        return Classified(SiteKind.DESCRIPTOR, functions[names[0]], said)
    if names:
        note += f", which keeps several functions: {', '.join(names)}"
    return Classified(SiteKind.DESCRIPTOR, note=note)


def _note(kind: SiteKind, holder: AppValue, layers: list[AppValue]) -> str:
    if kind is SiteKind.LRU_CACHE:
        return "name its __wrapped__ for the calls that miss the cache"
    if kind is SiteKind.SINGLEDISPATCH:
        return _EVERY_IMPLEMENTATION
    if kind is SiteKind.BOUND_METHOD:
        return f"bound to an object of type {raw.type_name(_bound_self(holder))}"
    return _decorators(layers)


def _decorators(layers: list[AppValue]) -> str:
    """Say under which decorators a function stands, outermost first."""
    if not layers:
        return ""
    return f"under {', '.join(_decorator(layer) for layer in layers)}"


def _decorator(layer: AppValue) -> str:
    """Name a decorator after the function that made the wrapper."""
    if type(layer) is not FunctionType:
        return raw.type_name(layer)
    name = layer.__code__.co_qualname
    # The wrapper's own __module__ is a copy of the wrapped function's.
    module = layer.__globals__.get("__name__")
    maker = name.split(".<locals>")[0]
    return f"{module}.{maker}" if type(module) is str else maker
