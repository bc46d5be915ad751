"""The endpoints of docs/protocol.md, called in process."""

import asyncio
import json
import zlib

import pytest

from remora.server.api.bodies import DEPTH, decode_message
from remora.server.domain import now_ns
from remora.server.operations import instances, probes, prune

ID = f"{1:032x}"
PROBE = {"id": "p", "target": "shop.cart:add", "log": "added"}


def batch(number=1, **changes):
    record = {"kind": "log", "time": 1, "probe": "p", "site": "s", "message": "m"}
    return {
        "batch": f"{number:032x}",
        "instance": ID,
        "sent": 1,
        "records": [record],
        "drops": {},
        **changes,
    }


def status(**changes):
    return {"probe": "p", "state": "installed", "reason": "", "firings": 2, **changes}


def refused(answer, status_code, slug):
    assert (answer.status_code, answer.json()["error"]) == (status_code, slug)
    return answer.json()["message"]


def test_instance_is_registered_and_listed(on_server):
    async def body(client):
        answer = await client.register()
        assert answer["instance"] == ID
        assert answer["ping_s"] == 15
        await client.register(2, app="blog", env="dev")
        listed = (await client.ask("GET", "instances?app=shop")).json()["instances"]
        assert [each["id"] for each in listed] == [ID]
        assert listed[0]["state"] == "connected"
        assert listed[0]["drops"] == {}
        everything = (await client.ask("GET", "instances")).json()["instances"]
        assert len(everything) == 2
        none = (await client.ask("GET", "instances?state=gone")).json()
        assert none == {"instances": []}

    on_server(body)


def test_what_an_agent_takes_is_listed_and_counted(on_server):
    async def body(client):
        await client.register()
        cost = {"threads": 1, "cpu_ms": 20, "start_cpu_ms": 60, "process_cpu_ms": 400}
        message = {"instance": ID, "revision": 0, "statuses": []}
        told = await client.tell("statuses", {**message, "cost": cost})
        assert told.status_code == 204
        (listed,) = (await client.ask("GET", "instances")).json()["instances"]
        assert listed["cost"]["cpu_share"] == 0.05
        assert listed["cost"]["start_cpu_ms"] == 60
        metrics = (await client.get("/metrics")).text
        assert "remora_agents_threads 1\n" in metrics
        assert "remora_agents_cpu_seconds 0.08\n" in metrics
        for wrong in (7, {"threads": "many"}, {"cpu_ms": -1}):
            refusal = await client.tell("statuses", {**message, "cost": wrong})
            assert refusal.status_code == 400

    on_server(body)


def test_master_of_a_child_is_listed_as_idle(on_server):
    async def body(client):
        await client.register(2, master=client.instance(1))
        states = {
            each["pid"]: each["state"]
            for each in (await client.ask("GET", "instances")).json()["instances"]
        }
        assert states == {1: "idle", 2: "connected"}

    on_server(body)


def test_a_master_is_gone_with_the_last_process_that_it_forked(on_server):
    async def body(client):
        async def master():
            listed = (await client.ask("GET", "instances")).json()["instances"]
            return next(each["state"] for each in listed if each["pid"] == 1)

        for number in (2, 3):
            await client.register(number, master=client.instance(1))
        await client.tell("goodbye", {"instance": f"{2:032x}", "reason": "exit"})
        assert await master() == "idle"
        await client.tell("goodbye", {"instance": f"{3:032x}", "reason": "exit"})
        assert await master() == "gone"
        await client.register(4, master=client.instance(1))
        assert await master() == "idle"

    on_server(body)


def test_goodbye_makes_an_instance_gone_until_it_listens_again(on_server):
    async def body(client):
        async def state():
            return (await client.ask("GET", "instances")).json()["instances"][0][
                "state"
            ]

        answer = await client.register()
        bye = await client.tell("goodbye", {"instance": ID, "reason": "exit"})
        assert bye.status_code == 204
        assert await state() == "gone"
        await client.poll(answer["revision"])
        assert await state() == "connected"

    on_server(body)


