"""What instances say of their protection is read back, and bounded."""

import pytest

from remora.errors import WireError
from remora.protocol.protection import (
    Flaw,
    PackState,
    ProtectionState,
    RuleState,
    parse_protection,
)

STATE = ProtectionState(
    "block",
    "",
    3,
    1,
    (
        PackState(
            "sql",
            "sql",
            "block",
            ("sqlite3",),
            ("asyncpg",),
            (Flaw("psycopg", "partly", "one place is not reached"),),
            6,
            70,
        ),
    ),
    (RuleState("r1", 4), RuleState("r2", 0, "it blocks")),
)


def test_a_state_is_read_back_from_its_message():
    assert parse_protection(STATE.to_json()) == STATE


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"mode": 5},
        {"requests": -1},
        {"packs": 5},
        {"packs": [{"mode": "on"}]},
        {"packs": [{"mode": "block"}] * 21},
        {"packs": [{"mode": "block", "guarded": ["x"] * 101}]},
        {"packs": [{"mode": "block", "guarded": [5]}]},
        {"rules": [{"id": "r"}] * 1001},
        {"rules": ["r"]},
    ],
)
def test_what_is_no_state_is_refused(value):
    with pytest.raises(WireError):
        parse_protection(value)


def test_the_whole_of_a_full_state_stays_small():
    """A thousand instances that say it every half minute are a few KB/s each."""
    names = tuple(f"driver-{number}" for number in range(1000))
    flaws = tuple(Flaw(name, "partly", "x" * 500) for name in names)
    pack = PackState("sql", "sql", "block", names, names, flaws)
    told = ProtectionState("block", packs=(pack,) * 4).to_json()
    assert len(str(told)) < 64_000
    assert parse_protection(told).packs[0].guarded == names[:100]
