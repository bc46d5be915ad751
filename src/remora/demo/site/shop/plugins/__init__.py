"""Plugins: modules from a folder, imported when they are first asked for.

A plugin has a function `apply(amount, account)` that gives the amount to be charged.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


class PluginError(Exception):
    """There is no such plugin."""


def look_in(folder: Path) -> None:
    """Let plugins be found in `folder`, beside those that come with the shop."""
    folder.mkdir(parents=True, exist_ok=True)
    if str(folder) not in __path__:
        __path__.append(str(folder))


def load(name: str) -> ModuleType:
    """The plugin of that name. Raises PluginError."""
    if not name.isidentifier():
        raise PluginError(f"{name!r} is no name of a plugin")
    module_name = f"{__name__}.{name}"
    # A file that was written a moment ago is not in the finder's listing yet.
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise PluginError(f"there is no plugin {name!r}") from None
