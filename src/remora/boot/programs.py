"""Which file a command's name means, looked up as a shell does.

`shutil.which` says the same, but brings every format of compressed files along, and
this runs before each app.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of the program, or None where there is none that may be started."""
    if os.sep in name:
        return name if _may_be_started(name) else None
    folders = environ.get("PATH", os.defpath)
    for folder in folders.split(os.pathsep) if folders else ():
        path = os.path.join(folder, name)
        if _may_be_started(path):
            return path
    return None


def _may_be_started(path: str) -> bool:
    return os.access(path, os.X_OK) and not os.path.isdir(path)
