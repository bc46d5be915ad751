"""What docs/how-to/containers.md says works, as far as it goes without an engine."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import remora

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "containers.md"
NOBODY = 65534
APP = """
import json, os
from pathlib import Path

import stock

stock.work(7)
try:
    Path("written").write_text("x")
    wrote = True
except OSError:
    wrote = False
print(json.dumps({"wrote": wrote, "uid": os.getuid()}))
"""


def blocks(language):
    text = PAGE.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def instructions():
    """The words of each instruction of the Dockerfile."""
    (dockerfile,) = blocks("dockerfile")
    lines = [line.partition(" ") for line in dockerfile.splitlines() if line]
    return [(name, rest) for name, _, rest in lines]


def limit():
    """What the container's limits and its read-only root come to."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_AS, (512 * 2**20, 512 * 2**20))


def other_user():
    """Who the app runs as: somebody else, where the interpreter lets them in."""
    if os.geteuid() != 0:
        return {}
    given = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run([sys.executable, "-c", ""], check=True, timeout=60, **given)
    except OSError:
        return {}
    return given


@pytest.fixture
def image(tmp_path):
    """The environment of the page's first lines, its folders closed to writers."""
    (made,) = (rest for name, rest in instructions() if "-m venv" in rest)
    assert made.split()[:3] == ["python", "-m", "venv"]
    opt = tmp_path / "image" / made.split()[3].lstrip("/")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", opt], check=True, timeout=60
    )
    (packages,) = opt.glob("lib/python*/site-packages")
    # In place of `pip install remora`.
    shutil.copytree(Path(remora.__file__).parent, packages / "remora")
    command = opt / "bin" / "remora"
    command.write_text(
        f"#!{opt}/bin/python\nimport sys\nfrom remora.__main__ import main\n"
        "sys.exit(main())\n"
    )
    command.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path / "image"


def test_the_entrypoint_runs_an_app_that_may_write_nothing(image, tmp_path):
    given = dict(instructions())
    entrypoint = json.loads(given["ENTRYPOINT"])
    assert Path(entrypoint[0]).parts[:2] == ("/", "opt")
    assert given["USER"].split(":")[0] != "0"
    variables = dict(pair.split("=") for pair in given["ENV"].split())
    probes = tmp_path / "probes.toml"
    probes.write_text('[[probe]]\nid = "p"\ntarget = "stock:work"\nlog = "n {n}"\n')
    (tmp_path / "stock.py").write_text("def work(n):\n    return n\n")
    app = tmp_path / "app.py"
    app.write_text(APP)
    entrypoint[0] = str(image / entrypoint[0].lstrip("/"))
    done = subprocess.run(
        [*entrypoint, sys.executable, app],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "TMPDIR": "/nonexistent",
            "REMORA_PROBES": str(probes),
            "REMORA_RECORDS": "-",
            **variables,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,
        **other_user(),
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert not answer["wrote"]
    assert answer["uid"] == other_user().get("user", os.getuid())
    assert json.loads(done.stderr)["app"] == variables["REMORA_APP"]


def test_the_manifest_asks_for_no_right_that_the_agent_does_not_need():
    deployment, attach = blocks("yaml")
    for words in (
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "capabilities: {drop: [ALL]}",
        "limits: {cpu:",
    ):
        assert words in deployment
    assert "SYS_PTRACE" not in deployment
    assert "add: [SYS_PTRACE]" in attach
    settings = set(re.findall(r"name: (REMORA_\w+)", deployment))
    from remora.agent.config import SETTINGS

    assert settings <= {setting.variable for setting in SETTINGS}
