"""`python -m remora.packs`: frameworks.json, made anew of frameworks.toml."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from remora import packs
from remora.protocol import parse_probe


def translate(text: str) -> str:
    """A pack as JSON: a line for each module, with its probes as the wire has them."""
    waiting: dict[str, list[dict[str, object]]] = {}
    for table in tomllib.loads(text)["probe"]:
        probe = parse_probe(table)
        # One that is for several modules waits for each, and is made once.
        for module in dict.fromkeys(target.module for target in probe.target.include):
            waiting.setdefault(module, []).append(probe.to_json())
    lines = (
        f"{json.dumps(module)}: {json.dumps(waiting[module])}" for module in waiting
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Write what every process reads."""
    source = Path(packs.pack_file("frameworks")).read_text("utf-8")
    Path(packs.FRAMEWORKS).write_text(translate(source), "utf-8")


if __name__ == "__main__":
    main()
