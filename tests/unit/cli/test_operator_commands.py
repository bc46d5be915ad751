"""Each operator command against a fake server: what is asked, printed, returned."""

from __future__ import annotations

import json

import pytest

CHARGE = "shop.billing:charge"
ADD = ("probe", "add", CHARGE, "--id", "charges", "--log", "charged {amount}")


def asked(server, method):
    return [(path, body) for verb, path, body in server.asked if verb == method]


def test_ps_lists_instances_and_why_some_are_not_served(operator, server, monkeypatch):
    from remora.cli import instances

    monkeypatch.setattr(instances.time, "time_ns", lambda: 1_700_000_120_000_000_000)
    server.instances.append(
        server.instances[0]
        | {"pid": 9, "python": "2.7.18", "state": "unserved", "note": "too old"}
        | {"drops": {"exit": 7, "file": 0}}
    )
    ran = operator("ps", "--app", "shop")
    assert ran.status == 0
    assert ran.lines[0].split()[:3] == ["APP", "ENV", "VERSION"]
    assert ran.lines[1].split() == [
        *["shop", "prod", "4.2", "web-1", "4711", "3.12.1", "connected"],
        *["1", "-", "-", "2m", "3fa2b1c0"],
    ]
    assert ran.lines[-2:] == ["shop 9: too old", "shop 9: records dropped: 7 exit"]
    assert server.asked[0] == ("GET", "/api/v1/instances", {"app": "shop"})


def test_ps_without_instances_says_how_to_get_one(operator, server):
    server.instances.clear()
    assert "remora run" in operator("ps").out


def test_probe_add_sends_the_whole_probe_and_prints_each_status(operator, server):
    ran = operator(*ADD, "--app", "shop", "--when", "amount > 10", "--hits", "3")
    assert ran.status == 0, ran.err
    assert server.probes["charges"] == {
        "id": "charges",
        "target": CHARGE,
        "phase": "pre",
        "scope": {"app": "shop"},
        "when": "amount > 10",
        "log": "charged {amount}",
        "limit": {"hits": 3},
    }
    assert ran.lines == ["added charges", "    shop 4711  installed at 1 site"]


def test_a_failed_status_is_printed_with_its_reason(operator, server):
    server.state = "failed"
    server.reason = "shop.billing has no 'chrage'; did you mean 'charge'?"
    ran = operator(*ADD)
    assert ran.status == 0
    assert f"failed: {server.reason}" in ran.out


def test_wait_turns_a_failed_status_into_the_exit_status(operator, server):
    server.state = "failed"
    assert operator(*ADD, "--wait", "5s").status == 1


def test_wait_succeeds_when_all_are_installed(operator, server):
    assert operator(*ADD, "--wait").status == 0


def test_waiting_is_an_answer_unless_the_wait_is_asked_for(operator, server):
    server.state = "waiting"
    server.reason = "module shop.billing is not imported"
    ran = operator(*ADD)
    assert ran.status == 0
    assert "waiting: module shop.billing is not imported" in ran.out
    assert operator(*ADD[:4], "other", *ADD[5:], "--wait", "300ms").status == 1


def test_a_wait_that_is_no_duration_is_refused_before_any_request(operator, server):
    ran = operator(*ADD, "--wait", "soon")
    assert ran.status == 1
    assert "--wait = 'soon' is no duration" in ran.err
    assert server.asked == []