def test_a_process_that_became_another_program_is_one_instance(on_server):
    """As after `jupyter server`, whose process executes another command."""

    async def body(client):
        async def states():
            listed = (await client.ask("GET", "instances")).json()["instances"]
            return {each["id"][-1]: each["state"] for each in listed}

        await client.register(1)
        await client.register(2, pid=1)
        assert await states() == {"1": "gone", "2": "connected"}
        await client.register(3, pid=1, container="other")
        assert (await states())["2"] == "connected"
        with client.operations.hub.connected(f"{2:032x}", takes_queries=False):
            await client.register(4, pid=1)
            assert (await states())["2"] == "connected"

    on_server(body)


def test_unknown_instance_is_told_to_register(on_server):
    async def body(client):
        for path, message in (
            ("statuses", {"instance": ID, "revision": 1, "statuses": []}),
            ("records", batch()),
            ("answers", {"instance": ID, "query": "q", "answer": {}}),
            ("goodbye", {"instance": ID}),
        ):
            refused(await client.tell(path, message), 409, "unknown-instance")
        refused(await client.poll(0), 409, "unknown-instance")
        stream = await client.get(
            "/agent/v1/stream", params={"instance": ID}, headers=client.agent
        )
        refused(stream, 409, "unknown-instance")

    on_server(body)


def test_another_version_of_the_wire_is_answered_with_ours(on_server):
    async def body(client):
        answer = await client.tell("records", batch(), **{"Remora-Protocol": "2"})
        refused(answer, 426, "protocol-version")
        assert answer.json()["supported"] == [1]
        assert answer.headers["Remora-Protocol"] == "1"

    on_server(body)


def test_token_bound_to_an_app_serves_no_other(on_server):
    async def body(client):
        made = await client.ask(
            "POST", "tokens", {"kind": "agent", "name": "shop's", "app": "shop"}
        )
        assert made.status_code == 201
        bound = {"Authorization": f"Bearer {made.json()['token']}"}
        own = await client.tell("register", {"instance": client.instance()}, **bound)
        assert own.status_code == 200
        other = {"instance": client.instance(2, app="blog")}
        refused(await client.tell("register", other, **bound), 403, "token-refused")
        await client.register(2, app="blog")
        stolen = batch(instance=f"{2:032x}")
        refused(await client.tell("records", stolen, **bound), 403, "token-refused")

    on_server(body)


def test_reader_may_look_and_not_touch(on_server):
    async def body(client):
        made = await client.ask(
            "POST", "tokens", {"kind": "operator", "name": "eyes", "access": "read"}
        )
        eyes = {"Authorization": f"Bearer {made.json()['token']}"}
        who = (await client.ask("GET", "whoami", **eyes)).json()
        assert (who["name"], who["access"], who["protocol"]) == ("eyes", "read", 1)
        for method, path, message in (
            ("POST", "probes", {"probe": PROBE}),
            ("PUT", "probes/p", {"probe": PROBE}),
            ("DELETE", "probes/p", None),
            ("POST", "tokens", {"kind": "agent", "name": "x"}),
        ):
            refused(
                await client.ask(method, path, message, **eyes), 403, "token-refused"
            )
        assert (await client.ask("GET", "probes")).json()["probes"] == []

    on_server(body)


def test_deleted_token_is_worthless_at_once(on_server):
    async def body(client):
        made = (
            await client.ask("POST", "tokens", {"kind": "operator", "name": "temp"})
        ).json()
        listed = (await client.ask("GET", "tokens")).json()["tokens"]
        assert {"name": "temp", "id": made["id"]}.items() <= listed[-1].items()
        assert "token" not in listed[-1]
        assert (await client.ask("DELETE", f"tokens/{made['id']}")).status_code == 204
        gone = {"Authorization": f"Bearer {made['token']}"}
        refused(await client.ask("GET", "whoami", **gone), 401, "token-refused")
        refused(await client.ask("DELETE", "tokens/none"), 404, "unknown-token")

    on_server(body)


