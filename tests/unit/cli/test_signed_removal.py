"""`remora probe remove --key`: from apps that keep what a key has vouched for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remora.__main__ import main
from remora.cli import probe_remove

PROBE = {
    "id": "guard",
    "target": "shop.db:run",
    "scope": {"app": "shop"},
    "when": "len(sql) > 3",
    "protect": {"detector": "sql", "argument": "sql", "mode": "block"},
}


@pytest.fixture
def key(tmp_path: Path, capsys) -> str:
    path = str(tmp_path / "signing.pem")
    assert main(["key", "new", "--out", path]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def sent(server):
    """The signed words that the server was sent."""

    def words() -> list[tuple[str, dict]]:
        return [
            (method, body["probe"])
            for method, _, body in server.asked
            if method in {"POST", "PUT"}
        ]

    return words


def test_the_probe_in_mode_off_is_signed_and_goes_when_all_have_let_go(
    operator, server, sent, key
) -> None:
    server.probes["guard"] = {**PROBE, "expires_at": 5, "enabled": False}
    server.state = "failed"
    ran = operator("probe", "remove", "guard", "--key", key)
    assert (ran.status, ran.out) == (0, "removed guard\n")
    ((method, word),) = sent()
    signature = word.pop("signature")
    assert signature["key"].startswith("ed25519:")
    assert method == "PUT"
    off = PROBE["protect"] | {"mode": "off"}
    assert word == {**PROBE, "phase": "pre", "protect": off}
    assert server.probes == {}


def test_it_stays_on_the_server_for_those_that_have_not_let_go(
    operator, server, key, monkeypatch
) -> None:
    monkeypatch.setattr(probe_remove, "LETTING_GO_S", 0.0)
    server.probes["guard"] = dict(PROBE)
    server.reason = "installed at 1 place; kept: the push that replaces it is …"
    ran = operator("probe", "remove", "guard", "--key", key)
    assert ran.status == 1
    assert "run this again" in ran.lines[0]
    assert "kept: the push that replaces it" in ran.lines[1]
    assert server.probes["guard"]["protect"]["mode"] == "off"
    ran = operator("probe", "remove", "guard", "--key", key, "--json")
    left = json.loads(ran.out)["left"]["guard"]
    assert left["statuses"][0]["status"]["reason"] == server.reason


def test_a_process_that_has_ended_is_not_waited_for(
    operator, server, key, monkeypatch
) -> None:
    monkeypatch.setattr(probe_remove, "LETTING_GO_S", 0.0)
    server.probes["guard"] = dict(PROBE)
    gone = {**server.instances.pop(), "state": "gone"}
    status = {"probe": "guard", "state": "installed", "reason": ""}
    server.absences = {"statuses": [{"instance": gone, "status": status}]}
    ran = operator("probe", "remove", "guard", "--key", key)
    assert (ran.status, ran.out) == (0, "removed guard\n")


def test_what_the_server_has_no_more_is_taken_from_apps_by_its_id(
    operator, server, sent, key
) -> None:
    server.state = "failed"
    ran = operator("probe", "remove", "guard", "--key", key)
    assert (ran.status, ran.out) == (0, "removed guard\n")
    ((method, word),) = sent()
    assert (method, word["id"], word["protect"]["mode"]) == ("POST", "guard", "off")


def test_what_does_not_protect_needs_no_word(operator, server, sent, key) -> None:
    server.probes["look"] = {"id": "look", "target": "m:f", "log": "x"}
    assert operator("probe", "remove", "look", "--key", key).status == 0
    assert sent() == []


def test_without_a_key_it_says_who_keeps_it(operator, server) -> None:
    server.probes["guard"] = {**PROBE, "signature": {"key": "ed25519:…"}}
    ran = operator("probe", "remove", "guard")
    assert ran.status == 0
    assert ran.lines[0] == "removed guard"
    assert "`remora probe remove guard --key FILE`" in ran.lines[1]


def test_a_validity_without_a_key_is_a_mistake(operator) -> None:
    ran = operator("probe", "remove", "guard", "--valid", "2h")
    assert ran.status == 2
    assert "--valid belongs to --key" in ran.err
