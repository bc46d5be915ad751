"""Probes on every function of other people's packages while their suites run.

    python tests/explore/explore.py [--quick] [PACKAGE…]

Each suite runs three times: bare; with probes in all phases on every function and
method; and with one probe each, of which every second is removed and added again all
the while. The outcomes must be the same, test by test, and after removal every code
object and every entry of a class the identical one. Exits 1 where they are not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCK = HERE.parents[1] / "requirements" / "explore.txt"
MODES = ("bare", "all", "churn")
TIMEOUT_S = 600


@dataclass(frozen=True)
class Suite:
    """A package and the folder of its tests."""

    distribution: str
    package: str
    folder: str = "tests"
    without: tuple[str, ...] = ()
    """Modules that carry no probes."""


SUITES = (
    Suite("itsdangerous", "itsdangerous"),
    Suite("wsproto", "wsproto"),
    # its tests are a part of the package
    Suite("h11", "h11", "h11/tests", without=("h11.tests",)),
    Suite("asyncstdlib", "asyncstdlib", "unittests"),
    Suite("boltons", "boltons"),
    Suite("click", "click"),
    Suite("jinja2", "jinja2"),
)
QUICK = ("itsdangerous", "wsproto")


def pinned(name: str) -> str:
    """The lines of the lock that pin a package with its hashes."""
    lines = LOCK.read_text().splitlines()
    (start,) = (n for n, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


def fetch(suites: list[Suite], folder: Path) -> None:
    """Get the source distributions, which have the tests; pip checks their hashes."""
    missing = [s for s in suites if not source(s, folder).is_dir()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wanted.txt"
    wanted.write_text("".join(pinned(s.distribution) for s in missing))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-binary", ":all:", "--no-build-isolation", "--require-hashes"),
            *("--dest", folder, "--requirement", wanted),
        ],
        check=True,
        timeout=TIMEOUT_S,
    )
    for suite in missing:
        with tarfile.open(f"{source(suite, folder)}.tar.gz") as archive:
            archive.extractall(folder, filter="data")


def source(suite: Suite, folder: Path) -> Path:
    return folder / f"{suite.distribution}-{version(suite.distribution)}"


def run(suite: Suite, mode: str, folder: Path) -> dict[str, Any]:
    """One run of a suite: what the plugin found, and the seconds it took."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        order = {
            "package": suite.package,
            "mode": mode,
            "without": suite.without,
            "answer": str(answer),
        }
        environment = {
            **os.environ,
            "EXPLORE": json.dumps(order),
            "PYTHONPATH": os.pathsep.join(
                [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        start = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "watch"),
                *("-p", "no:cacheprovider", "-p", "no:randomly", "--tb", "short"),
                suite.folder,
            ],
            cwd=source(suite, folder),
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        seconds = time.monotonic() - start
        if not answer.exists():
            print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
            raise SystemExit(f"{suite.package} {mode}: ended with {done.returncode}")
        found = json.loads(answer.read_text())
        return found | {"seconds": seconds, "output": done.stdout}


def differences(bare: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What is not as in the bare run, one line each."""
    was, now = bare["outcomes"], other["outcomes"]
    lines = [f"- {key}" for key in sorted(was.keys() - now.keys())]
    lines += [f"+ {key}" for key in sorted(now.keys() - was.keys())]
    lines += [
        f"  {k}: {was[k]} -> {now[k]}" for k in was if now.get(k, was[k]) != was[k]
    ]
    lines += [
        f"not restored: {c}" for c in other["changes"] if c not in bare["changes"]
    ]
    lines += [f"a probe failed: {error}" for error in other["errors"]]
    lines += [f"a probe was switched off: {reason}" for reason in other["ended"]]
    lines += [] if other["firings"] else ["no probe ever fired"]
    return lines


def explore(suite: Suite, folder: Path, verbose: bool) -> bool:
    """Run a suite in all modes and print its line; whether all was the same."""
    runs = {mode: run(suite, mode, folder) for mode in MODES}
    bare = runs["bare"]
    found = {mode: differences(bare, runs[mode]) for mode in MODES[1:]}
    tests = sum(n for key, n in bare["outcomes"].items() if " call passed" in key)
    same = not any(found.values())
    times = " ".join(f"{runs[mode]['seconds']:.1f}" for mode in MODES)
    print(
        f"| {suite.distribution} {version(suite.distribution)} | {tests} | "
        f"{runs['all']['sites']} | {len(runs['all']['refused'])} | "
        f"{runs['all']['firings']} | {runs['churn']['churned']} | {times} | "
        f"{'the same' if same else '**differs**'} |",
        flush=True,
    )
    for mode, lines in found.items():
        for line in lines[:40]:
            print(f"    {mode}: {line}")
        if lines and verbose:
            print(runs[mode]["output"][-6000:])
    if verbose:
        for mode in MODES[1:]:
            for site, why in runs[mode]["refused"].items():
                print(f"    {mode}: refused {site}: {why}")
    return same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", help="only these")
    parser.add_argument("--quick", action="store_true", help="two small ones, for CI")
    parser.add_argument("--verbose", action="store_true", help="what failed, refusals")
    parser.add_argument(
        "--sources", type=Path, required=True, help="where to keep them"
    )
    options = parser.parse_args()
    names = options.packages or (QUICK if options.quick else ())
    suites = [s for s in SUITES if not names or s.distribution in names]
    fetch(suites, options.sources)
    print(f"Python {sys.version.split()[0]}")
    print(
        "| package | tests | sites | refused | firings | churned | seconds | outcome |"
    )
    print("|---|---:|---:|---:|---:|---:|---|---|", flush=True)
    same = [explore(suite, options.sources, options.verbose) for suite in suites]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
