"""The operator's commands against a real server and a real app."""

import json

import pytest

WORK = "def work(plan, amount): return amount\ndef other(): pass"


@pytest.fixture
def command(server, remora_command):
    """Runs an operator's command; its output, as JSON where that was asked for."""

    def run(*words, status=0):
        result = remora_command(
            *words, REMORA_SERVER=server.url, REMORA_TOKEN=server.token("operator")
        )
        assert result.returncode == status, result.stderr
        return json.loads(result.stdout) if "--json" in words else result.stdout

    return run


@pytest.fixture
def child(server, operator, start_child):
    program = start_child(server.options("child"), WORK)
    operator.connected("child")
    return program


def test_points_are_asked_of_the_app(child, command):
    shown = command("points", "__main__:*", "--app", "child")
    assert "__main__:work" in shown
    assert "__main__:other" in shown
    (found,) = command("points", "__main__:work", "--app", "child", "--json")["points"]
    assert found["kind"] == "function"
    assert found["file"].endswith("main.py")


def test_a_probe_is_added_counted_shown_and_removed(child, command, operator, until):
    command(
        *("probe", "add", "__main__:work", "--app", "child", "--id", "c", "--wait"),
        *("--count", "--by", "plan", "--sum", "amount", "--every", "1s"),
        *("--when", "amount > 1"),
    )
    child.ask("[work('free', amount) for amount in range(5)]")
    child.ask("[work('paid', 10) for _ in range(3)]")

    def totals():
        counted = {}
        for record in operator.records("c"):
            for row in record["rows"]:
                count, total = counted.get(row["key"][0], (0, 0))
                counted[row["key"][0]] = count + row["count"], total + row["sum"]
        return counted

    expected = {"free": (3, 9), "paid": (3, 30)}
    until(lambda: totals() == expected, "the aggregate")
    assert "__main__:work" in command("probe", "list")
    until(lambda: operator.statuses("c")[child.pid]["firings"] == 6, "the counter")
    shown = command("probe", "show", "c")
    assert "code swap" in shown
    assert "amount > 1" in shown
    command("probe", "remove", "c")
    assert command("probe", "list", "--json")["probes"] == []


def test_a_probe_that_cannot_be_installed_fails_the_command_that_waits(child, command):
    command("probe", "add", "__main__:wrok", "--log", "x", "--wait", "5s", status=1)


def test_a_probe_whose_id_is_taken_changes_nothing(child, command, operator):
    first = ("probe", "add", "__main__:work", "--id", "one", "--log", "{amount}")
    command(*first)
    command(*first[:-1], "another", status=1)
    child.ask("work('free', 7)")
    assert operator.arrived("one")[0]["message"] == "7"
