"""The sessions of `make test`, `make explore`, `make lint` and `make bench`.

Tests run against the built wheel, in one environment for each interpreter, kept in
.nox and filled from the hashed locks in requirements/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
SUPPORTED = ("3.11", "3.12", "3.13")
CHROMIUM = Path("/usr/bin/chromium")
SAFE_MODE = {"REMORA_SELF_TESTS": "fail"}
MODES: dict[str, dict[str, str]] = {"normal": {}, "safe": SAFE_MODE}
TESTS = sorted(
    {
        f"tests/{path.relative_to(ROOT / 'tests').parts[0]}"
        for path in ROOT.glob("tests/*/**/test_*.py")
    }
)
TABLES = ROOT / ".nox" / "tables"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "test"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True


def _candidates(version: str) -> list[Path]:
    """Where a CPython of that version may be: PATH, and a version manager's folder."""
    found: list[Path] = []
    name = f"python{version}"
    found.extend(
        Path(folder) / name
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if folder
    )
    manager = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found.extend(
        sorted(
            manager.joinpath("versions").glob(f"{version}.*/bin/{name}"), reverse=True
        )
    )
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        found.append(Path(sys.executable).resolve())
    return [path for path in found if path.is_file()]


def _runs(path: Path, version: str) -> bool:
    """Whether it really runs and can make environments: a shim may only say no."""
    code = (
        "import ensurepip, platform, venv; "
        "print(platform.python_implementation(), *platform.python_version_tuple()[:2])"
    )
    try:
        answer = subprocess.run(
            [path, "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.split() == ["CPython", *version.split(".")]


def _find_interpreters() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for version in SUPPORTED:
        for path in _candidates(version):
            if _runs(path, version):
                found[version] = path
                break
    return found


INTERPRETERS = _find_interpreters()
# The same interpreters for nox, which looks along PATH, and for tests.
os.environ["PATH"] = os.pathsep.join(
    [*(str(path.parent) for path in INTERPRETERS.values()), os.environ.get("PATH", "")]
)
os.environ["REMORA_TEST_PYTHONS"] = os.pathsep.join(map(str, INTERPRETERS.values()))


def _oldest_and_newest() -> list[str]:
    versions = list(INTERPRETERS)
    return list(dict.fromkeys([*versions[:1], *versions[-1:]]))


def _wheel(session: nox.Session) -> Path:
    """The wheel of this tree; made anew in each session, which takes a second."""
    folder = Path(session.create_tmp()) / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    session.run(
        sys.executable,
        *(
            "-m",
            "build",
            "--no-isolation",
            "--wheel",
            "--outdir",
            str(folder),
            str(ROOT),
        ),
        external=True,
        silent=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _install(session: nox.Session, lock: str) -> None:
    session.install("--quiet", "--require-hashes", "-r", f"requirements/{lock}.txt")
    session.install("--quiet", "--no-deps", "--force-reinstall", str(_wheel(session)))


def _install_driver_in_c(session: nox.Session) -> None:
    """mysqlclient, where it can be built: it has no wheels."""
    if shutil.which("mariadb_config") or shutil.which("mysql_config"):
        lock = "requirements/mysqlclient.txt"
        session.install("--quiet", "--require-hashes", "-r", lock)


def _check_ground(session: nox.Session) -> None:
    """In CI what is missing is a failure; elsewhere it is said and skipped."""
    missing: list[str] = []
    if len(INTERPRETERS) < 2:
        missing.append(
            f"fewer than two supported CPythons ({', '.join(SUPPORTED)}): found "
            f"{', '.join(INTERPRETERS) or 'none'}"
        )
    if not CHROMIUM.exists():
        missing.append(f"{CHROMIUM} is not there: browser tests are skipped")
    for sentence in missing:
        if IN_CI:
            session.error(sentence)
        session.warn(sentence)


def _test(session: nox.Session) -> None:
    _check_ground(session)
    _install(session, "test")
    _install_driver_in_c(session)
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    shared = ("python", "-m", "pytest", "--numprocesses", "2")
    session.run(*shared, *TESTS)
    # again with the safe mechanisms alone: what these cannot do is refused
    session.run(*shared, "tests/contract", env=SAFE_MODE)


@nox.session(python=_oldest_and_newest() or False)
def test(session: nox.Session) -> None:
    """All tests on the oldest and the newest CPython found."""
    _test(session)


@nox.session(name="test-all", python=list(INTERPRETERS) or False)
def test_all(session: nox.Session) -> None:
    """All tests on every supported CPython found."""
    _test(session)


@nox.session(python=_oldest_and_newest() or False)
def explore(session: nox.Session) -> None:
    """Probes on every function of other people's packages while their suites run."""
    _install(session, "explore")
    sources = Path(session.create_tmp()) / "sources"
    session.run(
        *("python", "tests/explore/explore.py", "--sources", str(sources)),
        *session.posargs,
    )


@nox.session(name="docs-tables", python=list(INTERPRETERS) or False)
def docs_tables(session: nox.Session) -> None:
    """Write docs/reference/mechanisms.md anew from runs of the contract suite."""
    _install(session, "test")
    TABLES.mkdir(exist_ok=True)
    for mode, environment in MODES.items():
        result = TABLES / f"{session.python}-{mode}.json"
        session.run(
            *("python", "-m", "pytest", "tests/contract", "--mechanisms", str(result)),
            env=environment,
        )
    results = [str(TABLES / f"{v}-{m}.json") for v in INTERPRETERS for m in MODES]
    if all(Path(result).exists() for result in results):
        session.run("python", "tests/contract/mechanism_table.py", *results)


@nox.session(name="attach-soak", python=list(INTERPRETERS) or False)
def attach_soak(session: nox.Session) -> None:
    """The stress of attach in its long form."""
    _install(session, "test")
    session.env["REMORA_SOAK_ATTACHES"] = os.environ.get("REMORA_SOAK_ATTACHES", "200")
    tests = ("tests/end_to_end/test_attach_safety.py", "-k", "load")
    session.run("python", "-m", "pytest", *tests, *session.posargs)


@nox.session(python=_oldest_and_newest()[:1] or False)
def lint(session: nox.Session) -> None:
    """Style, layers and types, quickest first."""
    session.install("--quiet", "--require-hashes", "-r", "requirements/lint.txt")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "src"})
    session.run("pyright")


@nox.session(python=_oldest_and_newest()[-1:] or False)
def bench(session: nox.Session) -> None:
    """The benchmarks, on the newest CPython."""
    _install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="bench-web", python=_oldest_and_newest()[-1:] or False)
def bench_web(session: nox.Session) -> None:
    """CPU per request of protection, beside the other agents."""
    _install(session, "bench-web")
    session.run("python", "benchmarks/web.py", *session.posargs)


@nox.session(python=_oldest_and_newest()[-1:] or False)
def soak(session: nox.Session) -> None:
    """Minutes of probes coming and going in an app under load: nothing may grow."""
    _install(session, "bench")
    session.run("python", "benchmarks/soak.py", *session.posargs)


@nox.session(python=_oldest_and_newest()[-1:] or False)
def fleet(session: nox.Session) -> None:
    """What one server carries."""
    _install(session, "bench")
    session.run("python", "benchmarks/fleet.py", *session.posargs)
