"""Settings that cannot be used: told before the app starts, or in a line beside it."""

import sys

import pytest

from remora.boot import BOOT_FOLDER

BROKEN = '[[probe]]\nid = "p"\ntarget = "shop:charge"\nwhen = "amount >"\nlog = "x"\n'
SAY = (sys.executable, "-c", "print('the app ran')")


@pytest.fixture
def broken_probes(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN)
    return path


def test_a_broken_probe_file_is_refused_before_the_command_starts(
    remora_command, broken_probes
):
    result = remora_command("run", "--probes", broken_probes, "--", *SAY)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert f"{broken_probes}:4" in line
    assert "amount >" in line


def test_a_bad_setting_of_the_environment_is_refused_before_the_command_starts(
    remora_command,
):
    result = remora_command("run", "--", *SAY, REMORA_ALLOW="everything")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "REMORA_ALLOW = 'everything'" in line
    assert "observe, protect, act" in line


@pytest.mark.parametrize("name", ["REMORA_PROBES", "REMORA_SERVER", "REMORA_CONFIG"])
def test_by_variables_alone_the_app_runs_and_one_line_tells(
    start, make_environment, broken_probes, name
):
    value = "nowhere" if name == "REMORA_SERVER" else str(broken_probes)
    variables = {name: value, "PYTHONPATH": BOOT_FOLDER}
    process = start(*SAY, env=make_environment(**variables))
    assert process.wait() == 0
    assert process.out.read_text() == "the app ran\n"
    (line,) = process.said().splitlines()
    assert line.startswith(f"remora[{process.pid}]: the agent did not start")
    assert value in line


def test_switched_off_the_app_is_alone(server, operator, start_child):
    child = start_child(server.options("child"), REMORA_ENABLED="0")
    modules = "[name for name in sys.modules if name.partition('.')[0] == 'remora']"
    assert child.ask(modules) == []
    assert child.ask(
        "[thread.name for thread in threads()]".replace(
            "threads()", "__import__('threading').enumerate()"
        )
    ) == ["MainThread"]
    assert (
        child.ask("[str(finder) for finder in sys.meta_path if 'emora' in str(finder)]")
        == []
    )
    assert child.process.said() == ""
    assert operator.instances(app="child") == []
