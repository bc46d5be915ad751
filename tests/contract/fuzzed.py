"""Probes with one field put out of shape, the same ones in every run."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from remora.protocol import probe_reading

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


@st.composite
def fuzzed(draw):
    """A whole probe in which one field, or one entry of a field, is something else."""
    table = dict(WHOLE)
    key = draw(st.sampled_from([*sorted(probe_reading._READERS), "colour"]))
    value = table.get(key)
    if isinstance(value, dict) and draw(st.booleans()):
        entry = draw(st.sampled_from([*value, "other"]))
        table[key] = {**value, entry: draw(VALUES)}
    else:
        table[key] = draw(VALUES)
    return table


always_the_same = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same probes each time; what they are tried on may live through all of them."""
