"""Taking the agent's own modules out of the interpreter again.

Nothing that the app may hold lives in them: errors and outcomes stay, and so does the
module behind the at-fork callback, which cannot be given back. A later `start` imports
the others anew.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGE = "remora"
_OWN = (
    "agent",
    "detection",
    "expression",
    "late",
    "packs",
    "protocol",
    "pythons",
    "usage",
    "values",
)
_STAY = frozenset({"remora.agent.runtime.facts", "remora.agent.runtime.fork"})
_SHARERS = ("cli", "server")
"""Rooms that use some of the same modules: where one is loaded, all stay."""


def forget_modules() -> None:
    """Let the modules of the agent go, unless somebody else needs or imports them."""
    package = sys.modules.get(_PACKAGE)
    if package is None or any(f"{_PACKAGE}.{room}" in sys.modules for room in _SHARERS):
        return
    own = [name for name in dict.copy(sys.modules) if _is_own(name)]
    if any(_is_being_imported(name) for name in own):
        return
    for name in own:
        if name not in _STAY:
            sys.modules.pop(name, None)
    for name in (*_OWN, "Call", "Handle"):
        vars(package).pop(name, None)
    _forget_folders(package.__path__)


def _is_own(name: str) -> bool:
    package, _, rest = name.partition(".")
    return package == _PACKAGE and rest.partition(".")[0] in _OWN


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _forget_folders(roots: Iterable[str]) -> None:
    """Take the finders of our folders out of the import system's cache."""
    for folder in dict.copy(sys.path_importer_cache):
        if any(folder.startswith(root) for root in roots):
            sys.path_importer_cache.pop(folder, None)
