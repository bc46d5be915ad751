"""`remora probe test`: what probes would have done, told by records alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzed import SCALARS, always_the_same
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.capture import capture
from remora.cli.dry_run import run
from remora.cli.recorded import NotRecordedError, decode
from remora.protocol import Instance, parse_probe

SITE = "shop.billing:charge"
SOURCE = Path(__file__).parents[3] / "src"


def record(**keys):
    return {
        "kind": "snapshot",
        "time": 1,
        "probe": "seen",
        "site": SITE,
        "phase": "pre",
        "thread": 1,
        "values": {},
        **keys,
    }


def arguments(**values):
    return record(values={"arguments": {k: capture(v)[0] for k, v in values.items()}})


def trial(probe, *records, instances=None):
    table = {"id": "p", "target": SITE, "log": "x", **probe}
    (result,), _ = run([parse_probe(table)], records, instances or {})
    return result


def judged(when, call):
    """True, False, or the reason why it cannot be told."""
    result = trial({"when": when}, call)
    assert result.calls == 1
    return next(iter(result.untold)) if result.untold else bool(result.fired)


class Account:
    def __init__(self, **fields):
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 7, 2**80, -1.5, "text", "\ud800\\x", b"\x00\xff", ""),
        *([1, [2]], (1,), {1, 2}, frozenset({"a"}), {"a": [1]}, {1: 2}, {"$": 3}),
    ],
)
def test_a_value_comes_back_as_it_was_captured(value) -> None:
    decoded = decode(json.loads(json.dumps(capture(value)[0])))
    assert decoded == value
    assert type(decoded) is type(value)


def test_numbers_that_json_has_not_come_back_too() -> None:
    assert math.isnan(decode(capture(math.nan)[0]))
    assert decode(capture(-math.inf)[0]) == -math.inf


@pytest.mark.parametrize(
    "value",
    ["x" * 1000, list(range(200)), b"x" * 1000, {i: i for i in range(200)}, 10**2000],
)
def test_what_was_cut_is_not_guessed(value) -> None:
    with pytest.raises(NotRecordedError):
        decode(capture(value)[0])


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ("amount > 1000", True),
        ("amount > 9000", False),
        ("account.plan == 'free' and amount > 1", True),
        ("account.nested.deep == 1", True),
        ("account.tags[1] == 'b'", True),
        ("any(tag == 'b' for tag in account.tags)", True),
        ("all(tag == account.plan for tag in account.tags)", False),
        ("len(account.tags) == 2", True),
        ("account is missing", False),
        ("account != None and type_name(account) == 'test_dry_run.Account'", True),
        ("not account.plan == 'free'", False),
        ("'a' in account.tags", True),
        ("account.plan[0] == 'f' and account.tags['x'] is missing", True),
        ("matches(account.plan, 'f.*')", True),
        ("target == 'shop.billing:charge'", True),
        ("request.path == '/pay'", False),
        ("user.id == 'alice'", False),
    ],
)
def test_a_condition_is_judged_as_the_agent_would(when: str, verdict: bool) -> None:
    account = Account(plan="free", tags=["a", "b"], nested=Account(deep=1))
    account.__class__.__module__ = "test_dry_run"
    assert judged(when, arguments(amount=2500, account=account)) is verdict


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("quantity > 1", "quantity was not recorded"),
        ("account.owner == 1", "account.owner was not recorded"),
        ("state.started > 1", "state was not recorded"),
        ("result == 1", "result was not recorded"),
        ("note == 'x'", "note was cut"),
        ("len(many) > 1", "many was recorded in part"),
        ("many[150] == 1", "many[150] was not recorded"),
        ("password == 'x'", "password was redacted (name)"),
        ("request.headers['a'] == 'b'", "request.headers was not recorded"),
    ],
)
def test_what_was_not_recorded_is_named_and_nothing_is_guessed(when, reason) -> None:
    call = arguments(account=Account(plan="free"), note="x" * 999, many=[0] * 200)
    call["values"]["arguments"]["password"] = {"$": "redacted", "reason": "name"}
    call["request"] = {"id": "1", "path": "/pay"}
    assert judged(when, call) == reason


def test_a_part_that_decides_is_enough() -> None:
    call = arguments(amount=5)
    assert judged("amount > 9 and unknown == 1", call) is False
    assert judged("unknown == 1 and amount > 9", call) is False
    assert judged("amount > 1 or unknown == 1", call) is True
    assert judged("amount > 1 and unknown == 1", call) == "unknown was not recorded"


def test_an_expression_that_was_recorded_answers_for_itself_alone() -> None:
    call = record(values={"account.plan": "free", "len(items) * 2": 6})
    assert judged("account.plan == 'free'", call) is True
    assert judged("len(items) * 2 > 5", call) is True
    assert judged("account.name == 'x'", call) == "account was not recorded"


def test_the_call_s_own_names_win_and_ours_stay_within_reach() -> None:
    call = arguments(request="own")
    call["request"] = {"path": "/pay"}
    assert judged("request == 'own' and remora.request.path == '/pay'", call) is True


def test_values_accounts_and_outcomes_are_counted() -> None:
    calls = [
        arguments(amount=5) | {"user": {"id": "alice"}},
        arguments(amount=5) | {"request": {"client": "10.0.0.7"}},
        arguments(amount=7),
        arguments(amount=1),
    ]
    override = {"return": "[amount, 'free']"}
    result = trial({"when": "amount > 1", "override": override}, *calls)
    assert (result.calls, result.fired, result.quiet) == (4, 3, 1)
    assert result.values == {"amount = 5": 2, "amount = 7": 1}
    assert result.users == {
        "user 'alice'": 1,
        "client 10.0.0.7": 1,
        "nobody known": 1,
    }
    assert result.outcomes == {"return [5, 'free']": 2, "return [7, 'free']": 1}


@pytest.mark.parametrize(
    ("override", "outcome"),
    [
        ({"return": "'text'"}, "return 'text'"),
        ({"raise": "ValueError: no {amount}"}, "raise ValueError: no 5"),
        ({"arguments": {"amount": "amount + 1"}}, "go on with amount = 6"),
        ({"return": "unknown"}, "do what cannot be told: unknown was not recorded"),
        ({"return": "amount['x']"}, "change nothing: amount['x'] is missing (type)"),
    ],
)
def test_an_outcome_reads_as_it_would_be(override, outcome: str) -> None:
    result = trial({"override": override}, arguments(amount=5))
    assert list(result.outcomes) == [outcome]


@pytest.mark.parametrize(
    ("phase", "recorded", "told"),
    [("pre", "post", 1), ("post", "pre", 0), ("fail", "post", 0), ("post", "post", 1)],
)
def test_a_record_of_another_phase_says_nothing_of_the_end(
    phase: str, recorded: str, told: int
) -> None:
    result = trial({"phase": phase}, record(phase=recorded))
    assert result.told == told


def test_targets_scopes_and_kinds_choose_the_calls() -> None:
    calls = [
        record(),
        record(site="shop.billing:refund"),
        record(site="shop.tests:charge"),
        record(app="till"),
        record(kind="aggregate"),
        record(kind="log", message="a log knows no values, but it is a call"),
        record(site="/srv/shop/billing.py:42", phase="line"),
    ]
    scope = {"app": "shop"}
    everywhere = {"target": ["shop.**:*", "!shop.tests"], "scope": scope}
    result = trial(everywhere, *calls)
    assert (result.calls, result.fired) == (4, 3)
    assert list(result.outside) == ["scope app = 'shop', the record's is 'till'"]
    assert trial({"target": "shop/billing.py:42"}, *calls).fired == 1


def test_the_scope_is_judged_whole_where_the_instance_is_known() -> None:
    instance = Instance("i", "shop", "dev", "1", "web", 1, 0, 0, "3.12", "0")
    result = trial(
        {"scope": {"env": "prod"}}, record(instance="i"), instances={"i": instance}
    )
    assert list(result.outside) == ["scope env = 'prod', this is 'dev'"]
    assert result.told == 0


@pytest.mark.parametrize(
    "values",
    [
        *(None, [], 7, {"arguments": 7}, {"arguments": {"$": "object"}}),
        *(
            {"amount": {"$": x}}
            for x in ("dict", "text", "object", "new", "int", "set")
        ),
        {"amount": {"$": "object", "fields": [1], "type": 3, "length": "x"}},
        {"amount": {"$": "list", "items": 3}},
        {"((": 1},
    ],
)
def test_a_record_of_any_shape_is_judged_or_not_told(values) -> None:
    result = trial({"when": "amount.a[1] > 1"}, record(values=values))
    assert result.calls == 1
    assert result.fired == 0


FORMS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                "$ items length text escaped digits base64 entries fields type cut "
                "reason name message".split()
            ),
            st.one_of(
                inner,
                st.sampled_from(
                    "int float text bytes list tuple set deque dict object enum "
                    "exception missing redacted".split()
                ),
            ),
            max_size=4,
        ),
    ),
    max_leaves=6,
)
ASKED = [
    "amount.name[1] > 1 and user.id == 'x'",
    "len(amount) > 1 or amount == [1]",
    "any(each.name == 'x' for each in amount)",
    "amount is not missing and type_name(amount) == 'int'",
    "request.path[0] == '/'",
]


@given(value=FORMS, when=st.sampled_from(ASKED))
@always_the_same
def test_a_lying_record_is_judged_or_not_told_and_breaks_nothing(value, when) -> None:
    call = record(values={"amount": value, "arguments": value}, user=value)
    call["request"] = value
    result = trial({"when": when, "override": {"return": "amount"}}, call)
    assert result.calls == result.fired + result.quiet + result.untold.total()


FILE = """
[[probe]]
id = "big"
target = "shop.billing:charge"
when = "amount > 1000 and account == 'free'"
override = { raise = "PermissionError: not {amount}" }
scope = { app = "shop", env = "prod" }
"""


@pytest.fixture
def probe_file(tmp_path):
    path = tmp_path / "fix.toml"
    path.write_text(FILE)
    return str(path)


def write_records(path, *records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_the_command_tells_of_a_file_of_records(operator, probe_file, tmp_path) -> None:
    calls = [arguments(amount=n, account="free") for n in (5, 2500, 2500, 9000)]
    calls.append(arguments(amount=7000))
    path = write_records(tmp_path / "r.jsonl", *calls)
    path.write_text(path.read_text() + "no record\n\n[]\n")
    ran = operator("probe", "test", probe_file, "--records", str(path))
    assert ran.status == 0
    assert ran.lines[:9] == [
        "big  shop.billing:charge",
        "    5 recorded calls, by seen",
        "    would have acted 3 times, not 1 time",
        "    on  amount = 2500, account = 'free'  2",
        "    on  amount = 9000, account = 'free'  1",
        "    for  nobody known  3",
        "    would  raise PermissionError: not 2500  2",
        "    would  raise PermissionError: not 9000  1",
        "    cannot be told  account was not recorded  1",
    ]
    assert "    of the scope only the app is checked" in ran.out
    assert "2 lines were no records and were left out" in ran.out


def test_a_probe_that_nothing_tells_of_ends_with_status_1(
    operator, probe_file, tmp_path
) -> None:
    path = write_records(tmp_path / "r.jsonl", record(site="shop.billing:charges"))
    ran = operator("probe", "test", probe_file, "--records", str(path))
    assert ran.status == 1
    assert "no call of it was recorded; recorded are shop.billing:charges" in ran.out
    assert "remora probe add shop.billing:charge --snapshot arguments" in ran.out


def test_the_server_s_records_are_fetched_page_by_page(operator, server, probe_file):
    one = arguments(amount=2500, account="free") | {
        "instance": server.instances[0]["id"]
    }
    server.kept = [one | {"id": str(n)} for n in range(1500)]
    ran = operator("probe", "test", probe_file, "--limit", "1200", "--json")
    (probe,) = json.loads(ran.out)["probes"]
    assert (probe["calls"], probe["fired"]) == (1200, 1200)
    assert [q["limit"] for m, p, q in server.asked if p.endswith("/records")] == [
        "1000",
        "200",
    ]


def test_a_file_that_is_not_there_is_one_sentence(operator, probe_file) -> None:
    ran = operator("probe", "test", probe_file, "--records", "/nowhere/r.jsonl")
    assert ran.status == 1
    assert "/nowhere/r.jsonl" in ran.err
    assert "cannot be read" in ran.err


APP = """
class Account:
    def __init__(self, plan):
        self.plan = plan