def test_probe_is_added_shown_replaced_and_removed_with_its_audit(on_server):
    async def body(client):
        await client.register()
        added = await client.ask("POST", "probes", {"probe": PROBE})
        assert added.status_code == 201
        assert added.json()["instances"] == 1
        push = (await client.poll(0)).json()
        assert push["probes"][0]["log"]["text"] == "added"
        changed = {**PROBE, "log": "changed"}
        assert (
            await client.ask("PUT", "probes/p", {"probe": changed})
        ).status_code == 200
        again = (await client.poll(push["revision"])).json()
        assert again["revision"] > push["revision"]
        shown = (await client.ask("GET", "probes/p")).json()
        assert shown["probe"]["log"] == "changed"
        assert (await client.ask("DELETE", "probes/p")).status_code == 204
        assert (await client.poll(again["revision"])).json()["probes"] == []
        entries = (await client.ask("GET", "audit")).json()["entries"]
        assert [each["action"] for each in entries[:3]] == [
            "probe-remove",
            "probe-replace",
            "probe-add",
        ]
        assert entries[1]["old"]["log"] == "added"
        assert {each["who"] for each in entries[:3]} == {"operator"}

    on_server(body)


@pytest.mark.parametrize(
    ("probe", "slug"),
    [
        ({**PROBE, "target": "nothing"}, "bad-target"),
        ({**PROBE, "when": "a b"}, "bad-expression"),
        ({**PROBE, "wen": "a"}, "unknown-probe-key"),
        ({"id": "p", "target": "a:b"}, "bad-probe"),
        ({**PROBE, "limit": {"expires": "400d"}}, "bad-probe"),
        ([], "bad-probe"),
    ],
)
def test_malformed_probe_is_refused_and_nothing_is_kept(on_server, probe, slug):
    async def body(client):
        refused(await client.ask("POST", "probes", {"probe": probe}), 400, slug)
        assert (await client.ask("GET", "probes")).json()["probes"] == []
        assert len((await client.ask("GET", "audit")).json()["entries"]) == 2

    on_server(body)


def test_probe_of_a_taken_or_another_id_is_refused(on_server):
    async def body(client):
        await client.ask("POST", "probes", {"probe": PROBE})
        again = await client.ask("POST", "probes", {"probe": PROBE})
        assert "'p'" in refused(again, 409, "duplicate-probe")
        other = {**PROBE, "id": "q"}
        answer = await client.ask("PUT", "probes/p", {"probe": other})
        refused(answer, 400, "bad-probe")
        for method in ("PUT", "DELETE", "GET"):
            message = {"probe": other} if method == "PUT" else None
            answer = await client.ask(method, "probes/q", message)
            refused(answer, 404, "unknown-probe")

    on_server(body)


def signed_policy(app, sequence=1, **changes):
    signature = {
        "key": f"ed25519:{'A' * 43}=",
        "sequence": sequence,
        "expires_at": 2**60,
        "value": f"{sequence:086d}==",
    }
    scope = {"scope": {"app": app}} if app else {}
    table = {"unsigned": ["raise"], "target": ["a:b"], "signature": signature}
    return table | scope | changes


def test_a_push_is_made_once_for_all_who_get_the_same(on_server):
    async def body(client):
        for number in (1, 2, 3):
            app = "shop" if number < 3 else "other"
            await client.register(number, app=app)
        keys = {"id": "p", "target": "m:f", "log": "x", "scope": {"app": "shop"}}
        await client.ask("POST", "probes", {"probe": keys})
        instances = client.operations.instances
        same, too, other = (instances.get(f"{n:032x}") for n in (1, 2, 3))
        assert instances.push(same) is instances.push(too)
        assert instances.push(same) != instances.push(other)
        keys["log"] = "y"
        await client.ask("PUT", "probes/p", {"probe": keys})
        changed = instances.push(instances.get(f"{1:032x}"))
        assert changed != instances.push(other)
        assert b'"y"' in changed
        assert b'"x"' not in changed

    on_server(body)


