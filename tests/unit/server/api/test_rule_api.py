"""Rules and protection over the wire: set, pushed, told of, expired, refused."""

import asyncio

import pytest

PACK = {
    "pack": "sql",
    "detector": "sql",
    "mode": "block",
    "guarded": ["sqlite3"],
    "waiting": ["asyncpg"],
    "flaws": [{"probe": "psycopg", "state": "partly", "reason": "one is not reached"}],
    "places": 6,
    "checks": 70,
    "not_made": {"the check failed": 3},
}
FRAME = {"file": "/srv/shop.py", "function": "find", "line": 7, "own": True}
FRAME["source"] = "    run(text)"


async def get(client, path):
    answer = await client.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def set_rule(client, status=201, **keys):
    body = {"mode": "watch", "reason": "because", **keys}
    answer = await client.ask("POST", "rules", body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def pushed(client, number=1):
    return (await client.poll(0, number=number)).json()["rules"]


async def say(client, number=1, **keys):
    state = {"mode": "block", "packs": [PACK], **keys}
    body = {"instance": f"{number:032x}", "revision": 1, "statuses": []}
    answer = await client.tell("statuses", {**body, "protection": state})
    assert answer.status_code == 204, answer.text


async def send_attack(client, batch=1, **changes):
    record = {
        "kind": "attack",
        "time": 1_700_000_000 * 10**9,
        "detector": "sql",
        "mode": "watch",
        "blocked": False,
        "site": "sqlite3:Cursor.execute",
        "stack": [FRAME],
        **changes,
    }
    body = {"batch": f"{batch:032x}", "instance": f"{1:032x}", "sent": 1}
    answer = await client.tell("records", {**body, "records": [record], "drops": {}})
    assert answer.status_code == 200, answer.text


def test_a_rule_for_an_environment_reaches_no_other(on_server):
    async def body(client):
        await client.register(1, env="prod")
        await client.register(2, env="staging")
        made = await set_rule(client, app="shop", env="staging", detector="sql")
        assert made["env"] == "staging"
        everywhere = await set_rule(client, app="shop", detector="sql")
        ids = {made["id"], everywhere["id"]}
        assert len(ids) == 2, "one does not take the place of the other"
        assert {rule["id"] for rule in await pushed(client, 2)} == ids
        assert [rule["id"] for rule in await pushed(client, 1)] == [everywhere["id"]]
        said = (await get(client, "rules"))["rules"]
        assert [rule["instances"] for rule in said] == [1, 2]

    on_server(body)


def test_a_rule_reaches_the_instances_of_its_app_and_goes_again(on_server):
    async def body(client):
        await client.register()
        await client.register(2, app="blog")
        before = (await client.poll(0)).json()["revision"]
        made = await set_rule(client, app="shop", detector="sql", route="/search*")
        assert (made["created_by"], made["expires_at"]) == ("operator", 0)
        (rule,) = await pushed(client)
        assert rule == {
            "id": made["id"],
            "detector": "sql",
            "route": "/search*",
            "mode": "watch",
            "reason": "because",
            "expires_at": 0,
        }
        assert (await client.poll(0)).json()["revision"] > before
        assert await pushed(client, 2) == []
        answer = await client.ask("DELETE", f"rules/{made['id']}")
        assert answer.status_code == 204
        assert await pushed(client) == []
        answer = await client.ask("DELETE", f"rules/{made['id']}")
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown-rule")
        actions = [e["action"] for e in (await get(client, "audit"))["entries"]]
        assert actions[:2] == ["rule-remove", "rule-set"]

    on_server(body)


def test_a_rule_for_the_same_takes_the_place_of_the_first(on_server):
    async def body(client):
        first = await set_rule(client, app="shop", detector="sql")
        again = await set_rule(client, app="shop", detector="sql", mode="block")
        assert again["id"] == first["id"]
        (rule,) = (await get(client, "rules"))["rules"]
        assert rule["mode"] == "block"
        entry = (await get(client, "audit"))["entries"][0]
        assert (entry["old"]["mode"], entry["new"]["mode"]) == ("watch", "block")

    on_server(body)


def test_an_exception_for_a_vulnerability_is_for_its_line_and_has_an_end(on_server):
    async def body(client):
        await client.register()
        await send_attack(client)
        (row,) = (await get(client, "vulnerabilities"))["vulnerabilities"]
        made = await set_rule(client, vulnerability=row["id"])
        assert (made["app"], made["detector"]) == ("shop", "sql")
        assert (made["place"], made["line"]) == ("/srv/shop.py:find", "run(text)")
        month = 30 * 86_400 * 10**9
        assert made["expires_at"] == made["created"] + month
        refused = await set_rule(client, 404, vulnerability="none")
        assert refused["error"] == "unknown-attack"

    on_server(body)


def test_a_vulnerability_with_no_own_frame_is_named_by_its_sink(on_server):
    async def body(client):
        await client.register()
        await send_attack(client, stack=[])
        (row,) = (await get(client, "vulnerabilities"))["vulnerabilities"]
        made = await set_rule(client, vulnerability=row["id"], expires="never")
        assert made["place"] == "sqlite3:Cursor.execute"
        assert "line" not in made
        assert made["expires_at"] == 0

    on_server(body)


def test_a_line_that_was_hidden_is_named_by_its_number(on_server):
    async def body(client):
        await client.register()
        hidden = {**FRAME, "source": "run(text, '(redacted token)')"}
        await send_attack(client, stack=[hidden])
        (row,) = (await get(client, "vulnerabilities"))["vulnerabilities"]
        made = await set_rule(client, vulnerability=row["id"])
        assert made["line"] == "7"

    on_server(body)


def test_a_rule_ends_at_its_time(on_server):
    async def body(client):
        await client.register()
        await set_rule(client, expires="1ms")
        await asyncio.sleep(0.002)
        await client.operations.rules.expire()
        assert await pushed(client) == []
        (entry,) = (await get(client, "audit?limit=1"))["entries"]
        assert (entry["action"], entry["who"]) == ("rule-expire", "expiry")

    on_server(body)


def test_rules_are_there_after_a_restart_and_push_nothing_anew(tmp_path, serving):
    async def main():
        async with asyncio.timeout(30):
            async with serving(tmp_path) as client:
                await client.register()
                made = await set_rule(client, app="shop")
                revision = (await client.poll(0)).json()["revision"]
            async with serving(tmp_path) as client:
                push = (await client.poll(0)).json()
                assert [each["id"] for each in push["rules"]] == [made["id"]]
                assert push["revision"] == revision

    asyncio.run(main())


@pytest.mark.parametrize(
    "keys",
    [
        {"mode": "on"},
        {"reason": ""},
        {"detector": "host"},
        {"parameter": "q"},
        {"place": "nowhere"},
        {"line": "x"},
        {"expires": "soon"},
        {"colour": "red"},
        {"route": 5},
    ],
)
def test_what_is_no_rule_is_refused(on_server, keys):
    async def body(client):
        await set_rule(client, 400, **keys)
        assert (await get(client, "rules"))["rules"] == []

    on_server(body)


def test_what_became_of_a_rule_is_told_from_all_instances(on_server):
    async def body(client):
        for number in (1, 2, 3):
            await client.register(number)
        made = await set_rule(client, app="shop")
        await say(client, 1, rules=[{"id": made["id"], "decided": 4}])
        await say(client, 2, rules=[{"id": made["id"], "refusal": "it lowers sql"}])
        (rule,) = (await get(client, "rules"))["rules"]
        assert (rule["instances"], rule["unreported"], rule["decided"]) == (3, 1, 4)
        assert rule["refusals"] == [{"reason": "it lowers sql", "instances": 1}]

    on_server(body)


def test_protection_is_put_together_by_app(on_server):
    async def body(client):
        for number in (1, 2, 3):
            await client.register(number)
        await say(client, 1)
        await say(client, 2, complaint="unprotected: no request was seen")
        (app,) = (await get(client, "protection"))["apps"]
        (pack,) = app.pop("packs")
        assert app == {
            "app": "shop",
            "instances": 3,
            "guarded": 2,
            "unreported": 1,
            "unprotected": 1,
            "complaints": ["unprotected: no request was seen"],
        }
        assert (pack["modes"], pack["guarded"]) == ({"block": 2}, ["sqlite3"])
        assert (pack["waiting"], pack["checks"]) == (["asyncpg"], 140)
        assert pack["not_made"] == {"the check failed": 6}
        flaw = {"probe": "psycopg", "reason": "one is not reached", "instances": 2}
        assert pack["flaws"] == [flaw]
        rows = (await get(client, "instances"))["instances"]
        told = [row["protection"] and row["protection"]["packs"] for row in rows]
        assert told == [[PACK], [PACK], None]
        lines = (await client.get("/metrics")).text.splitlines()
        assert 'remora_guarded{detector="sql",mode="block"} 2' in lines
        assert "remora_unprotected_instances 1" in lines
        assert 'remora_checks_not_made{detector="sql"} 6' in lines
        assert (await get(client, "protection?app=blog"))["apps"] == []

    on_server(body)


def test_nonsense_about_protection_is_refused_and_keeps_what_was_known(on_server):
    async def body(client):
        await client.register()
        await say(client)
        told = {"instance": f"{1:032x}", "revision": 1, "statuses": []}
        answer = await client.tell("statuses", {**told, "protection": {"packs": 5}})
        assert answer.status_code == 400
        (app,) = (await get(client, "protection"))["apps"]
        assert app["guarded"] == 1

    on_server(body)


def test_an_excepted_attack_is_counted_apart(on_server):
    async def body(client):
        await client.register()
        await send_attack(client)
        await send_attack(client, 2, rule="r", excepted=True)
        await send_attack(client, 3, rule="r", excepted=True, blocked=True)
        (row,) = (await get(client, "vulnerabilities"))["vulnerabilities"]
        counts = row["attacks"], row["blocked"], row["excepted"]
        assert counts == (3, 1, 1), "what was blocked was no exception"
        (user,) = (await get(client, "users"))["users"]
        assert user["excepted"] == 1
        newest = (await get(client, "attacks"))["attacks"]
        assert [each.get("rule") for each in newest] == ["r", "r", None]
        lines = (await client.get("/metrics")).text.splitlines()
        assert 'remora_attacks_excepted_total{detector="sql"} 1' in lines
        assert 'remora_attacks_total{detector="sql",blocked="false"} 1' in lines

    on_server(body)


def test_who_may_only_look_changes_no_rule(on_server):
    async def body(client):
        made = {"kind": "operator", "name": "looker", "access": "read"}
        token = (await client.ask("POST", "tokens", made)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        rule = {"mode": "off", "reason": "x"}
        for method, path in (("POST", "rules"), ("DELETE", "rules/x")):
            answer = await client.request(
                method, f"/api/v1/{path}", json=rule, headers=headers
            )
            assert answer.status_code == 403
        for path in ("rules", "protection"):
            answer = await client.get(f"/api/v1/{path}", headers=headers)
            assert answer.status_code == 200

    on_server(body)