def test_no_matching_instance_is_said(operator, server):
    server.instances.clear()
    assert "no instance matches" in operator(*ADD).out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["no-colon", "--log", "x"], "'no-colon' has no ':'"),
        ([CHARGE, "--when", "a b", "--log", "x"], "when:"),
        ([CHARGE], "does nothing"),
        ([CHARGE, "--log", "x", "--rate", "often"], "limit.rate = 'often' is no rate"),
        ([CHARGE, "--log", "x", "--hits", "few"], "limit.hits = 'few'"),
        ([CHARGE, "--log", "x", "--share", "half"], "scope.share = 'half'"),
        ([CHARGE, "--log", "x", "--phase", "later"], "phase = 'later'"),
    ],
)
def test_a_mistake_is_found_before_any_request(operator, server, options, words):
    ran = operator("probe", "add", *options)
    assert ran.status == 1
    assert ran.err.startswith("remora: error: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err
    assert server.asked == []


def test_a_duplicate_id_is_the_servers_sentence(operator, server):
    operator(*ADD)
    ran = operator(*ADD)
    assert ran.status == 1
    assert ran.err == (
        "remora: error: there is a probe 'charges' already: choose another id\n"
    )
    assert "charges" in server.probes


def test_a_default_id_is_readable_and_its_own(operator, server):
    operator("probe", "add", CHARGE, "--count", "--by", "plan", "--every", "5s")
    (probe,) = server.probes.values()
    assert probe["id"].startswith("billing-charge-")
    assert probe["count"] == {"every": "5s", "by": ["plan"]}


def test_a_file_adds_all_of_its_probes(operator, server, tmp_path):
    path = tmp_path / "probes.toml"
    path.write_text(
        f"[[probe]]\nid = 'a'\ntarget = '{CHARGE}'\nlog = 'x'\n"
        f"[[probe]]\ntarget = '{CHARGE}'\nsnapshot = ['amount']\n"
    )
    ran = operator("probe", "add", "--file", str(path))
    assert ran.status == 0, ran.err
    assert len(server.probes) == 2


def test_a_file_with_a_duplicate_adds_nothing(operator, server, tmp_path):
    operator(*ADD)
    path = tmp_path / "probes.toml"
    path.write_text(
        "".join(
            f"[[probe]]\nid = '{name}'\ntarget = '{CHARGE}'\nlog = 'x'\n"
            for name in ("new", "charges")
        )
    )
    ran = operator("probe", "add", "--file", str(path))
    assert ran.status == 1
    assert list(server.probes) == ["charges"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begin each probe with [[probe]]"),
        ("x = [", "no TOML"),
        ("[[probe]]\ntarget = 'a:b'\nlgo = 'x'", "'lgo' is no key"),
        ("[[probe]]\nid='a'\ntarget='a:b'\nlog='x'\n" * 2, "id 'a' is used before"),
    ],
)
def test_a_bad_file_is_refused_whole(operator, server, tmp_path, text, words):
    path = tmp_path / "probes.toml"
    path.write_text(text)
    ran = operator("probe", "add", "--file", str(path))
    assert (ran.status, server.asked) == (1, [])
    assert words in ran.err
    assert str(path) in ran.err


def test_a_file_stands_alone(operator, server):
    ran = operator("probe", "add", "--file", "x.toml", "--when", "a")
    assert (ran.status, server.asked) == (2, [])
    assert "--when" in ran.err


def test_probe_list_shows_scope_instances_and_counters(operator, server):
    operator(*ADD, "--app", "shop")
    ran = operator("probe", "list")
    assert ran.lines[1].split() == [
        *["charges", CHARGE, "app=shop", "1", "installed", "3", "2"],
        *["2023-11-14", "23:13:20"],
    ]


def test_list_shows_what_instances_keep_and_the_server_has_no_more(
    operator, server
) -> None:
    why = "the push that removes it is not signed"
    row = {"id": "guard", "instances": 2, "apps": ["shop"], "site": "shop.db:run"}
    server.kept = [row | {"reason": why}]
    ran = operator("probe", "list")
    line = (
        f"guard kept by 2 instances of shop at shop.db:run: {why}; "
        "`remora probe remove guard --key FILE` takes it away"
    )
    assert line in " ".join(ran.out.split())
    assert json.loads(operator("probe", "list", "--json").out)["kept"] == server.kept


def test_probe_show_tells_source_statuses_and_sites(operator, server):
    operator(*ADD)
    ran = operator("probe", "show", "charges")
    assert "    log = charged {amount}" in ran.lines
    assert "    shop 4711  installed at 1 site" in ran.lines
    assert any("by codeswap  /srv/shop/billing.py:12" in line for line in ran.lines)
    assert "        3 firings, 1 suppressed" in ran.lines


def test_probe_show_says_what_held_firings_back_and_what_they_cost(operator, server):
    operator(*ADD)
    server.more = {
        "firings": 9,
        "unmet": 10_000,
        "suppressed": 5,
        "suppressed_by": {"rate": 3, "time": 2},
        "cpu_ns": 160_000,
        "last_firing": 1_700_000_000_000_000_000,
        "unread": {"account.plan": "property"},
    }
    shown = operator("probe", "show", "charges").lines
    assert (
        "        9 firings, condition not met in 10000 calls and more, 5 suppressed (3 "
        "by its rate, 2 by its share of time), 40 µs of CPU a record, "
        "at most 0.1 µs a call, last record 2023-11-14 22:13:20"
    ) in shown
    assert "        not read in calls that it let go: account.plan (property)" in shown


