"""From a target's text to sites, and the sentence why not.

The walk goes along raw dictionaries; no attribute of the app is ever asked for. Where a
name leads to code that lives elsewhere (an alias of a module, a name imported from
another module), the site is the place where it lives and the note says so.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from remora.agent.modules import ModuleState, is_module, is_our_own
from remora.agent.targets import raw, stand_ins
from remora.agent.targets.build import PROPERTY_PARTS, build, build_nested
from remora.agent.targets.classify import function_under, layer_under
from remora.agent.targets.code import code_constants, running_code
from remora.agent.targets.globs import resolve_glob
from remora.agent.targets.home import move_home
from remora.agent.targets.lines import is_end_of, resolve_line
from remora.agent.targets.site import Resolution, ResolutionState
from remora.errors import suggest
from remora.protocol import TargetKind
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remora.agent.modules import LoadedModule, ModuleStore
    from remora.agent.targets.site import Site
    from remora.protocol import Target

AppValue = Any

_CANDIDATES_LIMIT = 2000
"""Names compared for a suggestion: a module with more is generated."""


_ACCESSORS = {"get": "getter", "set": "setter", "delete": "deleter"}


class _NotFoundError(Exception):
    """A step of the walk leads nowhere; the text says which."""


def resolve(
    target: Target,
    store: ModuleStore,
    expect: str | None = None,
    within: LoadedModule | None = None,
) -> Resolution:
    """Find what a target means in this process now. Never raises for what it finds.

    `expect` is the text that a line must have. `within` limits a glob to one module:
    the one that is news.
    """
    if target.kind is TargetKind.LINE:
        return resolve_line(target, store, expect)
    if target.kind is TargetKind.GLOB:
        return resolve_glob(target, store, within)
    modules = _modules(target.module, store)
    if not modules:
        return _not_imported(target, store)
    outcomes = [_resolve_in(target, module, store) for module in modules]
    for state in (ResolutionState.RESOLVED, ResolutionState.WAITING):
        chosen = [outcome for outcome in outcomes if outcome.state is state]
        if chosen:
            sites = tuple(site for outcome in chosen for site in outcome.sites)
            return replace(chosen[0], sites=sites)
    return outcomes[0]


def may_concern(target: Target, module: LoadedModule) -> bool:
    """Whether news of this module can change what the target means. Cheap.

    For news during imports: with a thousand of them, resolving every target at each
    would slow the app's start.
    """
    kind, wanted, name = target.kind, target.module, module.name
    if kind is TargetKind.NAME:
        return (
            (wanted.startswith(name) and wanted[len(name) :][:1] in {"", "."})
            or (name == "__main__" and wanted == module.real_name)
            or (wanted in sys.modules and sys.modules[wanted] is module.module())
        )
    if kind is TargetKind.GLOB:
        return target.may_touch(name)
    return is_end_of(wanted, module)


def modules_awaited(targets: Iterable[Target]) -> tuple[set[str], set[str]]:
    """For whoever asks `may_concern` of many targets: the names that can concern any.

    The modules that are meant with the packages around them, and those modules alone:
    where one of them is there, news may come under another name. Both are empty where
    the targets do not say it.
    """
    around: set[str] = set()
    meant: set[str] = set()
    for target in targets:
        if target.kind is not TargetKind.NAME:
            return set(), set()
        meant.add(target.module)
        parts = target.module.split(".")
        around.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return around, meant


def _modules(name: str, store: ModuleStore) -> list[LoadedModule]:
    """Both copies, where a file runs as `__main__` and is imported by its name too."""
    found = store.find(name)
    main = store.find_main()
    modules = [] if found is None else [found]
    if main is not None and main is not found and main.real_name == name:
        modules.append(main)
    return modules


def _not_imported(target: Target, store: ModuleStore) -> Resolution:
    name = target.module
    present = sys.modules.get(name, raw.ABSENT)
    if present is None:
        reason = f"the import of {name} is forbidden here (None in sys.modules)"
        return Resolution(target, ResolutionState.WAITING, reason=reason)
    if is_our_own(name):
        return _failed(target, f"{name} belongs to the agent and cannot be probed")
    if present is not raw.ABSENT:
        return _failed(
            target,
            f"{name} in sys.modules is no module but an object of type "
            f"{raw.type_name(present)}",
        )
    parent, _, last = name.rpartition(".")
    holder = store.find(parent) if parent else None
    value = None if holder is None else holder.namespace.get(last)
    if holder is not None and raw.is_class(value):
        return _failed(
            target,
            f"{name} is a class and no module: write {parent}:{last}.{target.path}",
        )
    return Resolution(
        target, ResolutionState.WAITING, reason=f"module {name} is not imported"
    )


def _failed(target: Target, reason: str) -> Resolution:
    return Resolution(target, ResolutionState.FAILED, reason=reason)


def _resolve_in(target: Target, module: LoadedModule, store: ModuleStore) -> Resolution:
    if module.state is ModuleState.LOADING:
        return Resolution(
            target,
            ResolutionState.WAITING,
            reason=f"module {module.name} is still being imported",
        )
    try:
        sites = tuple(_walk(target.path, module, store))
    except _NotFoundError as error:
        # Its statements may not have run yet, and no loader will tell.
        state = ResolutionState.WAITING if module.is_open else ResolutionState.FAILED
        return Resolution(target, state, reason=str(error))
    return Resolution(
        target,
        ResolutionState.RESOLVED,
        tuple(_say_alias(site, target) for site in sites),
    )


def _say_alias(site: Site, target: Target) -> Site:
    if site.module == target.module and site.qualname == target.path:
        return site
    alias = f"{target.text} is {site.target}"
    return replace(site, note=f"{alias}; {site.note}" if site.note else alias)


def _walk(path: str, module: LoadedModule, store: ModuleStore) -> Iterator[Site]:
    """Go along the parts of a path; each step knows the owner it came from."""
    owner: AppValue = module.namespace
    value: AppValue = raw.ABSENT
    base: type | None = None
    walked: list[str] = []
    parts = path.split(".")
    for position, part in enumerate(parts):
        if part == "<locals>":
            yield from _walk_nested(module, walked, value, parts[position + 1 :])
            return
        if raw.is_a(value, property) and part in PROPERTY_PARTS:
            yield _property_site(module, walked, owner, value, base, part)
            return
        if part == "__wrapped__" and value is not raw.ABSENT:
            owner, value, base = value, layer_under(value), None
            if value is raw.ABSENT:
                raise _NotFoundError(f"{_said(module, walked)} wraps nothing")
        else:
            if is_module(value):
                module = _module_of(value, store)
                owner, value, walked = module.namespace, raw.ABSENT, []
            elif value is not raw.ABSENT:
                owner = value
            value, base = _step(module, walked, owner, part)
        walked.append(part)
        module, owner, walked = move_home(module, owner, walked, value, base, store)
    site = build(module, ".".join(walked), owner, value, base=base)
    if site is None:
        raise _NotFoundError(
            f"{_said(module, walked)} is a value of type {raw.type_name(value)} and "
            "no code"
        )
    yield site


def _step(
    module: LoadedModule, walked: list[str], owner: AppValue, part: str
) -> tuple[AppValue, type | None]:
    """Return what a name stands for, and the base class where it is inherited."""
    if not walked:
        value = stand_ins.original_of(owner.get(part, raw.ABSENT))
        if value is raw.ABSENT:
            names = [key for key, _ in raw.text_keys(owner)]
            raise _NotFoundError(_has_no(module.name, part, names))
        return value, None
    if not raw.is_class(owner):
        raise _NotFoundError(
            f"{_said(module, walked)} is an object of type {raw.type_name(owner)} and "
            f"no class: name {part} through the class that defines it"
        )
    found = stand_ins.look_up(owner, part) or stand_ins.look_up(
        owner, _mangled(owner, part)
    )
    if found is None:
        members = [name for cls in raw.class_order(owner)[:-1] for name in _names(cls)]
        raise _NotFoundError(_has_no(_said(module, walked), part, members))
    return found[1], None if found[0] is owner else found[0]


def _names(cls: type) -> list[str]:
    return [name for name in raw.class_dictionary(cls) if type(name) is str]


def _mangled(cls: type, name: str) -> str:
    """Return the name under which a class keeps its private `__name`."""
    if name.startswith("__") and not name.endswith("__"):
        return f"_{raw.class_qualname(cls).rpartition('.')[2].lstrip('_')}{name}"
    return name


def _said(module: LoadedModule, walked: list[str]) -> str:
    return f"{module.name}:{'.'.join(walked)}"


def _has_no(owner: str, name: str, candidates: Iterable[str]) -> str:
    names = list(dict.fromkeys(candidates))[:_CANDIDATES_LIMIT]
    return f"{owner} has no {name}{suggest(name, names)}"


def _property_site(
    module: LoadedModule,
    walked: list[str],
    owner: AppValue,
    value: AppValue,
    base: type | None,
    part: str,
) -> Site:
    qualname = ".".join((*walked, part))
    site = build(module, qualname, owner, value, base=base, part=PROPERTY_PARTS[part])
    if site is None:
        raise _NotFoundError(
            f"property {_said(module, walked)} has no {_ACCESSORS[part]}"
        )
    return site


def _walk_nested(
    module: LoadedModule, walked: list[str], outer: AppValue, rest: list[str]
) -> Iterator[Site]:
    """Find code by name among the constants of the function's code."""
    function, _ = (None, None) if outer is raw.ABSENT else function_under(outer)
    if function is None:
        raise _NotFoundError(
            f"{_said(module, walked)} is no function written in Python"
        )
    codes = [running_code(function.__code__)]
    for part in rest:
        if part == "<locals>":
            continue
        inner = [
            running_code(code) for outer in codes for code in code_constants(outer)
        ]
        codes = [code for code in inner if code.co_name == part]
        if not codes:
            names = [code.co_name for code in inner]
            raise _NotFoundError(_has_no(_said(module, walked), part, names))
    qualname = ".".join((*walked, "<locals>", *rest))
    for code in codes:
        yield build_nested(module, qualname, function, code)


def _module_of(value: AppValue, store: ModuleStore) -> LoadedModule:
    for module in store.loaded():
        if module.module() is value:
            return module
    raise _NotFoundError("the name leads to a module that is not in sys.modules")