def test_a_policy_is_kept_for_its_app_and_pushed_to_it(on_server):
    async def body(client):
        await client.register(1)
        await client.register(2, app="till")
        before = (await client.poll(0)).json()
        assert "policy" not in before
        for policy in (signed_policy(""), signed_policy("shop", 2)):
            answer = await client.ask("PUT", "policies", {"policy": policy})
            assert answer.json()["policy"] == policy
        push = (await client.poll(before["revision"])).json()
        assert push["policy"] == signed_policy("shop", 2)
        assert push["revision"] > before["revision"]
        assert (await client.poll(0, number=2)).json()["policy"] == signed_policy("")
        later = signed_policy("shop", 3, unsigned=[])
        await client.ask("PUT", "policies", {"policy": later})
        assert (await client.poll(push["revision"])).json()["policy"] == later
        kept = (await client.ask("GET", "policies")).json()["policies"]
        assert kept == [later, signed_policy("")]
        (entry, *_) = (await client.ask("GET", "audit")).json()["entries"]
        assert (entry["action"], entry["subject"]) == ("policy-set", "shop")
        assert entry["old"]["signature"]["sequence"] == 2

    on_server(body)


def test_a_policy_outlives_the_server(tmp_path, serving):
    async def main():
        async with serving(tmp_path) as client:
            await client.ask("PUT", "policies", {"policy": signed_policy("shop")})
        async with serving(tmp_path) as client:
            await client.register()
            assert (await client.poll(0)).json()["policy"] == signed_policy("shop")

    asyncio.run(main())


@pytest.mark.parametrize(
    "policy",
    [signed_policy("", unsigned=["all"]), {"unsigned": [], "target": "a:b"}, 7, {}],
)
def test_a_policy_that_no_app_would_take_is_refused(on_server, policy):
    async def body(client):
        answer = await client.ask("PUT", "policies", {"policy": policy})
        refused(answer, 400, "bad-probe")
        assert (await client.ask("GET", "policies")).json() == {"policies": []}

    on_server(body)


def test_a_probe_says_of_each_instance_why_it_is_silent(on_server):
    async def body(client):
        await client.register(1)
        await client.register(2)
        await client.register(3, env="dev")
        await client.register(4, env="dev")
        await client.register(5, app="till", role="unserved", note="python 2.7")
        await client.register(6, master=client.instance(7))
        probe = {**PROBE, "scope": {"app": "shop", "env": "prod"}}
        await client.ask("POST", "probes", {"probe": probe})
        revision = (await client.poll(0)).json()["revision"]
        said = status(suppressed=2, suppressed_by={"rate": 2}, unmet=7)
        message = {"instance": ID, "revision": revision, "statuses": [said]}
        await client.tell("statuses", message)
        shown = (await client.ask("GET", "probes/p")).json()
        (entry,) = shown["statuses"]
        assert entry["status"]["suppressed_by"] == {"rate": 2}
        assert entry["status"]["unmet"] == 7
        silent = [(e["instance"]["pid"], e["reason"]) for e in shown["unanswered"]]
        answer = "it was told and has not answered yet"
        assert silent == [(2, answer), (6, answer)]
        elsewhere = {e["reason"]: e["instances"] for e in shown["elsewhere"]}
        assert elsewhere == {
            "scope env = 'prod', this is 'dev'": 2,
            "remora does not serve it: python 2.7": 1,
            "it only forks other processes, and those have the probes": 1,
        }

    on_server(body)


