"""Names that a package gives only when somebody asks for them."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def late_door(
    door: dict[str, Any], homes: Mapping[str, str]
) -> Callable[[str], object]:
    """The `__getattr__` of a package (PEP 562), whose globals are `door`.

    `homes` says in which of its modules each name is; that is imported when the name is
    first asked for, and the name is then the package's own.
    """
    package = door["__name__"]

    def __getattr__(name: str) -> object:  # noqa: N807 - what tracebacks should say
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = door[name] = getattr(import_module(f"{package}.{home}"), name)
        return value

    return __getattr__
