"""The packs and rules of a process: what a server may change, and what is told."""

from __future__ import annotations

import sqlite3

import pytest

from remora.agent.config import read_settings
from remora.agent.control.protection import Protection
from remora.agent.request import RequestContext, protection, serve_request
from remora.errors import Blocked
from remora.protocol import parse_probe
from remora.protocol.rules import Sighting

KEY = f"ed25519:{'A' * 43}="
assert sqlite3, "a driver that is imported"


class Process:
    """What an agent puts together for protection, with no agent."""

    def __init__(self, probes, **variables):
        self.probes = probes
        names = {f"REMORA_{name.upper()}": value for name, value in variables.items()}
        self.guarding = Protection(self.probes, read_settings(None, names), {})
        self.probes.add(self.guarding.wanted())
        self.guarding.obey_own()

    def rule(self, *tables):
        self.guarding.obey(
            [{"id": f"r{n}", "reason": "x", **each} for n, each in enumerate(tables, 1)]
        )

    @property
    def state(self):
        return self.guarding.state(self.probes.statuses())

    @property
    def modes(self):
        return {pack.pack: pack.mode for pack in self.state.packs}

    @property
    def refusals(self):
        return {rule.id: rule.refusal for rule in self.state.rules}

    def close(self):
        self.probes.obey(None)
        protection.end()


@pytest.fixture
def process(make_probes):
    made = []

    def start(**variables):
        made.append(Process(make_probes(), **variables))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_what_protect_installs_is_told_by_its_names(process):
    here = process(protect="sql=block")
    (pack,) = here.state.packs
    assert (pack.pack, pack.detector, pack.mode) == ("sql", "sql", "block")
    assert "sqlite3" in pack.guarded
    assert pack.places >= 3
    assert set(pack.waiting).isdisjoint(pack.guarded)
    assert all(flaw.probe not in pack.waiting for flaw in pack.flaws)
    assert here.state.mode == "sql=block"


def test_a_driver_that_is_not_imported_waits_and_is_no_flaw(process):
    (pack,) = process(protect="sql=block").state.packs
    assert "aiosqlite" in (*pack.waiting, *pack.guarded)
    assert "aiosqlite" not in [flaw.probe for flaw in pack.flaws]


def test_a_probe_of_nobodys_pack_is_told_too_and_its_flaw(process):
    here = process(protect="off")
    protect = {"detector": "sql", "argument": "nowhere", "mode": "watch"}
    target = "sqlite3.dbapi2:DateFromTicks"
    here.probes.add([parse_probe({"id": "mine", "target": target, "protect": protect})])
    (pack,) = here.state.packs
    assert (pack.pack, pack.mode, pack.guarded) == ("others", "watch", ())
    (flaw,) = pack.flaws
    assert (flaw.probe, flaw.state) == ("mine", "failed")
    assert "nowhere" in flaw.reason


def test_a_server_turns_a_detector_on_and_off_again(process):
    here = process(protect="off")
    assert here.modes == {}
    here.rule({"mode": "block", "detector": "sql"})
    assert here.modes == {"sql": "block"}
    assert protection.blocks
    here.rule({"mode": "watch", "detector": "sql"})
    assert here.modes == {"sql": "watch"}
    assert (protection.watches, protection.blocks) == (True, False)
    here.rule()
    assert here.modes == {}
    assert protection.rules is None
    assert not protection.watches


def test_a_mode_of_the_whole_app_leaves_its_probes_where_they_are(process):
    here = process(protect="sql=block,path=watch")
    before = here.probes.installed()
    here.rule({"mode": "watch"}, {"mode": "block", "route": "/x"})
    assert here.modes == {"sql": "watch", "path": "watch", "shell": "watch"} | {
        "url": "watch"
    }
    after = here.probes.installed()
    assert all(after[name] is probe for name, probe in before.items())
    assert here.refusals == {"r1": "", "r2": ""}


def test_what_is_off_for_the_whole_app_is_not_there(process):
    here = process(protect="sql=block")
    here.rule({"mode": "off", "detector": "sql"})
    assert here.probes.installed() == {}
    here.rule()
    assert here.modes == {"sql": "block"}


@pytest.mark.parametrize(
    "variables",
    [{"allow": "observe"}, {"public_key": KEY}],
    ids=["observe", "public key"],
)
def test_a_server_that_is_not_trusted_may_watch_more_and_nothing_else(
    process, variables
):
    here = process(protect="sql=block,path=watch", **variables)
    here.rule(
        {"mode": "watch", "detector": "sql"},
        {"mode": "off", "detector": "sql", "route": "/x"},
        {"mode": "block", "detector": "path"},
        {"mode": "watch"},
        {"mode": "watch", "detector": "url"},
    )
    refused = {name for name, reason in here.refusals.items() if reason}
    assert refused == {"r1", "r2", "r3", "r4"}
    assert here.refusals["r1"].startswith("it lowers sql from block to watch")
    assert here.modes == {"sql": "block", "path": "watch", "url": "watch"}


def serve(path, name):
    """A request for `path` with a parameter that attacks; what comes of it."""
    request = RequestContext()
    request.path = path
    request.source = {"QUERY_STRING": f"q={name}"}
    serve_request(request)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"SELECT '{name}'")
    except Blocked:
        return "blocked"
    finally:
        connection.close()
        serve_request(None)
    return "passed"


ATTACK = "x'--"