def test_probe_show_says_that_no_call_came_by(operator, server):
    operator(*ADD)
    server.more = {"firings": 0, "suppressed": 0}
    shown = operator("probe", "show", "charges").lines
    assert "        0 firings, no call has come to it so far" in shown


def test_probe_show_names_who_is_silent_who_is_not_meant_and_who_is_gone(
    operator, server
):
    operator(*ADD)
    server.instances[0]["state"] = "gone"
    other = server.instances[0] | {"pid": 4712}
    server.absences = {
        "unanswered": [{"instance": other, "reason": "it is not connected"}],
        "elsewhere": [{"instance": other, "instances": 7, "reason": "scope env"}],
    }
    shown = operator("probe", "show", "charges").lines
    assert "    shop 4711  (gone)  installed at 1 site" in shown
    assert "    shop 4712  unreported: it is not connected" in shown
    assert "    not in 7 instances, such as shop 4712: scope env" in shown


def test_probe_show_says_that_nothing_runs_at_all(operator, server):
    operator(*ADD)
    server.instances.clear()
    shown = operator("probe", "show", "charges").out
    assert "no instance is running that the server knows of" in shown


def test_showing_an_unknown_probe_is_one_sentence_and_status_1(operator):
    ran = operator("probe", "show", "nope")
    assert (ran.status, ran.err) == (1, "remora: error: there is no probe 'nope'\n")


def test_removing_says_what_went_and_complains_about_the_rest(operator, server):
    operator(*ADD)
    ran = operator("probe", "remove", "nope", "charges")
    assert ran.status == 1
    assert ran.out == "removed charges\n"
    assert "no probe 'nope'" in ran.err


def test_points_are_a_table_with_a_hint_of_the_rest(operator, server):
    ran = operator("points", "shop.**:*", "--app", "shop")
    assert ran.lines[1].split() == [CHARGE, "function", "/srv/shop/billing.py:12"]
    assert "4 more" in ran.lines[-1]
    assert asked(server, "POST")[0][1] == {
        "pattern": "shop.**:*",
        "limit": 100,
        "app": "shop",
    }


def test_a_new_token_stands_alone_on_standard_output(operator, server):
    ran = operator("token", "create", "agent", "--name", "ci", "--app", "shop")
    assert ran.out == "rma_" + "n" * 43 + "\n"
    assert "only time" in ran.err


def test_an_option_of_the_other_kind_of_token_is_a_usage_error(operator, server):
    ran = operator("token", "create", "operator", "--name", "x", "--app", "shop")
    assert (ran.status, server.asked) == (2, [])


def test_tokens_are_listed_and_revoked(operator, server):
    assert operator("token", "list").lines[1].split()[:4] == [
        *["t1", "agent", "ci", "shop"]
    ]
    assert operator("token", "revoke", "t1").out == "revoked t1\n"
    assert server.asked[-1][:2] == ("DELETE", "/api/v1/tokens/t1")


@pytest.mark.parametrize(
    "argv",
    [
        ("ps",),
        ADD,
        ("probe", "list"),
        ("points", "a.**:*"),
        ("token", "list"),
        ("token", "create", "agent", "--name", "x"),
        ("token", "revoke", "t1"),
        ("config",),
    ],
)
def test_json_is_one_object_on_one_line(operator, argv):
    ran = operator(*argv, "--json")
    assert ran.status == 0, ran.err
    assert len(ran.lines) == 1
    assert isinstance(json.loads(ran.out), dict)


def test_a_failure_in_json_is_an_object_with_the_slug(operator):
    ran = operator("probe", "show", "nope", "--json")
    assert ran.status == 1
    assert json.loads(ran.err) == {
        "error": "unknown-probe",
        "message": "there is no probe 'nope'",
    }


def test_json_of_show_and_remove(operator):
    operator(*ADD)
    shown = json.loads(operator("probe", "show", "charges", "--json").out)
    assert shown["statuses"][0]["status"]["state"] == "installed"
    removed = operator("probe", "remove", "charges", "--json").out
    assert json.loads(removed) == {"removed": ["charges"]}


def test_what_a_server_says_cannot_steer_the_terminal(operator, server):
    server.instances[0]["app"] = "a\x1b]0;owned\x07\u202eb[red]"
    server.reason = "two\nlines \x9b31m"
    assert operator("ps").lines[1].startswith(r"a\x1b]0;owned\x07\u202eb[red]")
    out = operator(*ADD).out
    assert r"two\nlines \x9b31m" in out
    server.forced = (400, "bad-probe", "no \x1b[31m\ngood")
    assert operator("ps").err == "remora: error: no \\x1b[31m\\ngood\n"
