"""Interpreters of this machine, and a travelling package that only says it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import remora.boot

SITE = Path(remora.boot.BOOT_FOLDER) / "sitecustomize.py"
OLD = ("2.7", "3.8", "3.10")
SERVED = ("3.11", "3.12", "3.13")


def find_python(version: str) -> str | None:
    """A CPython of this minor version that really runs, or None."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    name = f"python{version}"
    manager = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(manager.joinpath("versions").glob(f"{version}.*/bin/{name}"))
    for candidate in (*map(str, found), shutil.which(name)):
        if candidate is None:
            continue
        answer = subprocess.run(
            [candidate, "-c", "pass"], capture_output=True, timeout=30, check=False
        )
        if answer.returncode == 0:
            return candidate
    return None


class Sandbox:
    """A copy of the boot folder beside a package `remora` that the test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "elsewhere" / "remora"
        self.site = self.package / "boot" / "site"
        self.site.mkdir(parents=True)
        shutil.copy(SITE, self.site)
        self.start("import os\nos.write(2, b'agent started\\n')")

    def start(self, body: str) -> None:
        """What `remora.start()` does."""
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (self.package / "__init__.py").write_text(f"def start():\n{lines}")

    def run(
        self, python: str, code: str, *flags: str, path: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `code` with the boot folder first on PYTHONPATH."""
        entries = [str(self.site), *([path] if path else [])]
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(entries),
            **variables,
        }
        return subprocess.run(
            [python, *flags, "-c", code],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.root,
        )


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A travelling package of the test's own."""
    return Sandbox(tmp_path)


@pytest.fixture(params=SERVED)
def served_python(request: pytest.FixtureRequest) -> str:
    """Each supported CPython that is here."""
    return _found(request.param)


@pytest.fixture(params=OLD)
def old_python(request: pytest.FixtureRequest) -> str:
    """Interpreters that cannot be served, where they are here."""
    return _found(request.param)


def _found(version: str) -> str:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    return python
