"""What is in the wheel: everything that runs, and nothing else."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import remora
from remora.version import __version__

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "remora"
INSTALLED = Path(remora.__file__).parent


def files_of(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_what_is_tested_has_every_file_of_the_sources():
    assert files_of(INSTALLED) == files_of(SOURCES)


@pytest.mark.parametrize(
    "file",
    [
        "boot/site/sitecustomize.py",
        "demo/site/shop/app.py",
        "demo/site/shop/templates/page.html",
        "packs/frameworks.json",
        "packs/frameworks.toml",
        "py.typed",
    ],
)
def test_files_that_no_import_would_miss_are_there(file):
    assert (INSTALLED / file).is_file()


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/remora/version.py"
    answer = subprocess.run(
        [sys.executable, "-m", "remora", "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert answer.stdout.split()[-1] == __version__


def test_the_agent_has_no_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dependencies"] == []


def test_locks_name_no_index_and_have_hashes():
    locks = sorted(ROOT.joinpath("requirements").glob("*.txt"))
    assert len(locks) == 8
    for lock in locks:
        text = lock.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "index-url" not in text
        assert "://" not in text


def test_the_wheel_installs_nothing_but_the_package():
    try:
        installed = distribution("remora").files or []
    except PackageNotFoundError:
        pytest.skip("remora is not installed here but read from its sources")
    tops = {file.parts[0] for file in installed if file.parts[0] != ".."}
    if any(top.endswith(".pth") for top in tops):
        pytest.skip("remora is installed in place here")
    assert tops == {"remora", f"remora-{__version__}.dist-info"}
    commands = {file.name for file in installed if file.parts[0] == ".."}
    assert commands == {"remora"}
    assert any(file.match("licenses/LICENSE") for file in installed)
