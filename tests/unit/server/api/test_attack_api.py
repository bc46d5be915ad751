"""Attacks, those who attack, blocks and metrics, through the API in process."""

import asyncio
import json
import time

import pytest

from remora.server.operations import prune

ID = f"{1:032x}"
SECOND = 10**9
FRAME = {
    "file": "/srv/shop/search.py",
    "line": 12,
    "function": "find",
    "source": "    db.execute(f\"SELECT * FROM items WHERE name = '{name}'\")",
    "own": True,
}


def attack(**changes):
    return {
        "kind": "attack",
        "time": SECOND,
        "probe": "sql-sqlite3",
        "site": "sqlite3:Cursor.execute",
        "detector": "sql",
        "sentence": "the input ends a string",
        "mode": "block",
        "blocked": True,
        "source": "query",
        "parameter": "q",
        "value": "' OR 1=1 --",
        "value_marked": [0, 11],
        "statement": "SELECT * FROM items WHERE name = '' OR 1=1 --'",
        "statement_marked": [34, 45],
        "request": {"id": "r1", "method": "GET", "path": "/search", "route": "/search"},
        "user": {"id": "alice", "plan": "free"},
        "actor": "user:alice",
        "stack": [FRAME, {"file": "/usr/lib/x.py", "line": 1, "own": False}],
        **changes,
    }


async def send(client, *records, number=1, batch=1):
    body = {
        "batch": f"{batch:032x}",
        "instance": f"{number:032x}",
        "sent": 1,
        "records": list(records),
        "drops": {},
    }
    return await client.tell("records", body)


async def get(client, path):
    answer = await client.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pushed_blocks(client, number=1):
    return (await client.poll(0, number=number)).json()["blocked"]


def refused(answer, status_code, slug):
    assert (answer.status_code, answer.json()["error"]) == (status_code, slug)
    return answer.json()["message"]


def test_an_attack_is_kept_as_a_record_and_as_an_attack_under_one_id(on_server):
    async def body(client):
        await client.register()
        log = {"kind": "log", "time": 1, "message": "m"}
        await send(client, log, attack(), log)
        (listed,) = (await get(client, "attacks"))["attacks"]
        assert listed["id"] == 2
        assert (await get(client, "attacks/2")) == listed
        assert (listed["app"], listed["env"], listed["instance"]) == (
            "shop",
            "prod",
            ID,
        )
        assert listed["stack"][0] == FRAME
        assert listed["value_marked"] == [0, 11]
        (record,) = (await get(client, "records?kind=attack"))["records"]
        assert (record["id"], record["detector"]) == (2, "sql")
        refused(await client.ask("GET", "attacks/1"), 404, "unknown-attack")

    on_server(body)


def test_attacks_on_one_line_are_one_vulnerability_wherever_the_line_has_moved(
    on_server,
):
    async def body(client):
        await client.register()
        moved = [FRAME | {"line": 99, "source": FRAME["source"].strip()}]
        other = [FRAME | {"source": "another line"}]
        await send(
            client,
            attack(),
            attack(stack=moved, actor="address:192.0.2.7", blocked=False, time=5),
            attack(stack=other),
            attack(stack=[], site="mod:f"),
        )
        found = (await get(client, "vulnerabilities"))["vulnerabilities"]
        assert [each["attacks"] for each in found] == [1, 1, 2]
        one = found[-1]
        assert (one["blocked"], one["actors"]) == (1, 2)
        assert (one["first"], one["last"]) == (5, SECOND)
        assert one["place"]["line"] == 99
        assert (found[0]["place"], found[0]["site"]) == ({}, "mod:f")
        listed = await get(client, f"attacks?vulnerability={one['id']}")
        assert [each["id"] for each in listed["attacks"]] == [2, 1]

    on_server(body)


def test_the_same_line_in_two_apps_is_two_vulnerabilities(on_server):
    async def body(client):
        await client.register()
        await client.register(2, app="blog", env="dev")
        await send(client, attack())
        await send(client, attack(), number=2, batch=2)
        found = (await get(client, "vulnerabilities"))["vulnerabilities"]
        assert {each["app"] for each in found} == {"shop", "blog"}
        for query in ("app=blog", "env=dev"):
            assert len((await get(client, f"attacks?{query}"))["attacks"]) == 1

    on_server(body)


def test_attacks_are_filtered_and_paged(on_server):
    async def body(client):
        await client.register()
        await send(client, *(attack(time=at) for at in range(1, 6)))
        await send(client, attack(detector="path", actor="unknown"), batch=2)
        for query, count in (
            ("detector=path", 1),
            ("actor=user%3Aalice", 5),
            ("since=4", 3),
            ("app=none", 0),
        ):
            assert len((await get(client, f"attacks?{query}"))["attacks"]) == count
        page = await get(client, "attacks?limit=2")
        assert ([each["id"] for each in page["attacks"]], page["next"]) == ([6, 5], 5)
        page = await get(client, "attacks?limit=5&before=5")
        assert [each["id"] for each in page["attacks"]] == [4, 3, 2, 1]

    on_server(body)


