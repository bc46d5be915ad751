"""Probes with one field put out of shape, the same ones in every run."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

WHOLE = {
    "id": "p",
    "target": "fuzzed_shop:charge",
    "phase": "pre",
    "scope": {"app": "shop", "share": "100%"},
    "when": "amount > 1 and user.id != 'x'",
    "log": "charged {amount}",
    "logger": {"name": "shop", "level": "info"},
    "snapshot": ["amount", "stack"],
    "frames": ["fuzzed.*"],
    "count": {"by": ["amount"], "sum": "amount", "top": 3, "every": "5s"},
    "set": {"noted": "amount"},
    "keep": "error is missing",
    "override": {"arguments": {"amount": "amount + 1"}, "mode": "watch"},
    "limit": {"rate": "10/s", "time": "1%", "hits": 1000, "expires": "1h"},
    "enabled": True,
}
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("", " ", "{", "}}", "a.b[", "((((", "x" * 6000, "1/0", "0/s", "-1h", "∞"),
            *("fuzzed_shop:*", "fuzzed_shop:none", "m.py:0", "!m:f", "é\u0000"),
            *("amount." * 400 + "a", "__import__('os')", "lambda: 1", "10" * 400),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**70), 2**70), st.floats(-1e9, 1e9), TEXTS
)
KEYS = st.one_of(
    st.sampled_from(
        "by sum every top name level return raise arguments mode rate hits app "
        "share text tree kind key value sequence".split()
    ),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=5,
)


KEY = "ed25519:" + "A" * 43 + "="
SIGNATURE = {"key": KEY, "sequence": 5, "expires_at": 2**62, "value": "A" * 86 + "=="}
_ID = {"id": "p", "target": "fuzzed_shop:charge"}
_SINK = {"detector": "sql", "argument": [0, "amount"], "dialect": "sqlite"}
WHOLES: tuple[dict, ...] = (
    WHOLE,
    {
        **_ID,
        "when": "amount > 1",
        "protect": {**_SINK, "mode": "watch"},
        "requires": "shop>=1.0",
        "expires_at": 2**62,
        "signature": SIGNATURE,
    },
    {**_ID, "protect": {"detector": "url", "argument": "amount", "allowed": ["a.b"]}},
    {**_ID, "request": {"kind": "custom", "method": "amount", "callable": "amount"}},
    {**_ID, "span": {"name": "charge {amount}", "attributes": {"amount": "amount"}}},
    {**_ID, "phase": "post", "override": {"return": "amount", "mode": "watch"}},
    {**_ID, "phase": "fail", "override": {"raise": "KeyError: {amount}"}},
    {
        **_ID,
        "target": ["fuzzed/shop.py:42"],
        "expect": "return amount",
        "snapshot": ["locals", "amount"],
        "count": {"by": ["stack"], "average": "amount", "histogram": "amount"},
    },
)
"""Probes that are good, which between them have every key and most entries."""


def _places() -> list[tuple[int, str, str | int | None]]:
    """Every key of every whole probe, and every entry of what stands under it."""
    places: list[tuple[int, str, str | int | None]] = []
    for number, whole in enumerate(WHOLES):
        for key, value in [*whole.items(), ("colour", 0)]:
            places.append((number, key, None))
            if isinstance(value, dict):
                places += [(number, key, entry) for entry in [*value, "other"]]
            elif isinstance(value, list):
                places += [(number, key, position) for position in range(len(value))]
    return places


PLACES = _places()


def fuzzed_at(place):
    """Whole probes in which what stands at one place is something else."""
    number, key, entry = place
    whole = WHOLES[number]

    def put(value):
        if entry is None:
            return whole | {key: value}
        parts = dict(whole[key]) if isinstance(whole[key], dict) else list(whole[key])
        parts[entry] = value
        return whole | {key: parts}

    return VALUES.map(put)


at_each_place = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""As below, for tests that are made of every place."""

always_the_same = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same probes each time; what they are tried on may live through all of them."""
