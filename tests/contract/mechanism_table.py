"""The table of docs/reference/mechanisms.md: what diverts which kind, on which Python.

The contract suite notes each diversion it makes and each refusal it gets. A run of the
whole suite must leave no kind without either, and must agree with the page. The page is
made from such runs, `pytest tests/contract --mechanisms RESULT.json`:

    python tests/contract/mechanism_table.py RESULT.json…
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from remora.agent.config import self_tests_must_fail
from remora.agent.targets import Site, SiteKind

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mechanisms.md"

NORMAL, SAFE = "normal", "safe"
"""The two modes in which the suite runs."""

REFUSED = "refused"

HEAD = """# Mechanisms by kind and version

What diverts each kind of target, on each Python. Made by `make docs-tables` from what
the contract suite (`tests/contract`) did: `yes` is a diversion that it installed, used
and took away again, `no` one that this kind does not use there. The lower table is the
same with `REMORA_SELF_TESTS=fail`, where nothing writes to the interpreter's memory. It
fails where a kind is neither diverted nor refused, and where the suite does what
this page does not say. What each mechanism reaches is in [targets](targets.md).
"""

TITLES = {NORMAL: "As it comes", SAFE: "With the self-tests made to fail"}


class Seen:
    """What one run of the suite has diverted, and been refused."""

    def __init__(self) -> None:
        self.covered: set[tuple[str, str]] = set()
        self.refused: dict[str, str] = {}

    def note(self, site: Site, mechanism: str) -> None:
        self.covered.add((site.kind.value, mechanism))

    def note_refusal(self, site: Site, error: Exception) -> None:
        self.refused[site.kind.value] = str(error).replace(site.target, "it")

    def rows(self) -> set[tuple[str, str]]:
        """Kinds with each mechanism that was used; else with the refusal."""
        diverted = {kind for kind, _ in self.covered}
        return self.covered | {
            (kind, f"{REFUSED}: {sentence}")
            for kind, sentence in self.refused.items()
            if kind not in diverted
        }

    def faults(self) -> list[str]:
        """Kinds that nobody diverted and nobody refused; where the page differs."""
        rows = self.rows()
        left_out = {kind.value for kind in SiteKind} - {kind for kind, _ in rows}
        if left_out:
            return [f"neither diverted nor refused: {', '.join(sorted(left_out))}"]
        said = read(PAGE.read_text(), this_version(), this_mode())
        return [
            f"the page is stale, `make docs-tables` writes it: {' by '.join(row)}"
            for row in sorted(rows ^ said)
        ]

    def write(self, output: Path) -> list[str]:
        """The result of this run, for `make docs-tables`; it has no faults."""
        result = {
            "version": this_version(),
            "mode": this_mode(),
            "rows": sorted(self.rows()),
        }
        output.write_text(json.dumps(result))
        return []


def this_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def this_mode() -> str:
    return SAFE if self_tests_must_fail() else NORMAL


def render(results: list[dict[str, object]]) -> str:
    """The page of several runs."""
    parts = [HEAD]
    versions = sorted({str(result["version"]) for result in results}, key=_number)
    order = [kind.value for kind in SiteKind]
    for mode, title in TITLES.items():
        found: dict[tuple[str, str], set[str]] = {}
        for result in results:
            if result["mode"] == mode:
                for kind, what in result["rows"]:  # pyright: ignore[reportGeneralTypeIssues]
                    found.setdefault((kind, what), set()).add(str(result["version"]))
        parts.append(f"## {title}\n")
        parts.append(f"| kind | mechanism | {' | '.join(versions)} |")
        parts.append(f"|---|---|{'---|' * len(versions)}")
        for kind, what in sorted(found, key=lambda row: (order.index(row[0]), row[1])):
            marks = [
                "yes" if version in found[kind, what] else "no" for version in versions
            ]
            if what.startswith(REFUSED):
                marks = [mark.replace("yes", REFUSED) for mark in marks]
            parts.append(f"| {kind} | {what} | {' | '.join(marks)} |")
        parts.append("")
    return "\n".join(parts)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def read(page: str, version: str, mode: str) -> set[tuple[str, str]]:
    """The rows that a page has for one version."""
    rows: set[tuple[str, str]] = set()
    _, _, rest = page.partition(f"## {TITLES[mode]}\n")
    column = 0
    for line in rest.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if cells[0] == "kind":
            column = cells.index(version) if version in cells else 0
        elif column and len(cells) > column and cells[column] in {"yes", REFUSED}:
            rows.add((cells[0], cells[1]))
    return rows


if __name__ == "__main__":
    PAGE.write_text(render([json.loads(Path(p).read_text()) for p in sys.argv[1:]]))
