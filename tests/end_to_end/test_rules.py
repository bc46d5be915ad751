"""Rules of protection from the server hold in every worker, and go again."""

import os
import signal

import httpx
import pytest

ATTACK = {"params": {"name": "' OR '1'='1"}}


@pytest.fixture
def rule(operator):
    def set_rule(**keys):
        return operator.ask("POST", "/api/v1/rules", json={"reason": "test", **keys})

    return set_rule


def test_modes_and_exceptions_are_obeyed_by_every_worker_without_a_restart(
    server, operator, serve_site, until, rule
):
    shop = serve_site(server.options("shop", protect="block"), "vault:application")
    operator.connected("shop", 2)
    modes = "__import__('remora').status()['protection']['rules']"

    def known(name):
        return all(
            name in {each["id"] for each in shop.behind(pid, modes)}
            for pid in shop.pids()
        )

    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        assert client.get("/sql", **ATTACK).status_code == 403
        made = rule(app="shop", detector="sql", mode="watch", route="/sql")
        until(lambda: known(made["id"]), "the rule in all workers")
        assert [client.get("/sql", **ATTACK).status_code for _ in range(8)] == [200] * 8
        assert client.get("/swallow", **ATTACK).status_code == 403

        def excepted():
            rows = operator.ask("GET", "/api/v1/attacks")["attacks"]
            return [each for each in rows if each.get("excepted")]

        until(lambda: len(excepted()) == 8, "the records of what was let pass")
        assert {each["rule"] for each in excepted()} == {made["id"]}
        operator.ask("DELETE", f"/api/v1/rules/{made['id']}")
        until(
            lambda: all(shop.behind(pid, modes) == [] for pid in shop.pids()),
            "the end of the rule",
        )
        assert client.get("/sql", **ATTACK).status_code == 403


def test_a_vulnerability_is_excepted_and_no_other_is(
    server, operator, serve_site, until, rule
):
    options = server.options("shop", protect="block")
    shop = serve_site(options, "vault:application", workers=1)
    operator.connected("shop", 1)
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        assert client.get("/sql", **ATTACK).status_code == 403

        def found():
            return operator.ask("GET", "/api/v1/vulnerabilities")["vulnerabilities"]

        until(found, "the vulnerability")
        (row,) = found()
        assert "before" in row["place"], "the line comes with its neighbours"
        rule(vulnerability=row["id"], mode="watch")
        until(lambda: client.get("/sql", **ATTACK).status_code == 200, "the exception")
        command = {"params": {"word": "a; id"}}
        assert client.get("/shell", **command).status_code == 403


def test_a_worker_that_is_forked_later_has_the_rules_of_the_others(
    server, operator, serve_site, until, rule
):
    shop = serve_site(server.options("shop", protect="block"), "vault:application")
    operator.connected("shop", 2)
    made = rule(app="shop", detector="sql", mode="watch")
    before = set(shop.pids())
    os.kill(min(before), signal.SIGTERM)
    until(lambda: set(shop.pids()) - before, "the worker in its place")
    (late,) = set(shop.pids()) - before
    rules = "__import__('remora').status()['protection']['rules']"
    until(
        lambda: [each["id"] for each in shop.behind(late, rules)] == [made["id"]],
        "the rule in the worker that came later",
    )


def test_a_server_turns_protection_on_where_the_app_has_none(
    server, operator, serve_site, until, rule
):
    shop = serve_site(server.options("shop"), "vault:application", workers=1)
    operator.connected("shop", 1)
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        assert client.get("/sql", **ATTACK).status_code == 200
        made = rule(app="shop", detector="sql", mode="block")
        until(lambda: client.get("/sql", **ATTACK).status_code == 403, "the mode")

        def guarded():
            (app,) = operator.ask("GET", "/api/v1/protection")["apps"]
            return [pack["modes"] for pack in app["packs"]] == [{"block": 1}]

        until(guarded, "what is told of it")
        operator.ask("DELETE", f"/api/v1/rules/{made['id']}")
        until(lambda: client.get("/sql", **ATTACK).status_code == 200, "its end")


def test_an_app_that_lets_a_server_only_look_keeps_its_modes(
    server, operator, serve_site, until, rule
):
    options = server.options("shop", protect="sql=block", allow="observe")
    shop = serve_site(options, "vault:application", workers=1)
    operator.connected("shop", 1)
    rule(app="shop", mode="off")

    def refused():
        (row,) = operator.ask("GET", "/api/v1/rules")["rules"]
        return [each["reason"] for each in row["refusals"]]

    until(refused, "the refusal")
    assert "REMORA_ALLOW is 'observe'" in refused()[0]
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        assert client.get("/sql", **ATTACK).status_code == 403


def test_ps_shows_what_is_guarded_and_in_which_mode(
    server, operator, serve_site, until
):
    serve_site(server.options("shop", protect="block"), "vault:application", workers=1)
    operator.connected("shop", 1)

    def packs():
        (row,) = operator.connected("shop", 1)
        told = (row["protection"] or {"packs": []})["packs"]
        return {pack["pack"]: pack for pack in told}

    until(
        lambda: "sqlite3" in packs().get("sql", {}).get("guarded", ()),
        "the statuses of the packs",
    )
    assert set(packs()) == {"sql", "shell", "path", "url"}
    assert {pack["mode"] for pack in packs().values()} == {"block"}
    assert "asyncpg" in packs()["sql"]["waiting"]
    assert all(pack["flaws"] == [] for pack in packs().values())


def test_checks_that_were_not_made_are_counted_and_shown_everywhere(
    server, operator, serve_site, until, remora_command
):
    """A statement with so many comparisons is not searched for names behind them."""
    options = server.options("shop", protect="watch")
    shop = serve_site(options, "vault:application", workers=1)
    operator.connected("shop", 1)
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        answer = client.post("/form", data={"name": "=" * 60_000})
        assert answer.status_code == 200

    def counts():
        (row,) = operator.connected("shop", 1)
        told = (row["protection"] or {"packs": []})["packs"]
        return {pack["pack"]: pack["not_made"] for pack in told}

    until(lambda: counts().get("sql"), "the count of what was not made")
    reason = "the statement has too many comparisons"
    assert counts()["sql"] == {reason: 1}
    token = server.token("operator")
    for word in ("ps", "protect"):
        ran = remora_command(word, REMORA_SERVER=server.url, REMORA_TOKEN=token)
        assert f"1 checks not made: {reason}" in ran.stdout, ran.stderr
    metrics = httpx.get(
        f"{server.url}/metrics",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
    )
    lines = metrics.text.splitlines()
    assert 'remora_checks_not_made{detector="sql"} 1' in lines
    told = "__import__('remora').status()['protection']['probes']"
    status = f"[each['not_made'] for each in {told} if each['not_made']]"
    assert shop.behind(shop.pids()[0], status) == [{reason: 1}]