def test_a_rule_for_a_route_turns_a_detector_on_there_and_nowhere_else(process):
    here = process(protect="off")
    here.rule({"mode": "block", "detector": "sql", "route": "/admin/*"})
    assert here.refusals == {"r1": ""}
    assert here.modes == {"sql": "off"}
    assert protection.blocks
    assert serve("/admin/users", ATTACK) == "blocked"
    assert serve("/search", ATTACK) == "passed"
    assert [rule.decided for rule in here.state.rules] == [1]
    here.rule()
    assert here.modes == {}
    assert serve("/admin/users", ATTACK) == "passed"


def test_what_sleeps_outside_of_its_route_looks_at_no_input_there(process):
    here = process(protect="off")
    here.rule({"mode": "block", "detector": "sql", "route": "/admin/*"})
    checks = here.state.packs[0].checks
    serve("/search", "x")
    assert here.state.packs[0].checks == checks
    serve("/admin/x", "x")
    assert here.state.packs[0].checks == checks + 1


def test_a_rule_for_all_detectors_turns_them_on_only_where_it_blocks(process):
    """One that watches is how people let something pass."""
    here = process(protect="sql=block")
    here.rule({"mode": "watch", "route": "/console/*"})
    assert here.modes == {"sql": "block"}
    here.rule({"mode": "block", "route": "/admin/*"})
    assert {"sql", "shell", "path", "url"} <= here.modes.keys() | {"shell"}
    assert here.modes["path"] == "off"


def test_a_route_of_a_detector_that_a_rule_turns_off_can_still_block(process):
    here = process(protect="sql=block")
    here.rule(
        {"mode": "off", "detector": "sql"},
        {"mode": "block", "detector": "sql", "route": "/admin/*"},
    )
    assert serve("/admin/users", ATTACK) == "blocked"
    assert serve("/search", ATTACK) == "passed"


def test_a_check_that_fails_for_want_of_room_blocks_where_a_rule_does(process):
    """At the end of the stack an attacker must not find the app's own mode."""
    here = process(protect="off")
    here.rule({"mode": "block", "detector": "sql", "route": "/admin/*"})

    def dive(path):
        try:
            return dive(path)
        except RecursionError:
            return serve(path, ATTACK)

    assert dive("/admin/users") == "blocked"


def test_a_policy_lets_a_server_raise_modes_and_never_lower_them(process):
    here = process(protect="sql=block,path=watch", public_key=KEY)
    raised = {"mode": "block", "detector": "path"}
    here.guarding.against_raising = lambda: "no policy grants it"
    here.rule(raised)
    assert here.refusals["r1"] == "it blocks, and no policy grants it"
    here.guarding.against_raising = lambda: ""
    here.rule(raised, {"mode": "watch", "detector": "sql"})
    assert here.refusals["r1"] == ""
    assert "REMORA_PUBLIC_KEY" in here.refusals["r2"]
    assert here.modes["path"] == "block"
    assert here.modes["sql"] == "block"


def test_a_rule_that_cannot_be_read_is_refused_alone(process):
    here = process(protect="sql=block")
    here.guarding.obey(
        [
            {"id": "odd", "mode": "watch", "reason": "x", "colour": "red"},
            {"id": "r", "mode": "watch", "reason": "x", "detector": "sql"},
            5,
        ]
    )
    assert "colour" in here.refusals["odd"]
    assert here.modes == {"sql": "watch"}
    for nonsense in (None, 5, {}, "x"):
        here.guarding.obey(nonsense)
    assert here.modes == {"sql": "block"}


def test_a_rule_that_ends_takes_what_it_installed_with_it(process, monkeypatch):
    here = process(protect="off")
    here.rule({"mode": "block", "detector": "sql", "expires_at": 2**62})
    assert here.modes == {"sql": "block"}
    here.guarding.tick()
    assert here.modes == {"sql": "block"}
    originals = "remora.agent.control.protection.originals.time_ns"
    monkeypatch.setattr(originals, lambda: 2**62)
    here.guarding.tick()
    assert here.modes == {}


def test_rules_of_the_apps_own_file_hold_without_a_server_and_bound_it(
    process, tmp_path
):
    file = tmp_path / "rules.toml"
    file.write_text(
        """
        [[rule]]
        id = "search"
        detector = "sql"
        route = "/search"
        mode = "block"
        reason = "nothing honest comes here"
        """
    )
    here = process(protect="sql=watch", rules=str(file), allow="observe")
    assert protection.blocks
    here.rule({"mode": "watch", "detector": "sql"})
    assert "from block to watch" in here.refusals["r1"]
    here.guarding.obey([])
    assert protection.blocks


def test_what_rules_decided_is_counted_and_a_child_counts_for_itself(process):
    here = process(protect="sql=block")
    here.rule({"mode": "watch", "route": "/x"})
    protection.rules.decided["r1"] = 3
    here.rule({"mode": "watch", "route": "/x"}, {"mode": "watch", "route": "/y"})
    assert [rule.decided for rule in here.state.rules] == [3, 0]
    here.guarding.begin_anew()
    assert [rule.decided for rule in here.state.rules] == [0, 0]


def test_a_rule_that_turns_a_detector_on_is_counted_where_it_decides(process):
    here = process(protect="off")
    here.rule({"mode": "block", "detector": "sql"})
    assert protection.rules.decide("watch", Sighting("sql", "/x"))[0] == "block"
    assert [rule.decided for rule in here.state.rules] == [1]
