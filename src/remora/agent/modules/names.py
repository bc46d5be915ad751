"""Names of modules: where one lives, who imports it, which ones are ours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.modules.loaded import namespace_of

if TYPE_CHECKING:
    from types import ModuleType

_OUR_PACKAGES = {
    "agent",
    "boot",
    "detection",
    "errors",
    "expression",
    "packs",
    "protocol",
    "version",
}
"""What of remora lives in an app. A probe there would fire on the work for a probe."""


def is_our_own(name: str) -> bool:
    """Whether a module of this name belongs to the agent."""
    package, _, rest = name.partition(".")
    return package == "remora" and (not rest or rest.split(".")[0] in _OUR_PACKAGES)


def home_of(name: str, module: ModuleType) -> str:
    """Return the key where this module lives: its own name, if that leads to it."""
    own = namespace_of(module).get("__name__")
    if type(own) is str and own != name and sys.modules.get(own) is module:
        return own
    return name


def find_importer() -> str:
    """Return the name of the importing module, found behind importlib's frames."""
    frame = sys._getframe(1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the only way to the importing frame
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if not (
            type(name) is not str
            or name.startswith(("importlib", "remora.agent.modules"))
            or "importlib._bootstrap" in frame.f_code.co_filename
        ):
            return name
        frame = frame.f_back
    return ""
