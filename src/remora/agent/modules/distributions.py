"""Which installed distribution a file belongs to, by the distribution's own file list.

A name alone says nothing: a vendored copy has the name of the original. So only
distributions installed in the folder that the module was imported from are asked, and
one of them must list this very file. Editable installations live elsewhere than their
metadata; for them the folder named in `direct_url.json` decides.

Everything here reads the disk and imports `importlib.metadata` when first asked; it is
for the worker's thread.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

_last_found: dict[str, Distribution] = {}
"""By folder, the distribution found last: a module's neighbours belong to the same one,
and asking it first makes a whole package cost one scan."""

_FOLDERS_REMEMBERED = 64
"""Folders on a real sys.path number below ten."""


def find(name: str, file: str) -> tuple[str, str]:
    """Return name and version of the distribution of a module's file, or two ""."""
    if not file:
        return "", ""
    folder, relative = _split_at_root(name, file)
    found = _last_found.get(folder)
    if found is None or not _lists(found, relative):
        found = _scan(folder, relative) or _scan_editable(file)
        if found is None:
            return "", ""
        if len(_last_found) >= _FOLDERS_REMEMBERED:
            _last_found.clear()
        _last_found[folder] = found
    return found.metadata["Name"] or "", found.version


def forget() -> None:
    """Drop what was remembered."""
    _last_found.clear()


def _split_at_root(name: str, file: str) -> tuple[str, str]:
    """Return the folder that holds the top-level package, and the rest."""
    depth = name.count(".") + 1
    if os.path.basename(file).startswith("__init__."):  # noqa: PTH119 - pathlib is not imported in the app for this
        depth += 1
    parts = file.rsplit(os.sep, depth)
    return parts[0], "/".join(parts[1:])


def _scan(folder: str, relative: str) -> Distribution | None:
    for distribution in _installed([folder]):
        if _lists(distribution, relative):
            return distribution
    return None


def _scan_editable(file: str) -> Distribution | None:
    import json

    for distribution in _installed(sys.path):
        origin = _read(distribution, "direct_url.json")
        if '"editable"' not in origin:
            continue
        try:
            url = json.loads(origin).get("url", "")
        except (ValueError, AttributeError):
            continue
        folder = str(url).removeprefix("file://").rstrip("/")
        if folder and file.startswith(folder + "/") and "/site-packages/" not in file:
            return distribution
    return None


def _installed(path: list[str]) -> Iterable[Distribution]:
    from importlib import metadata

    return metadata.distributions(path=path)


def _lists(distribution: Distribution, relative: str) -> bool:
    """Search RECORD as text: parsing one of some thousand lines is far slower.

    Packagers of Linux distributions leave RECORD out; top_level.txt must do there.
    """
    record = _read(distribution, "RECORD")
    if record:
        line = f"{relative},"
        return record.startswith(line) or f"\n{line}" in record
    top = relative.split("/", 1)[0].split(".", 1)[0]
    return top in _read(distribution, "top_level.txt").split()


def _read(distribution: Distribution, name: str) -> str:
    try:
        return distribution.read_text(name) or ""
    except (OSError, ValueError):
        return ""
