"""What agents say of themselves, read where it arrives: whole, or one clear error."""

import pytest

from remora.errors import WireError
from remora.protocol import (
    Cost,
    Instance,
    SiteStatus,
    State,
    Status,
    parse_cost,
    parse_instance,
    parse_status,
)
from remora.protocol.protection import (
    Flaw,
    PackState,
    ProtectionState,
    RuleState,
    parse_protection,
)

INSTANCE = Instance("id", "shop", "prod", "1", "web", 12, 1, 5, "3.13", "0.1")
STATUS = Status(
    "p",
    State.PARTLY,
    "one of two",
    (SiteStatus("m:f", "function", "codeswap", "", "m.py", 3),),
    site_count=1,
    suppressed_by=(("rate", 4),),
    unread=(("a.b", "property"),),
    not_made=(("N inputs are too many", 3),),
)
FLAW = Flaw("x", "failed", "y")
NOT_MADE = (("the check failed", 2),)
PACK = PackState("sql", "sql", "block", ("sqlite3",), (), (FLAW,), not_made=NOT_MADE)
PROTECTION = ProtectionState("block", "", 5, 1, (PACK,), (RuleState("r", 2, "no"),))
HUGE = "x" * 100_000

READERS = [
    (parse_instance, INSTANCE),
    (parse_cost, Cost(**dict.fromkeys(Cost.__match_args__, 7))),
    (parse_status, STATUS),
    (parse_protection, PROTECTION),
]


@pytest.mark.parametrize(("parse", "value"), READERS)
def test_what_is_written_is_read_again(parse, value):
    assert parse(value.to_json()) == value


def spoiled(table):
    """The message with each of its values exchanged, wherever it lies."""
    for key, value in table.items():
        for bad in (None, True, -1, 2**63, 1.5, "x", HUGE, ["x"] * 2_000, {"x": HUGE}):
            if type(bad) is not type(value) or isinstance(bad, int | list):
                yield {**table, key: bad}
        for inner in [value] if isinstance(value, dict) else []:
            yield from ({**table, key: each} for each in spoiled(inner))
        if isinstance(value, list):
            for inner in [each for each in value if isinstance(each, dict)]:
                yield from ({**table, key: [each]} for each in spoiled(inner))


@pytest.mark.parametrize(("parse", "value"), READERS)
def test_a_spoiled_message_is_one_short_error_or_is_read_without_it(parse, value):
    errors = [error_of(parse, table) for table in spoiled(value.to_json())]
    assert len([error for error in errors if error]) > 20
    assert max(map(len, errors)) < 300


def error_of(parse, table):
    try:
        parse(table)
    except WireError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("parse", "table", "words"),
    [
        (parse_instance, {**INSTANCE.to_json(), "pid": True}, "instance.pid = 'True'"),
        (parse_cost, dict.fromkeys(Cost.__match_args__, True), "cost"),
        (parse_status, {**STATUS.to_json(), "firings": True}, "status.firings"),
        (parse_status, {**STATUS.to_json(), "state": ["x"]}, "status.state"),
        (parse_protection, {"requests": True}, "protection.requests = 'True'"),
        (parse_status, [], "status"),
    ],
)
def test_a_word_of_the_wrong_kind_is_named(parse, table, words):
    with pytest.raises(WireError, match=words):
        parse(table)


def test_texts_are_cut_and_not_refused():
    status = parse_status({**STATUS.to_json(), "reason": HUGE})
    assert 0 < len(status.reason) < 5_000
