"""`python -m remora.packs`: what processes read of the packs, made anew of the TOML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from remora import packs
from remora.protocol import parse_probe

if TYPE_CHECKING:
    from remora.protocol import Probe

NAMES = (packs.FRAMEWORKS, *packs.PROTECTION, packs.THREADS, packs.STORED)


def translate(name: str) -> str:
    """A pack as JSON."""
    text = Path(packs.pack_file(name)).read_text("utf-8")
    probes = [parse_probe(table) for table in tomllib.loads(text)["probe"]]
    return _by_module(probes) if name == packs.FRAMEWORKS else _in_order(probes)


def _in_order(probes: list[Probe]) -> str:
    """A line for each probe."""
    return "[\n" + ",\n".join(json.dumps(probe.to_json()) for probe in probes) + "\n]\n"


def _by_module(probes: list[Probe]) -> str:
    """A line for each module, with its probes."""
    waiting: dict[str, list[dict[str, object]]] = {}
    for probe in probes:
        # One that is for several modules waits for each, and is made once.
        for module in dict.fromkeys(target.module for target in probe.target.include):
            waiting.setdefault(module, []).append(probe.to_json())
    lines = (
        f"{json.dumps(module)}: {json.dumps(waiting[module])}" for module in waiting
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Write what every process reads."""
    for name in NAMES:
        Path(packs.made_file(name)).write_text(translate(name), "utf-8")


if __name__ == "__main__":
    main()
