"""Which mechanism diverts a target, and the sentence why."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING

from remora.agent.interception.codeswap import CodeSwap
from remora.agent.runtime import facts
from remora.agent.targets import CLASSES, SiteKind
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import FunctionType

    from remora.agent.interception.plan import AppValue, Driver, Interception, Step
    from remora.agent.targets import Site

_SWAPPED = frozenset(
    {
        SiteKind.FUNCTION,
        SiteKind.LAMBDA,
        SiteKind.METHOD,
        SiteKind.CLASSMETHOD,
        SiteKind.STATICMETHOD,
        SiteKind.BOUND_METHOD,
        SiteKind.PROPERTY_GET,
        SiteKind.PROPERTY_SET,
        SiteKind.PROPERTY_DELETE,
        SiteKind.CACHED_PROPERTY,
        SiteKind.WRAPPED,
        SiteKind.SINGLEDISPATCH,
        SiteKind.INSTANCE,
        SiteKind.DESCRIPTOR,
    }
)
"""Kinds whose calls are exactly the calls of one Python function."""

OBJECTS = frozenset({SiteKind.LRU_CACHE, SiteKind.PARTIAL})
"""Kinds that are an object, called by many names."""

_BY_OBJECT = OBJECTS | {
    SiteKind.C_FUNCTION,
    SiteKind.CYTHON_FUNCTION,
    SiteKind.PARTIALMETHOD,
}
"""Kinds whose object is diverted, wherever it stands."""

_READS_FRAMES = frozenset(
    {
        "_getframe",
        "_getframemodulename",
        "currentframe",
        "extract_stack",
        "f_back",
        "findCaller",
        "format_stack",
        "getouterframes",
        "print_stack",
        "walk_stack",
        "warn",
    }
)
"""Names by which code looks at frames above its own; `warn` counts them, also when its
`stacklevel` is given by position."""

_STACKLEVEL = "stacklevel"
"""As a keyword of any call: loggers and wrappers of `warn` have it too."""

_CONSTRUCTORS = frozenset({"__init__", "__new__"})
"""They call those of other classes by their own name, and never themselves."""

_CALLS_ITSELF = (
    "it calls itself, and a frame more for each call would halve the depth it can reach"
)


def key_of(site: Site) -> Hashable:
    """What a mechanism would divert at a site: sites with the same key share it.

    Identities of objects: a key holds for as long as what it names. That is kept by the
    mechanism, or is the anchor.
    """
    if site.kind is SiteKind.LINE:
        return id(site.code), site.line
    anchor = anchor_of(site)
    if anchor is not None:
        return id(anchor)
    if _is_by_object(site):
        return id(site.holder)
    return id(site.owner), site.name, site.kind


def anchor_of(site: Site) -> AppValue | None:
    """The object with which the site ends, where a mechanism may hold it weakly."""
    if site.kind in {SiteKind.NESTED, SiteKind.LINE}:
        return site.code
    return site.function if site.own and not _is_by_object(site) else None


def _is_by_object(site: Site) -> bool:
    is_address = site.kind in CLASSES and site.signature is not None
    return is_address or site.kind in _BY_OBJECT


def loosen(interception: Interception, steps: tuple[Step, ...]) -> None:
    """Keep nothing of the app alive from now on, where the mechanism can."""
    if type(interception) is CodeSwap:
        interception.loosen(steps)


def intercept(site: Site, steps: tuple[Step, ...], driver: Driver) -> Interception:
    """Divert the calls of a site. Raises CannotInterceptError with the reason."""
    if site.kind is SiteKind.LINE:
        # Few processes have probes on lines. The modules behind import nothing that is
        # not loaded yet but each other: we hold the lock that importing threads of the
        # app wait for.
        from remora.agent.interception.line import intercept_line

        return intercept_line(site, steps, driver)
    if site.kind is SiteKind.NESTED:
        # As above.
        from remora.agent.interception.nested import intercept_nested

        return intercept_nested(site, steps, driver)
    is_whole = site.own and site.signature is None
    is_swapped = is_whole and (site.kind in _SWAPPED or site.is_one_of_many)
    if site.function is None or not is_swapped:
        # Few processes need these; imported late for the same reason.
        from remora.agent.interception.elsewhere import intercept_elsewhere

        return intercept_elsewhere(site, steps, driver)
    check_swap(site)
    return _divert(site.function, site.target, steps, driver)


def check_swap(site: Site) -> None:
    """Raise CannotInterceptError where no function's code may be replaced."""
    if not facts.CAN_SWAP_CODE:
        raise CannotInterceptError(
            f"{site.target}: functions cannot be diverted in this interpreter "
            f"({facts.PYTHON}{', free-threaded' if facts.IS_FREE_THREADED else ''}): "
            "remora has been tested on CPython 3.11 to 3.13 with the GIL"
        )


def _divert(
    function: FunctionType, site: str, steps: tuple[Step, ...], driver: Driver
) -> Interception:
    """Divert a Python function, without a frame of ours where it would notice that."""
    need = need_of(function.__code__)
    if not need:
        return CodeSwap(function, site, steps, driver)
    # Few functions need it; imported late for the reason above.
    from remora.agent.interception.inlined import try_inlined

    inlined, problem = try_inlined(function, site, steps, driver, need)
    if inlined is not None:
        return inlined
    swap = CodeSwap(function, site, steps, driver)
    swap.why = f"{swap.why}. A known difference: {need}, and there is one frame more, "
    swap.why += f"because the steps cannot be put into its own code ({problem})"
    return swap


def need_of(code: CodeType) -> str:
    """Why a function must not have one frame more, or "".

    Read from the names in the code: without running it nobody can know more. A function
    that calls itself through another one is not seen. Asked for each function of a
    glob, so it calls no Python function.
    """
    name = code.co_name
    left = [code]
    for inner in left:
        names = inner.co_names
        if not _READS_FRAMES.isdisjoint(names):
            found = _READS_FRAMES.intersection(names)
            return f"it uses {min(found)}, which counts frames"
        if "stack" in names and "inspect" in names:
            return "it uses inspect.stack, which counts frames"
        is_named = name in names or name in inner.co_freevars
        if is_named and name not in _CONSTRUCTORS and "super" not in names:
            return _CALLS_ITSELF
        for constant in inner.co_consts:
            if type(constant) is CodeType:
                left.append(constant)
            elif type(constant) is tuple and _STACKLEVEL in constant:
                return f"it gives a {_STACKLEVEL}, which counts frames"
    return ""