def charge(amount, account):
    return amount

def work():
    for amount in range(20):
        charge(amount, Account("free" if amount % 3 else "paid"))
"""


def test_a_dry_run_agrees_with_the_run_itself(operator, tmp_path) -> None:
    tmp_path.joinpath("till.py").write_text(APP)
    wanted = (
        '[[probe]]\nid = "p"\ntarget = "till:charge"\nlog = "{amount}"\n'
        "when = \"amount > 4 and account.plan == 'free'\"\n"
    )
    seen = (
        '[[probe]]\nid = "s"\ntarget = "till:charge"\nsnapshot = ["arguments"]\n'
        'limit = { rate = "1000/s", time = "100%" }\n'
    )
    files = {"wanted": wanted, "seen": seen}
    counts = {}
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text)
        subprocess.run(
            [
                *(sys.executable, "-m", "remora", "run"),
                *("--probes", tmp_path / f"{name}.toml"),
                *("--records", tmp_path / f"{name}.jsonl"),
                *("--", sys.executable, "-c", "import till; till.work()"),
            ],
            env={"PYTHONPATH": str(SOURCE), "REMORA_LOG": "off"},
            cwd=tmp_path,
            check=True,
            timeout=60,
        )
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        counts[name] = len(lines)
    path = tmp_path / "seen.jsonl"
    ran = operator(
        *(
            "probe",
            "test",
            str(tmp_path / "wanted.toml"),
            "--records",
            str(path),
            "--json",
        )
    )
    (probe,) = json.loads(ran.out)["probes"]
    assert counts["seen"] == probe["calls"] == 20
    assert probe["fired"] == counts["wanted"] == 10
    assert probe["untold"] == {}
