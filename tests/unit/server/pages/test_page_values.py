"""Captured values as trees, whatever an app sends for one."""

from hypothesis import given
from hypothesis import strategies as st

from remora.server.pages.values import PAGE_NODES, forest, one_line, tree

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["$", "type", "items", "entries", "fields", "length", "text", "x"]
            ),
            inner
            | st.sampled_from(["list", "dict", "object", "text", "enum", "exception"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_nothing_an_app_can_send_breaks_a_tree(value):
    tree("x", value)
    forest(value)
    one_line(value)


def test_object_shows_its_fields_and_what_was_not_captured():
    node = tree(
        "a", {"$": "object", "type": "m.A", "fields": {"x": 1, "y": "t"}, "length": 5}
    )
    assert node.text == "m.A"
    assert [(child.name, child.text) for child in node.children] == [
        ("x", "1"),
        ("y", "t"),
        ("", "3 more were not captured"),
    ]


def test_secret_says_that_it_is_one_and_why():
    node = tree("password", {"$": "redacted", "reason": "name"})
    assert (node.text, node.look) == ("redacted (name)", "secret")


def test_large_numbers_and_cut_texts_say_their_size():
    assert one_line({"$": "int", "text": "12", "digits": 900}) == "12… (900 digits)"
    node = tree("x", {"$": "text", "text": "abc", "length": 1000})
    assert node.children[0].text == "1,000 characters, of which the app sent these"


def test_mapping_with_keys_of_any_kind_keeps_them():
    node = tree("x", {"$": "dict", "entries": [[{"$": "type", "name": "int"}, 1]]})
    assert node.children[0].name == "type int"


def test_more_values_than_a_list_shows_are_cut_with_a_note():
    (node,) = forest({"x": list(range(1000))}, nodes=10)
    assert len(node.children) == 10
    assert node.children[-1].text == "more values than are shown here"


def test_long_text_leaves_room_for_the_values_after_it():
    first, second = forest({"a": "x" * 1_000_000, "b": "y" * 1000})
    assert len(first.text) < 10_000
    assert "1,000,000 characters" in first.children[0].text
    assert second.text == "y" * 1000


def test_records_own_page_has_long_texts_whole():
    (node,) = forest({"a": "x" * 1_000_000}, nodes=PAGE_NODES)
    assert len(node.text) == 1_000_000
