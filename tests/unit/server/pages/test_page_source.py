"""A probe as TOML: what is shown can be put into a file."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from remora.server.pages.source import coloured, probe_toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS.filter(lambda key: key != "expires_at"), VALUES))
def test_every_table_of_keys_is_read_back_as_it_was(source):
    assert tomllib.loads(probe_toml(source))["probe"] == [source]


def test_time_that_the_server_set_is_left_out():
    assert "expires_at" not in probe_toml({"id": "p", "expires_at": 5})


def test_colours_escape_what_they_colour():
    html = coloured(probe_toml({"log": "<script>alert(1)</script> \u202e"}))
    assert "<script>" not in html
    assert "\u202e" not in html
