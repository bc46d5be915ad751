"""What `remora run` adds to the start of an app: `python benchmarks/startup.py`.

CPU seconds, user and system, of whole processes: the app alone, the app under
`remora run` with a server that is away, an interpreter that does nothing, and a
`remora run` whose command does nothing. The variants take turns; the median counts.
`--source DIR` measures another tree of remora's sources beside this one. Needs Flask.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
APP = """
import flask
app = flask.Flask("app")
app.route("/")(lambda: "here")
app.test_client().get("/")
"""
MAIN = """
import sys
sys.path.insert(0, {source!r})
from remora.__main__ import main
sys.exit(main())
"""
SETTINGS = {"REMORA_SERVER": "http://127.0.0.1:9", "REMORA_TOKEN": "rma_x"}


def cpu_of(command: list[str], environ: dict[str, str]) -> float:
    """CPU seconds of a process from its start to its end."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, (command, status)
    return usage.ru_utime + usage.ru_stime


def make_variants(sources: dict[str, Path]) -> dict[str, list[str]]:
    python = sys.executable
    app = [python, "-c", APP]
    variants = {"the app alone": app, "an interpreter": [python, "-c", "pass"]}
    for name, source in sources.items():
        run = [python, "-c", MAIN.format(source=str(source)), "run", "--"]
        variants[f"the app under remora run{name}"] = [*run, *app]
        variants[f"remora run and nothing{name}"] = [*run, "/bin/true"]
    return variants


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--source", metavar="DIR", type=Path)
    options = parser.parse_args()
    rounds = 4 if options.quick else 21
    sources = {"": SOURCE}
    if options.source is not None:
        sources[" (other source)"] = options.source
    variants = make_variants(sources)
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    environ = {**kept, **SETTINGS, "REMORA_LOG": "off"}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name, command in variants.items():
            taken = cpu_of(command, environ)
            if number:  # the first round compiles
                times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    alone = medians["the app alone"]
    if options.json:
        print(json.dumps({"python": platform.python_version(), "cpu_s": medians}))
        return
    print(f"CPython {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    for name, value in medians.items():
        print(f"{name:42} {value * 1000:7.1f} ms {value / alone:6.2f}x")


if __name__ == "__main__":
    main()
