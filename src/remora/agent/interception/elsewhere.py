"""Diverting what is no code of a Python function, or not that code alone.

The second half of `choose.intercept`, imported when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.interception import (
    frame_readers,
    own_property,
    redirect,
    vector_object,
)
from remora.agent.interception.attribute import AttributeWrapper
from remora.agent.interception.choose import OBJECTS, check_swap
from remora.agent.interception.class_attribute import ClassWrapper, OwnCopy
from remora.agent.interception.construction import Construction
from remora.agent.interception.dispatch_method import DispatchMethod
from remora.agent.interception.object_class import ObjectClass
from remora.agent.interception.own_property import OwnProperty
from remora.agent.interception.partialmethod import PartialMethod
from remora.agent.interception.redirect import Redirection
from remora.agent.interception.vector_object import VectorObject
from remora.agent.targets import CLASSES, UNKNOWN, SiteKind
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from remora.agent.interception.plan import Driver, Interception, Step
    from remora.agent.targets import Site

_COPIED = frozenset(
    {
        SiteKind.INHERITED_METHOD,
        SiteKind.LAMBDA,
        SiteKind.CLASSMETHOD,
        SiteKind.STATICMETHOD,
    }
)
"""Kinds whose function can be copied into a subclass."""

_SHARED = OBJECTS | {
    SiteKind.PARTIALMETHOD,
    SiteKind.SINGLEDISPATCH,
    SiteKind.INSTANCE,
    SiteKind.BOUND_METHOD,
}
"""Kinds of objects that a subclass shares with the class that defines them."""

_REASONS = {
    SiteKind.DESCRIPTOR: "reading it calls no single function written in Python: name "
    "the function behind it",
}
"""What to name instead, for kinds that no mechanism diverts."""


def intercept_elsewhere(
    site: Site, steps: tuple[Step, ...], driver: Driver
) -> Interception:
    """Divert a site by another mechanism than code swap alone."""
    signature = site.signature or UNKNOWN
    if site.kind is SiteKind.C_FUNCTION:
        return _c_function(site, steps, driver)
    if site.kind in CLASSES:
        return Construction(site, signature, steps, driver)
    if not site.own:
        return _inherited(site, steps, driver)
    if site.kind is SiteKind.CYTHON_FUNCTION:
        return _compiled(site, steps, driver)
    if site.kind is SiteKind.C_METHOD or _is_static_in_c(site):
        return _c_method(site, steps, driver)
    if site.kind in OBJECTS:
        return ObjectClass(site.holder, site.target, signature, steps, driver)
    if site.kind is SiteKind.PARTIALMETHOD:
        check_swap(site)
        return _partialmethod(site, steps, driver)
    if site.kind is SiteKind.SINGLEDISPATCH:
        check_swap(site)
        return DispatchMethod(site, signature, steps, driver)
    if site.kind is SiteKind.INSTANCE:
        return _object_in_c(site, steps, driver)
    reason = _REASONS.get(site.kind, "no function written in Python is under it")
    note = f" ({site.note})" if site.note else ""
    raise CannotInterceptError(f"{site.target} is a {site.kind.value}{note}: {reason}")


def _is_static_in_c(site: Site) -> bool:
    """Whether it is a static or class method around a C function."""
    kinds = {SiteKind.STATICMETHOD, SiteKind.CLASSMETHOD}
    return site.kind in kinds and site.function is None


def _inherited(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    """What a subclass is named for and another class defines."""
    if site.kind not in _SHARED:
        if site.signature is not None:
            _refuse_init_of_object(site)
            return ClassWrapper(site, site.signature, steps, driver)
        if site.kind in _COPIED:
            check_swap(site)
            return OwnCopy(site, steps, driver)
        if site.kind in own_property.KINDS:
            check_swap(site)
            return OwnProperty(site, steps, driver)
    raise CannotInterceptError(
        f"{site.target} is a {site.kind.value} that is inherited: name it through the "
        "class that defines it"
    )


def _refuse_init_of_object(site: Site) -> None:
    """A class without `__init__` that is given one refuses what `__new__` takes.

    `object.__init__` looks whether it is the one of the class.
    """
    if site.name == "__init__" and getattr(site.holder, "__objclass__", None) is object:
        owner = site.target.rpartition(".")[0]
        raise CannotInterceptError(
            f"{site.target} is that of object, as the class defines none: name the "
            f"class, {owner}, for its construction"
        )


def _partialmethod(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    under = site.holder.func
    if under is not site.function:
        raise CannotInterceptError(
            f"{site.target} is a partialmethod that stands around another decorator: "
            "name the function under it"
        )
    return PartialMethod(site.holder, under, site.target, steps, driver)


def _c_function(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    refusal = frame_readers.refusal(site.holder)
    if refusal:
        raise CannotInterceptError(f"{site.target} cannot be diverted: {refusal}")
    if site.name == "__new__" and isinstance(site.holder.__self__, type):
        owner = site.target.rpartition(".")[0]
        raise CannotInterceptError(
            f"{site.target} is written in C, and the interpreter calls it past every "
            f"name: name the class, {owner}, for its construction"
        )
    signature = site.signature or UNKNOWN
    reason = redirect.why_not(site.holder)
    if not reason:
        return Redirection(site.holder, site.target, signature, steps, driver)
    return AttributeWrapper(site.holder, site.target, signature, steps, driver, reason)


def _c_method(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    if not isinstance(site.owner, type):
        home = getattr(site.holder, "__objclass__", type(site.holder))
        raise CannotInterceptError(
            f"{site.target} is a method of a C type outside of it: name "
            f"{home.__module__}:{home.__qualname__}.{site.holder.__name__}"
        )
    return ClassWrapper(site, site.signature or UNKNOWN, steps, driver)


def _compiled(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    """A function of Cython, also where the address in it cannot be written."""
    signature = site.signature or UNKNOWN
    reason = vector_object.why_not(site.holder)
    if not reason:
        return VectorObject(site, signature, steps, driver)
    if isinstance(site.owner, type):
        return ClassWrapper(site, signature, steps, driver)
    return AttributeWrapper(site.holder, site.target, signature, steps, driver, reason)


def _object_in_c(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    reason = vector_object.why_not(site.holder)
    if reason:
        raise CannotInterceptError(
            f"{site.target} is an object that is called in C ({reason}): name a "
            "function that calls it"
        )
    return VectorObject(site, site.signature or UNKNOWN, steps, driver)