def test_a_probe_says_that_an_instance_is_not_connected(on_server, monkeypatch):
    async def body(client):
        await client.register()
        await client.ask("POST", "probes", {"probe": {**PROBE, "enabled": False}})
        await client.ask("POST", "probes", {"probe": {**PROBE, "id": "q"}})
        later = now_ns() + 90 * 10**9
        for module in (probes, instances):
            monkeypatch.setattr(module, "now_ns", lambda: later)
        (silent,) = (await client.ask("GET", "probes/q")).json()["unanswered"]
        assert silent["instance"]["state"] == "silent"
        assert silent["reason"].startswith("it is not connected: it was last heard of")
        (other,) = (await client.ask("GET", "probes/p")).json()["elsewhere"]
        assert other["reason"] == "the probe is switched off by enabled = false"

    on_server(body)


@pytest.mark.parametrize(
    "changes",
    [
        {"suppressed_by": []},
        {"suppressed_by": {"rate": "many"}},
        {"unread": {f"x{i}": "absent" for i in range(11)}},
        {"unread": {"x": 1}},
        {"unmet": -1},
        {"cpu_ns": True},
    ],
)
def test_a_status_that_lies_about_its_counters_is_refused(on_server, changes):
    async def body(client):
        await client.register()
        message = {"instance": ID, "revision": 1, "statuses": [status(**changes)]}
        refused(await client.tell("statuses", message), 400, "bad-message")

    on_server(body)


def test_two_additions_of_one_id_at_once_make_one_probe(on_server):
    async def body(client):
        answers = await asyncio.gather(
            *(client.ask("POST", "probes", {"probe": PROBE}) for _ in range(5))
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201, 409, 409, 409, 409]

    on_server(body)


def test_statuses_are_counted_for_live_instances(on_server):
    async def body(client):
        await client.register(1)
        await client.register(2)
        await client.ask("POST", "probes", {"probe": PROBE})
        (listed,) = (await client.ask("GET", "probes")).json()["probes"]
        assert listed["instances"] == {"unreported": 2}
        revision = (await client.poll(0)).json()["revision"]
        said = {"instance": ID, "revision": revision, "statuses": [status()]}
        assert (await client.tell("statuses", said)).status_code == 204
        (listed,) = (await client.ask("GET", "probes")).json()["probes"]
        assert listed["instances"] == {"installed": 1, "unreported": 1}
        assert listed["firings"] == 2
        shown = (await client.ask("GET", "probes/p")).json()["statuses"]
        assert shown[0]["instance"]["state"] == "connected"
        assert shown[0]["status"]["state"] == "installed"

    on_server(body)


def test_status_of_an_earlier_version_or_a_removed_probe_is_let_go(on_server):
    async def body(client):
        await client.register()
        await client.ask("POST", "probes", {"probe": PROBE})
        old = (await client.poll(0)).json()["revision"]
        await client.ask("PUT", "probes/p", {"probe": PROBE})
        late = [status(), status(probe="removed"), status(state="removed")]
        said = {"instance": ID, "revision": old, "statuses": late}
        assert (await client.tell("statuses", said)).status_code == 204
        assert (await client.ask("GET", "probes/p")).json()["statuses"] == []

    on_server(body)


KEPT = {"sites": [{"site": "shop.db:run"}], "kept": "the push that removes it is not"}


