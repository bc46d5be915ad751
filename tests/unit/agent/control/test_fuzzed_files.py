"""Probe files out of shape: taken whole, or one error with file, line and key."""

import re
import tomllib

import pytest
from fuzzed import PLACES, WHOLES, at_each_place, fuzzed_at
from hypothesis import given
from hypothesis import strategies as st

from remora.agent.control import read_probe_file
from remora.cli.toml import format_probes
from remora.errors import RemoraError
from remora.protocol import parse_probe, probe_reading


def test_the_whole_probes_are_good_and_have_every_key_between_them() -> None:
    for table in WHOLES:
        parse_probe(table)
    assert {key for table in WHOLES for key in table} == set(probe_reading._READERS)


@pytest.mark.parametrize("place", PLACES, ids=str)
@given(data=st.data())
@at_each_place
def test_a_file_is_read_as_its_probe_is_or_refused_with_line_and_key(
    tmp_path, place, data
) -> None:
    table = data.draw(fuzzed_at(place))
    path = tmp_path / "p.toml"
    path.write_text(format_probes([table]), "utf-8")
    made, refusal = [], ""
    try:
        made = read_probe_file(str(path))
    except RemoraError as error:
        refusal = str(error)
    try:
        expected = parse_probe(table)
    except RemoraError:
        at = re.match(rf"{re.escape(str(path))}:(\d+): ", refusal)
        assert at, refusal
        _, key, _ = place
        line = path.read_text("utf-8").split("\n")[int(at[1]) - 1]
        assert re.search(rf"\b{key}\b", refusal), refusal
        assert line.startswith(f"{key} ="), (line, refusal)
    else:
        assert made == [expected], refusal


def test_what_is_no_toml_is_refused_with_the_line(tmp_path) -> None:
    path = tmp_path / "p.toml"
    good = format_probes([WHOLES[0]])
    for position in range(0, len(good), 7):
        path.write_text(good[:position] + "\x00" + good[position:], "utf-8")
        with pytest.raises(RemoraError) as refused:
            read_probe_file(str(path))
        assert str(path) in str(refused.value)
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(path.read_text())