def test_a_user_is_listed_with_what_else_it_touched(on_server):
    async def body(client):
        await client.register()
        used = {
            "kind": "log",
            "time": 1,
            "user": {"id": "alice"},
            "request": {"id": "r2", "method": "POST", "route": "/cart"},
        }
        await send(client, attack(), used, used, attack(detector="path", blocked=False))
        (listed,) = (await get(client, "users"))["users"]
        assert listed["detectors"] == ["path", "sql"]
        assert (listed["attacks"], listed["blocked"]) == (2, 1)
        assert listed["is_blocked"] is False
        one = await get(client, "users/one?actor=user:alice&app=shop")
        assert one["routes"] == [
            {"method": "GET", "route": "/search", "attacks": 2, "records": 0},
            {"method": "POST", "route": "/cart", "attacks": 0, "records": 2},
        ]
        assert [each["id"] for each in one["newest"]] == [4, 1]
        answer = await client.ask("GET", "users/one?actor=user:bob")
        refused(answer, 404, "unknown-attack")

    on_server(body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector": "<b>"}, "detector"),
        ({"detector": None}, "detector"),
        ({"mode": "off"}, "mode"),
        ({"blocked": 1}, "blocked"),
    ],
)
def test_a_record_that_is_no_attack_is_refused(on_server, changes, words):
    async def body(client):
        await client.register()
        message = refused(await send(client, attack(**changes)), 400, "bad-message")
        assert message.startswith(f"records[0]: {words}")

    on_server(body)


def test_what_a_lying_agent_says_is_bounded_and_harms_nobody(on_server):
    async def body(client):
        await client.register()
        long = "x" * 10_000
        frame = {"file": long, "line": 2**80, "function": 3, "before": [long] * 9}
        lie = attack(
            value=long,
            value_marked=[0, 10**6],
            statement={"$": "text", "text": long, "length": 10**6},
            statement_marked=[1, 2],
            before=[long] * 20,
            after={"deep": long},
            stack=[frame] * 40,
            request={"path": long, "method": [1], "own": long},
            user={"id": "a", "more": long},
            actor="address:no address",
            time=2**63 - 1,
            id=99,
            app="other",
            unknown=long,
        )
        assert (await send(client, lie)).status_code == 200
        (kept,) = (await get(client, "attacks"))["attacks"]
        assert len(json.dumps(kept)) < 200_000
        assert (kept["id"], kept["app"], kept["actor"]) == (1, "shop", "unknown")
        assert kept["value_marked"] == [0, len(kept["value"])]
        assert "statement_marked" not in kept
        assert "unknown" not in kept
        assert kept["user"] == {"id": "a"}
        (one,) = (await get(client, "vulnerabilities"))["vulnerabilities"]
        assert one["last"] < time.time_ns() + 60 * SECOND

    on_server(body)


def test_attacks_stay_when_other_records_go(on_server):
    async def body(client):
        await client.register()
        await send(client, attack(), {"kind": "log", "time": 1})
        await asyncio.sleep(0.002)
        await prune(client.operations)
        assert (await get(client, "records"))["records"] == []
        assert len((await get(client, "attacks"))["attacks"]) == 1

    on_server(body, keep_s=0.001)


def test_attacks_go_when_their_own_time_has_come(on_server):
    async def body(client):
        await client.register()
        await send(client, attack())
        await asyncio.sleep(0.002)
        await prune(client.operations)
        assert (await get(client, "attacks"))["attacks"] == []

    on_server(body, keep_s=0.001, keep_attacks_s=0.001)


def test_attacks_never_take_more_than_their_share_of_the_store(on_server):
    async def body(client):
        await client.register()
        for number in range(1, 6):
            await send(client, *([attack()] * 500), batch=number)
        await prune(client.operations)
        left = (await get(client, "attacks"))["attacks"]
        assert not left or left[0]["id"] == 2500
        kept = (await client.operations.store.sizes())["attacks"]
        assert kept < 1000

    on_server(body, max_size_bytes=10**6)


