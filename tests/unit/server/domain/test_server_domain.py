"""What the server decides with no I/O."""

import pytest

from remora.errors import ProbeError, RemoraError, WireError
from remora.protocol import Instance, parse_probe
from remora.server.domain import (
    BusyError,
    Caller,
    DuplicateProbeError,
    InstanceState,
    KnownInstance,
    Token,
    TokenForbiddenError,
    TokenKind,
    TokenMissingError,
    begin_life,
    check_instance_id,
    http_status,
    new_token_text,
    parse_batch,
    set_name,
    to_ns,
    token_digest,
    wanted_in,
)
from remora.server.domain.refusals import _STATUSES
from remora.server.domain.tokens import Access

ID = "0" * 32


def an_instance(**changes):
    values = {
        "id": ID,
        "app": "shop",
        "env": "prod",
        "version": "1",
        "host": "web-1",
        "pid": 1,
        "parent_pid": 0,
        "started": 1,
        "python": "3.11",
        "agent": "0.1",
    }
    return Instance(**{**values, **changes})


def a_probe(probe_id="p", sequence=1, now=0, **changes):
    source = {"id": probe_id, "target": "a:b", "log": "x", **changes}
    return begin_life(parse_probe(source), sequence=sequence, now=now, who="ann")


def state_after(seconds, *, connected=False, left=None, role="serving"):
    known = KnownInstance(an_instance(role=role), 0, 0, left=left)
    return known.state(to_ns(seconds), 15, connected=connected)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, "connected"),
        (30, "connected"),
        (31, "silent"),
        (299, "silent"),
        (300, "gone"),
    ],
)
def test_instance_falls_silent_after_two_pings_and_is_gone_after_five_minutes(
    seconds, state
):
    assert state_after(seconds).value == state


def test_open_connection_keeps_an_instance_connected():
    assert state_after(10_000, connected=True) is InstanceState.CONNECTED


def test_goodbye_wins_over_everything():
    assert state_after(0, connected=True, left="exit") is InstanceState.GONE


def test_master_is_idle_while_its_children_speak():
    assert state_after(299, role="master") is InstanceState.IDLE
    assert state_after(301, role="master") is InstanceState.GONE


def test_unserved_process_is_shown_for_a_day():
    assert state_after(86_000, role="unserved") is InstanceState.UNSERVED
    assert state_after(87_000, role="unserved") is InstanceState.GONE


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "G" * 32, "A" * 32, "0" * 33, "0" * 32 + "\n"]
)
def test_id_of_an_instance_is_32_hexadecimal_digits(text):
    with pytest.raises(WireError, match="32 hexadecimal"):
        check_instance_id(text)


@pytest.mark.parametrize(
    "scope",
    [
        {"app": "blog"},
        {"env": "dev"},
        {"version": ">=2"},
        {"host": "db-*"},
        {"instance": "f*"},
    ],
)
def test_probe_is_not_wanted_outside_its_scope(scope):
    assert wanted_in(an_instance(), [a_probe(scope=scope)]) == ()


def test_probe_inside_its_scope_is_wanted_if_it_is_enabled():
    inside = a_probe(scope={"app": "shop", "host": "web-*", "version": ">=1"})
    assert wanted_in(an_instance(), [inside, a_probe(enabled=False)]) == (inside,)


@pytest.mark.parametrize("role", ["master", "unserved"])
def test_process_that_serves_nothing_gets_no_probes(role):
    assert wanted_in(an_instance(role=role), [a_probe()]) == ()


def test_name_of_a_set_changes_with_every_change_of_a_probe():
    names = {
        set_name([]),
        set_name([a_probe("p", 1)]),
        set_name([a_probe("p", 2)]),
        set_name([a_probe("p", 1), a_probe("q", 3)]),
    }
    assert len(names) == 4


def test_probe_made_by_hand_lives_an_hour_or_what_its_limit_says():
    assert a_probe(now=5).expires_at == 5 + to_ns(3600)
    assert a_probe(limit={"expires": "2m"}).expires_at == to_ns(120)


@pytest.mark.parametrize("expires", ["367d", "9" * 400 + "d"])
def test_life_beyond_a_year_is_refused(expires):
    with pytest.raises(ProbeError, match="longer than '366d'"):
        a_probe(limit={"expires": expires})


def test_token_tells_its_kind_and_only_its_digest_is_kept():
    text = new_token_text(TokenKind.AGENT)
    assert text.startswith("rma_")
    assert len(text) == 4 + 43
    assert token_digest(text) != token_digest(new_token_text(TokenKind.AGENT))
    assert len(token_digest(text)) == 32


@pytest.mark.parametrize(
    ("kind", "access", "may"),
    [
        (TokenKind.OPERATOR, Access.FULL, True),
        (TokenKind.OPERATOR, Access.READ, False),
        (TokenKind.AGENT, Access.FULL, False),
    ],
)
def test_only_an_operator_with_full_access_may_write(kind, access, may):
    token = Token("id", kind, "name", b"", 0, "", access=access)
    assert Caller(token).may_write is may


def a_record(**changes):
    return {"kind": "log", "time": 1, "probe": "p", "site": "a:b", **changes}


def test_record_is_kept_whole_with_its_user_and_request_beside():
    record = a_record(user={"id": 7, "role": "x"}, request={"id": "r1"}, extra=[1])
    (parsed,) = parse_batch(ID, ID, [record], {}).records
    assert (parsed.user, parsed.request, parsed.probe) == ("7", "r1", "p")
    assert b'"extra":[1]' in parsed.body


def test_redacted_user_has_no_column():
    record = a_record(user={"id": {"$": "redacted", "reason": "name"}})
    assert parse_batch(ID, ID, [record], {}).records[0].user is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": None}, "kind = None"),
        ({"kind": "<b>"}, "kind = '<b>'"),
        ({"time": -1}, "time = -1"),
        ({"time": True}, "time = True"),
        ({"time": 2**63}, "time = "),
        ({"probe": 3}, "probe = '3'"),
        ({"site": "x" * 3000}, "site = "),
        ({"user": "ann"}, "user = 'ann'"),
    ],
)
def test_wrong_record_is_refused_with_its_place(changes, named):
    with pytest.raises(WireError) as caught:
        parse_batch(ID, ID, [a_record(), a_record(**changes)], {})
    assert str(caught.value).startswith(f"records[1]: {named}")


@pytest.mark.parametrize(
    ("batch_id", "records", "drops"),
    [
        ("x", [], {}),
        (ID, [a_record()] * 501, {}),
        (ID, [], {"queue-full": -1}),
        (ID, [], {'"} 1\nfaked': 1}),
        (ID, [], {f"r{'a' * (number + 1)}": 1 for number in range(60)}),
    ],
)
def test_wrong_batch_is_refused(batch_id, records, drops):
    with pytest.raises(WireError):
        parse_batch(batch_id, ID, records, drops)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WireError(""), 400),
        (TokenMissingError(""), 401),
        (TokenForbiddenError(""), 403),
        (DuplicateProbeError(""), 409),
        (BusyError(""), 503),
        (RemoraError(""), 500),
    ],
)
def test_each_refusal_has_its_status(error, status):
    assert http_status(error) == status


def test_every_status_of_a_refusal_is_one_of_a_failed_request():
    assert all(400 <= status < 600 for status in _STATUSES.values())
