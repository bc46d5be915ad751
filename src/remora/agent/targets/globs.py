"""Globs and lists: every function of the modules meant, each of them once.

A module holds many names that it imported. What is listed is what it defines: functions
and classes that say so by `__module__`, and functions whose code is from its file.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import TYPE_CHECKING, Any

from remora.agent.modules import ModuleState
from remora.agent.targets import raw, stand_ins
from remora.agent.targets.build import PROPERTY_PARTS, build
from remora.agent.targets.classify import function_under, is_compiled
from remora.agent.targets.site import Resolution, ResolutionState, SiteKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remora.agent.modules import LoadedModule, ModuleStore
    from remora.agent.targets.site import Site
    from remora.protocol import Target

AppValue = Any

_CLASS_DEPTH_LIMIT = 10
"""Classes within classes: code generators nest a few levels, nobody ten."""

_METHOD_KINDS = {
    SiteKind.METHOD,
    SiteKind.LAMBDA,
    SiteKind.CLASSMETHOD,
    SiteKind.STATICMETHOD,
    SiteKind.PROPERTY_GET,
    SiteKind.CACHED_PROPERTY,
    SiteKind.PARTIALMETHOD,
    SiteKind.WRAPPED,
    SiteKind.LRU_CACHE,
    SiteKind.SINGLEDISPATCH,
}


def resolve_glob(
    target: Target, store: ModuleStore, within: LoadedModule | None = None
) -> Resolution:
    """Find every function that a glob means now, or those within one module only."""
    modules = [
        module
        for module in (store.loaded() if within is None else [within])
        if target.may_touch(module.name) and module.state is ModuleState.LOADED
    ]
    if not modules:
        reason = f"no module matching {target.module} is imported"
        return Resolution(target, ResolutionState.WAITING, reason=reason)
    sites = tuple(
        once(
            site
            for module in modules
            for site in sites_of(module)
            if target.matches(site.module, site.qualname)
        )
    )
    if not sites:
        reason = (
            f"no function matches {target.path} in the {len(modules)} imported "
            f"modules matching {target.module}"
        )
        return Resolution(target, ResolutionState.WAITING, reason=reason)
    return Resolution(target, ResolutionState.RESOLVED, sites)


def once(sites: Iterable[Site]) -> Iterator[Site]:
    """Leave out sites whose function, or raw object, came before."""
    seen: set[int] = set()
    for site in sites:
        thing = site.code if site.function is None else site.function
        identity = id(site.holder if thing is None else thing)
        if identity not in seen:
            seen.add(identity)
            yield site


def sites_of(module: LoadedModule) -> Iterator[Site]:
    """Yield the functions of a module and the methods of its classes, defined there."""
    namespace = module.namespace
    for name, value in stand_ins.items(namespace):
        if raw.is_class(value):
            if raw.class_module(value) == module.name and _is_at(value, name):
                yield from _sites_of_class(module, value, name, 1)
        elif _may_be_code(value) and _is_defined_in(value, module):
            site = build(module, name, namespace, value)
            if site is not None and not _is_generated(name):
                yield site


def _sites_of_class(
    module: LoadedModule, cls: type, qualname: str, depth: int
) -> Iterator[Site]:
    is_python = raw.is_python_class(cls)
    for name, value in stand_ins.items(dict(raw.class_dictionary(cls))):
        path = f"{qualname}.{name}"
        if raw.is_class(value):
            if depth < _CLASS_DEPTH_LIMIT and raw.class_qualname(value) == path:
                yield from _sites_of_class(module, value, path, depth + 1)
            continue
        if is_python and not _is_defined_in(value, module):
            continue
        site = build(module, path, cls, value) if _may_be_code(value) else None
        if site is None or not _is_method(site, is_python=is_python):
            continue
        yield site
        if site.kind is SiteKind.PROPERTY_GET:
            yield from _property_parts(module, path, cls, value)


def _property_parts(
    module: LoadedModule, path: str, cls: type, value: AppValue
) -> Iterator[Site]:
    for part in ("set", "delete"):
        site = build(module, f"{path}.{part}", cls, value, part=PROPERTY_PARTS[part])
        if site is not None:
            yield site


def _is_method(site: Site, *, is_python: bool) -> bool:
    """Leave out the slots of C types (`__init__`): a glob never means them."""
    if is_python:
        return site.kind in _METHOD_KINDS
    if site.kind is SiteKind.CYTHON_FUNCTION:
        return not _is_generated(site.name)
    return site.kind is SiteKind.C_METHOD and type(site.holder) is MethodDescriptorType


def _is_generated(name: str) -> bool:
    """Whether Cython wrote the function, and no person."""
    return name.startswith("__pyx_") or name.endswith("_cython__")


def _may_be_code(value: AppValue) -> bool:
    """Spare plain values the classification: most names of a namespace are these."""
    return type(value) not in _VALUES


_VALUES = {str, int, float, bool, bytes, tuple, list, dict, set, frozenset, type(None)}


def _is_at(cls: type, path: str) -> bool:
    return raw.class_qualname(cls) == path


def _is_defined_in(value: AppValue, module: LoadedModule) -> bool:
    if type(value) is FunctionType and value.__module__ == module.name:
        return True
    if raw.is_a(value, BuiltinFunctionType) or is_compiled(value):
        return value.__module__ == module.name
    function, _ = function_under(value)
    if function is None:
        return False
    file = module.namespace.get("__file__")
    return function.__module__ == module.name or (
        type(file) is str and function.__code__.co_filename == file
    )