def test_a_block_reaches_the_apps_it_is_for_and_goes_again(on_server):
    async def body(client):
        first = (await client.register())["revision"]
        await client.register(2, app="blog")
        told = {"actor": "user:alice", "app": "shop", "reason": "scans"}
        answer = await client.ask("POST", "blocks", told)
        assert answer.status_code == 201
        await client.ask("POST", "blocks", {"actor": "192.0.2.9/24"})
        await client.ask("POST", "blocks", {"actor": "::ffff:192.0.3.1"})
        networks = ["address:192.0.3.1", "network:192.0.2.0/24"]
        assert await pushed_blocks(client) == [*networks, "user:alice"]
        assert await pushed_blocks(client, 2) == networks
        assert (await client.poll(0)).json()["revision"] > first
        answer = await client.ask("DELETE", "blocks?actor=user:alice&app=shop")
        assert answer.status_code == 204
        assert await pushed_blocks(client) == networks
        answer = await client.ask("DELETE", "blocks?actor=user:alice&app=shop")
        refused(answer, 404, "unknown-block")
        entries = (await get(client, "audit"))["entries"]
        assert [entry["action"] for entry in entries[:2]] == [
            "block-remove",
            "block-add",
        ]
        assert entries[0]["old"]["reason"] == "scans"

    on_server(body)


def test_a_block_ends_at_its_time(on_server):
    async def body(client):
        await client.register()
        told = {"actor": "user:alice", "expires": "1ms"}
        assert (await client.ask("POST", "blocks", told)).status_code == 201
        await asyncio.sleep(0.002)
        await client.operations.blocks.expire()
        assert (await get(client, "blocks"))["blocks"] == []
        assert await pushed_blocks(client) == []
        (entry,) = (await get(client, "audit?limit=1"))["entries"]
        assert (entry["action"], entry["who"]) == ("block-expire", "expiry")

    on_server(body)


def test_blocks_are_there_after_a_restart_and_push_nothing_anew(tmp_path, serving):
    async def main():
        async with asyncio.timeout(30):
            async with serving(tmp_path) as client:
                await client.register()
                await client.ask("POST", "blocks", {"actor": "user:alice"})
                revision = (await client.poll(0)).json()["revision"]
            async with serving(tmp_path) as client:
                push = (await client.poll(0)).json()
                assert (push["blocked"], push["revision"]) == (["user:alice"], revision)

    asyncio.run(main())


@pytest.mark.parametrize(
    "actor",
    ["", "alice", "user:", "unknown", "0.0.0.0/0", "10.0.0.0/7", "::/0", "1.2.3"],
)
def test_what_cannot_be_blocked_is_refused(on_server, actor):
    async def body(client):
        refused(
            await client.ask("POST", "blocks", {"actor": actor}), 400, "bad-message"
        )
        assert (await get(client, "blocks"))["blocks"] == []

    on_server(body)


def test_a_block_shows_at_the_account_that_it_is_for(on_server):
    async def body(client):
        await client.register()
        await send(client, attack(actor="address:192.0.2.7"))
        await client.ask("POST", "blocks", {"actor": "192.0.2.0/24", "reason": "scan"})
        (listed,) = (await get(client, "users"))["users"]
        assert listed["is_blocked"] is True
        one = await get(client, "users/one?actor=address:192.0.2.7")
        assert one["block"]["actor"] == "network:192.0.2.0/24"
        assert await get(client, "users/one?actor=192.0.2.7") == one
        assert len((await get(client, "attacks?actor=192.0.2.7"))["attacks"]) == 1

    on_server(body)


def test_who_may_only_look_blocks_nobody(on_server):
    async def body(client):
        made = {"kind": "operator", "name": "looker", "access": "read"}
        token = (await client.ask("POST", "tokens", made)).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (
            ("POST", "blocks"),
            ("DELETE", "blocks?actor=user:a"),
            ("POST", "notices/test"),
        ):
            answer = await client.request(
                method, f"/api/v1/{path}", json={"actor": "user:a"}, headers=headers
            )
            refused(answer, 403, "token-refused")
        assert (await client.get("/api/v1/users", headers=headers)).status_code == 200

    on_server(body)


def test_metrics_count_attacks_by_detector_and_no_made_up_name(on_server):
    async def body(client):
        await client.register()
        made_up = [attack(detector=f"d{number}") for number in range(20)]
        await send(client, attack(), attack(blocked=False), *made_up)
        lines = (await client.get("/metrics")).text.splitlines()
        assert [each for each in lines if each.startswith("remora_attacks_total")] == [
            'remora_attacks_total{detector="other",blocked="true"} 20',
            'remora_attacks_total{detector="sql",blocked="false"} 1',
            'remora_attacks_total{detector="sql",blocked="true"} 1',
        ]
        assert "remora_store_attacks 22" in lines

    on_server(body)


def test_a_test_notice_without_a_way_to_send_it_says_so(on_server):
    async def body(client):
        answer = await client.ask("POST", "notices/test")
        assert answer.json() == {"channels": []}

    on_server(body)