def test_what_instances_keep_against_this_server_is_listed(on_server):
    async def body(client):
        async def say(number, *statuses):
            known = f"{number:032x}"
            said = {"instance": known, "revision": 2**50, "statuses": list(statuses)}
            assert (await client.tell("statuses", said)).status_code == 204

        async def kept():
            rows = (await client.ask("GET", "probes")).json()["kept"]
            return {row["id"]: row["instances"] for row in rows}

        await client.register(1)
        await client.register(2)
        await say(1, status(probe="guard", **KEPT), status(probe="from-a-file"))
        await say(2, status(probe="guard", **KEPT))
        await say(2, status(probe="ended", state="failed", **KEPT))
        (row,) = (await client.ask("GET", "probes")).json()["kept"]
        assert (row["id"], row["instances"], row["apps"]) == ("guard", 2, ["shop"])
        assert (row["site"], row["reason"]) == ("shop.db:run", KEPT["kept"])
        sentence = refused(
            await client.ask("GET", "probes/guard"), 404, "unknown-probe"
        )
        assert "2 instances keep it" in sentence
        assert "`remora probe remove guard --key FILE`" in sentence
        # it goes with the word of the instance, with the instance, with a new probe
        await say(1, status(probe="guard", state="removed"))
        assert await kept() == {"guard": 1}
        await client.tell("goodbye", {"instance": f"{2:032x}", "reason": "ends"})
        assert await kept() == {}
        await say(1, status(probe="guard", **KEPT))
        await client.ask("POST", "probes", {"probe": PROBE | {"id": "guard"}})
        assert await kept() == {}
        assert (await client.ask("GET", "probes/guard")).status_code == 200

    on_server(body)


def test_what_an_instance_says_before_it_has_heard_of_a_removal_is_not_kept(on_server):
    async def body(client):
        await client.register()
        await client.ask("POST", "probes", {"probe": PROBE})
        before = (await client.poll(0)).json()["revision"]
        await client.ask("DELETE", "probes/p")
        late = {"instance": ID, "revision": before, "statuses": [status(**KEPT)]}
        assert (await client.tell("statuses", late)).status_code == 204
        assert (await client.ask("GET", "probes")).json()["kept"] == []

    on_server(body)


def test_records_are_stored_once_and_read_in_pages(on_server):
    async def body(client):
        await client.register()
        for number in range(1, 6):
            stored = await client.tell("records", batch(number))
            assert stored.json() == {"stored": 1, "duplicate": False}
        assert (await client.tell("records", batch(1))).json()["duplicate"]
        page = (await client.ask("GET", "records?limit=2")).json()
        assert [each["id"] for each in page["records"]] == [5, 4]
        assert page["next"] == 4
        rest = (await client.ask("GET", "records?before=4&limit=9")).json()
        assert [each["id"] for each in rest["records"]] == [3, 2, 1]
        assert "next" not in rest
        newer = (await client.ask("GET", "records?after=3")).json()
        assert [each["id"] for each in newer["records"]] == [4, 5]
        assert newer["records"][0]["instance"] == ID
        wrong = await client.ask("GET", "records?after=x")
        refused(wrong, 400, "bad-message")

    on_server(body)


def test_packed_batch_and_drops_are_taken(on_server):
    async def body(client):
        await client.register()
        packed = zlib.compress(json.dumps(batch(drops={"queue-full": 7})).encode())
        answer = await client.post(
            "/agent/v1/records",
            content=packed,
            headers={**client.agent, "Content-Encoding": "deflate"},
        )
        assert answer.json()["stored"] == 1
        (listed,) = (await client.ask("GET", "instances")).json()["instances"]
        assert listed["drops"] == {"queue-full": 7}
        metrics = (await client.get("/metrics")).text
        assert 'remora_dropped_total{reason="queue-full"} 7\n' in metrics
        assert "remora_records_total 1\n" in metrics
        assert 'remora_instances{state="connected"} 1\n' in metrics

    on_server(body)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"instance": 3}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a": 1e999}',
        b"\xef\xbb\xbf{}",
        b"{} {}",
    ],
)
def test_body_that_is_no_message_is_refused(on_server, text):
    async def body(client):
        answer = await client.post(
            "/agent/v1/records", content=text, headers=client.agent
        )
        refused(answer, 400, "bad-message")

    on_server(body)


def test_depth_of_a_body_is_bounded_and_brackets_in_texts_are_none():
    flat = json.dumps({"a": "[" * 1000, "b": '\\"[[[['}).encode()
    assert decode_message(flat, "identity", dict)["a"] == "[" * 1000
    deep = b"[" * DEPTH + b"]" * DEPTH
    assert decode_message(deep, "identity", list)
    with pytest.raises(Exception, match=f"nested {DEPTH + 1} levels"):
        decode_message(b"[" + deep + b"]", "identity", list)


