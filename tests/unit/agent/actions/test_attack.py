"""What the record of an attack shows: cut around its marks, with lines of source."""

from __future__ import annotations

import os
import sysconfig

from hypothesis import given
from hypothesis import strategies as st

from remora.agent.actions.attack import (
    STATEMENT_LIMIT,
    cut_around,
    make_attack,
    order_stack,
)
from remora.agent.capture import source_lines
from remora.agent.capture.source_lines import (
    FILE_BYTES,
    is_own_file,
    source_around,
    source_line,
)
from remora.agent.request import RequestContext


@given(st.text(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_a_cut_text_is_a_part_of_it_with_as_much_of_the_mark_as_fits(
    text: str, one: int, other: int
) -> None:
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    cut, begin, stop = cut_around(text, start, end, 50)
    assert cut in text
    assert len(cut) <= 50
    assert 0 <= begin <= stop <= len(cut)
    marked = cut[begin:stop]
    assert text[start:end].startswith(marked) or len(marked) == 50
    assert len(marked) == min(end - start, 50)


def test_secrets_by_shape_leave_the_mark_where_it_was() -> None:
    token = "ghp_" + "a1" * 18
    statement = f"SELECT '{token}' WHERE name = '' OR 1=1 --'"
    start = statement.index("' OR")
    said = {
        "value": ("' OR 1=1 --", 0, 11),
        "statement": (statement, start, start + 11),
    }
    context = RequestContext()
    record = make_attack(1, "p", "m:f", "block", 1, context, None, said, [])
    shown = record["statement"]
    begin, end = record["statement_marked"]
    assert token not in str(shown)
    assert str(shown)[begin:end] == "' OR 1=1 --"
    assert len(str(shown)) < STATEMENT_LIMIT


def test_frames_of_the_app_come_first_and_show_their_lines(tmp_path) -> None:
    own = tmp_path / "shop.py"
    own.write_text("one\n    two = 'ü'\n")
    library = sysconfig.get_path("stdlib") + "/sqlite3/dbapi2.py"
    stack = [
        (library, 1, "f"),
        ("/x/site-packages/flask/app.py", 1, "g"),
        (str(own), 2, "h"),
        ("<string>", 1, "i"),
        (str(own), 99, "j"),
    ]
    frames = order_stack(stack)
    assert [frame["function"] for frame in frames] == ["h", "j", "f", "g", "i"]
    assert [frame["source"] for frame in frames[:2]] == ["    two = 'ü'", ""]
    assert [frame["own"] for frame in frames] == [True, True, False, False, False]


def test_the_line_to_mend_comes_with_its_neighbours_and_without_their_secrets(
    tmp_path,
) -> None:
    own = tmp_path / "shop.py"
    own.write_text(
        "import db\n\n\ndef find(name):\n"
        "\tdb.connect(password='hunter2', host='db')\n"
        '\tAPI_KEY: str = "k1"\n'
        "\trun(f\"SELECT '{name}'\")\n"
        "\treturn {'token': b'abc', 'rows': 'all'}\n"
    )
    (frame, other) = order_stack([(str(own), 7, "find"), (str(own), 4, "<module>")])
    assert frame["source"] == "        run(f\"SELECT '{name}'\")"
    assert frame["before"] == [
        "",
        "def find(name):",
        "        db.connect(password='(redacted)', host='db')",
        "        API_KEY: str = '(redacted)'",
    ]
    assert frame["after"] == ["        return {'token': b'(redacted)', 'rows': 'all'}"]
    assert "before" not in other


def test_a_line_follows_its_file_and_odd_files_have_none(tmp_path) -> None:
    file = tmp_path / "a.py"
    file.write_text("first\n")
    assert source_line(str(file), 1) == "first"
    file.write_text("other one\n")
    assert source_line(str(file), 1) == "other one"
    assert source_line(str(file), 0) == source_line(str(tmp_path / "none"), 1) == ""
    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    assert source_line(str(pipe), 1) == ""
    large = tmp_path / "large.py"
    large.write_bytes(b"x\n" * FILE_BYTES)
    assert source_line(str(large), 1) == ""
    assert not is_own_file("<frozen os>")


def test_a_line_alone_and_among_its_neighbours_is_cut_at_the_same_place(
    tmp_path,
) -> None:
    """A rule that names a line compares the one with what a record said, the other."""
    file = tmp_path / "a.py"
    long = "x = " + "'ab cd' + " * 60
    file.write_text(f"if a:\n\t{long}\n    b\n")
    _, source, _ = source_around(str(file), 2)
    assert source.startswith("        x = ")
    assert source.strip() == source_line(str(file), 2)


def test_few_files_are_kept(tmp_path) -> None:
    for number in range(50):
        file = tmp_path / f"{number}.py"
        file.write_text(f"line {number}\n")
        assert source_line(str(file), 1) == f"line {number}"
    assert len(source_lines._files) <= source_lines._FILES_LIMIT
