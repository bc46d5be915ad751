"""Packs: named sets of probes that travel in the wheel, as data."""

from __future__ import annotations

import os

FOLDER = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is three modules more
"""Where the packs are."""

FRAMEWORKS = os.path.join(FOLDER, "frameworks.toml")  # noqa: PTH118 - the same
"""Request contexts of gateways and frameworks."""

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
