"""Packs: named sets of probes that travel in the wheel, as data."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FOLDER = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is three modules more
"""Where the packs are."""

FRAMEWORKS = "frameworks"
"""The pack of request contexts, for servers and frameworks."""

PREFIX = "pack:"
"""Ids of their probes begin so: no probe of a person can have such an id."""

PROTECTION = ("sql", "shell", "path", "url")
"""Packs of sinks, by the detectors that judge them."""

THREADS = "threads"
"""The pack that lets requests reach into threads, installed with any of them."""


STORED = "stored"
"""The pack that knows stored input again, installed where that is asked for."""


def pack_file(name: str) -> str:
    """The file of a pack, as people write it."""
    return os.path.join(FOLDER, f"{name}.toml")  # noqa: PTH118 - the same


def made_file(name: str) -> str:
    """The file of a pack that processes read: its probes as the wire has them.

    Made of the other by `python -m remora.packs`, because neither TOML nor the text of
    an expression is worth a parser at the start of each process. Probes of frameworks
    stand there by the modules that they wait for.
    """
    return os.path.join(FOLDER, f"{name}.json")  # noqa: PTH118 - the same


def read_made(name: str, carried: Mapping[str, bytes]) -> Any:
    """What that file holds; `carried` has files that are elsewhere, by their names."""
    path = made_file(name)
    if path in carried:
        return json.loads(carried[path])
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not needed
        return json.loads(file.read())
