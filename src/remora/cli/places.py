"""Where the server of this machine keeps its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SERVER = "http://127.0.0.1:7878"
"""Where `remora serve` listens when nothing else is said."""


def data_folder(environ: Mapping[str, str]) -> Path:
    """The folder in which `remora serve` keeps its database and its tokens."""
    if data := environ.get("XDG_DATA_HOME"):
        return Path(data) / "remora"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "share" / "remora"
