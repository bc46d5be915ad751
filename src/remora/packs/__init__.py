"""Packs: named sets of probes that travel in the wheel, as data."""

from __future__ import annotations

import os

FOLDER = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is three modules more
"""Where the packs are."""

FRAMEWORKS = os.path.join(FOLDER, "frameworks.json")  # noqa: PTH118 - the same
"""Request contexts of servers and frameworks, by the modules that they wait for.

Made of frameworks.toml by `python -m remora.packs`: every process reads it at its
start, and neither TOML nor the text of an expression is worth a parser there.
"""

PREFIX = "pack:"
"""Ids of their probes begin so: no probe of a person can have such an id."""

PROTECTION = ("sql", "shell", "path", "url")
"""Packs of sinks, by the detectors that judge them."""

THREADS = "threads"
"""The pack that lets requests reach into threads, installed with any of them."""


STORED = "stored"
"""The pack that knows stored input again, installed where that is asked for."""


def pack_file(name: str) -> str:
    """The file of a pack."""
    return os.path.join(FOLDER, f"{name}.toml")  # noqa: PTH118 - the same