def test_poll_waits_for_a_change_and_not_longer(on_server):
    async def body(client):
        revision = (await client.register())["revision"]
        assert (await client.poll(revision)).status_code == 204
        waiting = asyncio.create_task(client.poll(revision, wait=20))
        for _ in range(1000):
            await asyncio.sleep(0)
            if client.operations.hub.connection(ID) is not None:
                break
        await client.ask("POST", "probes", {"probe": PROBE})
        answer = await waiting
        assert len(answer.json()["probes"]) == 1
        assert answer.headers["Remora-Protocol"] == "1"

    on_server(body)


def test_instance_that_registers_under_another_env_gets_other_probes(on_server):
    async def body(client):
        scoped = {**PROBE, "scope": {"env": "dev"}}
        await client.ask("POST", "probes", {"probe": scoped})
        first = await client.register()
        assert (await client.poll(first["revision"])).status_code == 204
        second = await client.register(env="dev")
        assert second["revision"] > first["revision"]
        assert len((await client.poll(first["revision"])).json()["probes"]) == 1

    on_server(body)


def test_points_need_a_connected_instance_and_an_answer(on_server, monkeypatch):
    monkeypatch.setattr("remora.server.operations.queries.ANSWER_S", 0.05)

    async def body(client):
        asked = {"pattern": "shop:*", "app": "shop"}
        answer = await client.ask("POST", "points", asked)
        assert "app = 'shop'" in refused(answer, 404, "no-instance")
        await client.register()
        with client.operations.hub.connected(ID, takes_queries=True) as connection:
            refused(await client.ask("POST", "points", asked), 504, "no-answer")
            query = json.loads(connection.queries.popleft())["query"]
            late = {"instance": ID, "query": query, "answer": {}}
            assert (await client.tell("answers", late)).status_code == 204

    on_server(body)


def test_refusal_of_an_agent_reaches_who_asked(on_server):
    async def body(client):
        await client.register()
        with client.operations.hub.connected(ID, takes_queries=True) as connection:
            asking = asyncio.create_task(
                client.ask("POST", "points", {"pattern": "nothing"})
            )
            await connection.wait(5)
            query = json.loads(connection.queries.popleft())["query"]
            await client.register(2)
            foreign = {
                "instance": f"{2:032x}",
                "query": query,
                "answer": {"points": []},
            }
            await client.tell("answers", foreign)
            said = {"instance": ID, "query": query, "answer": {"error": "no ':'"}}
            await client.tell("answers", said)
            assert refused(await asking, 400, "bad-message") == "no ':'"

    on_server(body)


def test_unknown_path_and_method_are_answered_in_json(on_server):
    async def body(client):
        refused(await client.get("/api/v1/nothing"), 404, "no-such-address")
        refused(await client.delete("/api/v1/audit"), 404, "no-such-address")

    on_server(body)


def test_fault_of_the_server_is_counted_and_tells_nothing(on_server, monkeypatch):
    async def body(client):
        async def fail(limit):
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr(client.operations.store.records, "counts", lambda: fail(1))
        answer = await client.ask("GET", "probes")
        assert "secret" not in refused(answer, 500, "internal-error")
        metrics = (await client.get("/metrics")).text
        assert 'remora_errors_total{slug="internal-error"} 1\n' in metrics

    on_server(body)


def test_stopping_server_is_not_ready(on_server):
    async def body(client):
        assert (await client.get("/readyz")).status_code == 200
        client.operations.hub.close()
        answer = await client.get("/readyz")
        refused(answer, 503, "server-busy")
        assert answer.headers["Retry-After"] == "5"
        assert (await client.get("/healthz")).status_code == 200

    on_server(body)


