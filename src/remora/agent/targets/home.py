"""Where an imported function or class lives."""

from __future__ import annotations

from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from remora.agent.targets import raw, stand_ins

if TYPE_CHECKING:
    from remora.agent.modules import LoadedModule, ModuleStore

AppValue = Any


def move_home(
    module: LoadedModule,
    owner: AppValue,
    walked: list[str],
    value: AppValue,
    base: type | None,
    store: ModuleStore,
) -> tuple[LoadedModule, AppValue, list[str]]:
    """Go to where an imported function or class was defined, if it still is there."""
    if base is not None or len(walked) != 1:
        return module, owner, walked
    home, qualname = _home_of(value)
    if not home or (home == module.name and qualname == walked[0]):
        return module, owner, walked
    there = store.find(home)
    if there is None:
        return module, owner, walked
    place: AppValue = there.namespace
    found: AppValue = raw.ABSENT
    parts = qualname.split(".")
    for position, part in enumerate(parts):
        if position and not raw.is_class(found):
            return module, owner, walked
        place = found if position else place
        dictionary = raw.class_dictionary(place) if position else place
        found = stand_ins.original_of(dictionary.get(part, raw.ABSENT))
    return (there, place, parts) if found is value else (module, owner, walked)


def _home_of(value: AppValue) -> tuple[str, str]:
    """Return the module and qualified name that a function or class gives itself."""
    if type(value) is FunctionType:
        name: object = value.__module__
        return (name, value.__qualname__) if type(name) is str else ("", "")
    if raw.is_class(value):
        return raw.class_module(value), raw.class_qualname(value)
    return "", ""


def compiled_home(holder: AppValue) -> tuple[str, str]:
    """The module and qualified name that a function or method of C gives itself.

    Both are empty where it gives none, and for what only passes as one: asking that
    could run code of the app.
    """
    kind = type(holder)
    if kind is BuiltinFunctionType:
        home: object = holder.__module__
        return (home, holder.__qualname__) if type(home) is str else ("", "")
    if kind is MethodDescriptorType or kind is WrapperDescriptorType:
        cls = holder.__objclass__
        return raw.class_module(cls), f"{raw.class_qualname(cls)}.{holder.__name__}"
    return "", ""
