"""An app with a public key, in processes of their own, against pushes of any kind."""

from __future__ import annotations


def test_signed_protection_stays_until_a_signature_takes_it_away(obey) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        orders.apply([signed(sink())], [], 5)
        assert protection.blocks
        orders.apply([], [], 6)
        assert reason().endswith("; kept: the push that removes it is not signed")
        # a server that restarts with older probes, and one that sends nonsense
        orders.apply([sink("watch")], [], 2)
        orders.apply([], [Status("p", State.FAILED, "needs a newer agent")], 7)
        assert [s.state.value for s in orders.statuses()] == ["installed"]
        assert protection.blocks and execute.__code__ is not code
        orders.apply([signed(sink("off"))], [], 8)
        assert reason() == "switched off by protect.mode = 'off'"
        assert not protection.blocks and execute.__code__ is code
        orders.apply([], [], 9)
        assert remora.status()["probes"] == []
        remora.stop()
        """
    )


def test_a_policy_lets_rules_raise_modes_until_it_ends(obey) -> None:
    obey(
        """
        remora.start(protect="sql=watch", **options)
        parts = agent._agent.parts
        orders = Orders(parts)
        raised = {"id": "up", "mode": "block", "reason": "x", "detector": "sql"}
        lowered = {"id": "down", "mode": "off", "reason": "x", "route": "/x"}

        def push(*words, **kw):
            if words or kw:
                orders.obey_policy(policy(*words, **kw))
            orders.rule([raised, lowered])
            return {rule.id: rule.refusal for rule in orders.protection().rules}

        assert "and no policy" in push()["up"]
        assert "grants refuse and not modes" in push("refuse")["up"]
        time.sleep(0.000_002)
        told = push("modes", valid_s=60.0)
        assert told["up"] == "" and "not signed" in told["down"]
        assert protection.blocks
        wall_clock(61)
        orders.look_again()
        assert not protection.blocks
        remora.stop()
        """
    )


def test_at_the_end_of_its_signature_it_goes_by_itself_and_what_is_wanted_comes(
    obey,
) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        block = signed(sink(), valid_s=60.0)
        orders.apply([block], [], 1)
        look = parse_probe({"id": "p", "target": "__main__:execute", "log": "x"})
        orders.apply([look], [], 2)
        orders.look_again()
        assert "kept" in reason()
        wall_clock(61)
        orders.look_again()
        assert reason() == "installed at 1 place", reason()
        assert agent._agent.parts.probes.installed()["p"] == look
        remora.stop()
        """
    )


def test_what_nobody_takes_away_outlives_its_signature(obey) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        orders.apply([signed(sink(), valid_s=60.0)], [], 1)
        wall_clock(61)
        orders.look_again()
        assert protection.blocks and execute.__code__ is not code
        remora.stop()
        """
    )


def test_a_forked_child_keeps_what_its_parent_was_given(obey) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        block = signed(sink())
        off = signed(sink("off"))
        newer = signed(sink())
        orders.apply([newer], [], 1)
        pid = os.fork()
        if not pid:
            orders.apply([], [], 1)
            kept = "not signed" in reason()
            orders.apply([off], [], 2)
            os._exit(0 if kept and "an earlier version" in reason() else 1)
        assert os.waitpid(pid, 0)[1] == 0
        remora.stop()
        """
    )


def test_stop_takes_it_away_and_no_late_push_brings_it_back(obey) -> None:
    obey(
        """
        remora.start(**options)
        parts = agent._agent.parts
        orders = Orders(parts)
        orders.apply([signed(sink())], [], 1)
        orders.apply([], [], 2)
        remora.stop()
        assert execute.__code__ is code
        assert not protection.watches
        orders.apply([signed(sink())], [], 3)
        assert execute.__code__ is code
        assert not protection.watches
        """
    )