def test_open_server_shows_its_metrics_to_operators_only(on_server):
    async def body(client):
        for path in ("/healthz", "/readyz", "/metrics"):
            refused(await client.get(path), 401, "token-refused")
            answer = await client.get(path, headers=client.operator)
            assert answer.status_code == 200

    on_server(body, host="0.0.0.0", insecure=True)


def test_pruning_keeps_what_is_young_and_forgets_who_is_long_gone(on_server):
    async def body(client):
        await client.register()
        await client.tell("records", batch())
        await client.tell("goodbye", {"instance": ID})
        await prune(client.operations)
        assert client.operations.counters.pruned == 1
        assert (await client.ask("GET", "instances")).json() == {"instances": []}
        assert (await client.ask("GET", "records")).json() == {"records": []}

    on_server(body, keep_s=0.000001)


FIX = {"id": "fix", "target": "shop.flags:enabled", "override": {"return": "False"}}


async def say_in_force(client, number, revision):
    answer = await client.tell(
        "statuses",
        {
            "instance": f"{number:032x}",
            "revision": revision,
            "statuses": [status(probe="fix")],
        },
    )
    assert answer.status_code == 204


async def pushed(client, number):
    """Ids of the probes that an instance is to have, and reasons by id of others."""
    push = (await client.poll(0, number=number)).json()
    held = {each["id"]: each["reason"] for each in push["held"]}
    return [each["id"] for each in push["probes"]], held


async def with_override(client):
    """An override in force in the first instance, which is not connected."""
    await client.register(1)
    await client.ask("POST", "probes", {"probe": FIX})
    await client.ask("POST", "probes", {"probe": {**PROBE, "id": "seen"}})
    push = (await client.poll(0)).json()
    await say_in_force(client, 1, push["revision"])


def test_an_override_does_not_come_back_by_itself_after_a_death(on_server):
    async def body(client):
        await with_override(client)
        await client.register(2)
        probes, held = await pushed(client, 2)
        assert probes == ["seen"]
        assert held["fix"].startswith("not installed again by itself: process 1 on web")
        # another app did not die of it, and who has it keeps it
        await client.register(3, app="blog")
        assert await pushed(client, 3) == (["fix", "seen"], {})
        assert await pushed(client, 1) == (["fix", "seen"], {})
        # whoever writes it anew answers for it
        await client.ask("PUT", "probes/fix", {"probe": FIX})
        probes, held = await pushed(client, 2)
        assert (sorted(probes), held) == (["fix", "seen"], {})

    on_server(body)


def test_an_override_follows_once_the_silent_process_is_back(on_server):
    async def body(client):
        await with_override(client)
        await client.register(2)
        assert (await pushed(client, 2))[1]
        with client.operations.hub.connected(ID, takes_queries=True):
            assert await pushed(client, 2) == (["fix", "seen"], {})

    on_server(body)


def test_a_goodbye_is_no_death(on_server):
    async def body(client):
        await with_override(client)
        await client.tell("goodbye", {"instance": ID, "reason": "exit"})
        await client.register(2)
        assert await pushed(client, 2) == (["fix", "seen"], {})

    on_server(body)


def test_an_override_that_was_not_in_force_killed_nobody(on_server):
    async def body(client):
        await with_override(client)
        await client.tell(
            "statuses",
            {
                "instance": ID,
                "revision": 2**60,
                "statuses": [status(probe="fix", state="failed")],
            },
        )
        await client.register(2)
        assert await pushed(client, 2) == (["fix", "seen"], {})

    on_server(body)


def test_a_death_is_remembered_over_a_restart_of_the_server(tmp_path, serving):
    async def main():
        async with asyncio.timeout(30):
            async with serving(tmp_path) as client:
                await with_override(client)
            async with serving(tmp_path) as client:
                await client.register(2)
                assert "fix" in (await pushed(client, 2))[1]

    asyncio.run(main())