def test_no_push_of_a_server_reaches_the_probes_of_the_packs(obey) -> None:
    obey(
        """
        import sqlite3
        from remora.agent.control.messages import parse_push
        from remora.errors import RemoraError
        import json
        remora.start(protect="block", **options)
        parts = agent._agent.parts
        orders = Orders(parts)
        packed = {k: v for k, v in parts.probes.in_force().items() if ":" in k}
        name = next(k for k, v in packed.items() if "sqlite3:Cursor.execute"
                    in v.target.texts)
        table = sink("watch", target="sqlite3:Cursor.execute").to_json()
        table["protect"]["argument"] = 0
        for names in ([name], ["sqlite3"], []):
            probes = [table | {"id": each} for each in names]
            push = parse_push(json.dumps({"revision": 1, "probes": probes}).encode())
            orders.apply(list(push.probes), list(push.refused), 1)
            here = parts.probes.in_force()
            assert {k: v for k, v in here.items() if ":" in k} == packed
            assert protection.blocks
        remora.stop()
        """
    )


def test_a_block_list_is_obeyed_while_a_policy_grants_it_and_why_not_is_said(
    obey,
) -> None:
    obey(
        """
        import json
        remora.start(records="records.jsonl", log="off")
        parts = agent._agent.parts
        orders = Orders(parts)
        def ignored():
            shown = remora.status()["protection"]["ignored"]
            assert parts.complaint == shown
            return shown
        orders.refuse(("user:a",))
        orders.refuse(("user:a",))
        assert "is ignored: it has a REMORA_PUBLIC_KEY and no policy" in ignored()
        orders.obey_policy(policy("raise"))
        orders.refuse(("user:a",))
        assert "the policy grants raise and not refuse" in ignored()
        assert not protection.listed
        orders.obey_policy(policy("refuse", valid_s=60.0))
        orders.refuse(("user:a",))
        assert ignored() == ""
        assert protection.listed.hold("user:a")
        orders.refuse(())
        assert not protection.listed
        orders.refuse(("user:a",))
        wall_clock(61)
        orders.look_again()
        assert "the policy has expired" in ignored()
        assert not protection.listed
        remora.stop()
        with open("records.jsonl") as file:
            records = [json.loads(line) for line in file]
        told = [r["message"] for r in records if r["kind"] == "refusal"]
        assert len(told) == 3, told
        assert all("the server's block list is ignored" in each for each in told)
        """
    )


def test_a_new_policy_leaves_no_gap_in_what_it_grants_again(obey) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        orders.obey_policy(policy("block"))
        orders.apply([sink()], [], 1)
        assert protection.blocks
        orders.obey_policy(policy("block", "raise"))
        assert protection.blocks and execute.__code__ is not code
        orders.apply([sink()], [], 2)
        assert protection.blocks and execute.__code__ is not code
        orders.obey_policy(policy("raise"))
        orders.apply([sink()], [], 3)
        assert not protection.blocks and execute.__code__ is code
        assert "grants raise and not block" in reason()
        remora.stop()
        """
    )


def test_a_signed_removal_counts_after_a_restart_that_keeps_its_numbers(obey) -> None:
    obey(
        """
        os.environ["REMORA_STATE"] = "remora.state"
        block = signed(sink())
        off = signed(sink("off"))
        for push, words in (([block], "at 1 place"), ([off], "mode = 'off'"),
                            ([block], "an earlier version")):
            remora.start(**options)
            Orders(agent._agent.parts).apply(push, [], 1)
            assert words in reason(), reason()
            remora.stop()
        """
    )


def test_what_a_policy_lets_a_server_block_ends_with_it(obey) -> None:
    obey(
        """
        remora.start(**options)
        orders = Orders(agent._agent.parts)
        orders.apply([sink()], [], 1)
        assert "is not signed" in reason()
        orders.obey_policy(policy("block", valid_s=60.0))
        orders.apply([sink("watch")], [], 2)
        orders.apply([sink()], [], 3)
        assert reason() == "installed at 1 place"
        assert protection.blocks
        wall_clock(61)
        agent._agent.parts.probes.tick()
        orders.look_again()
        assert not protection.blocks and execute.__code__ is code
        remora.stop()
        """
    )
