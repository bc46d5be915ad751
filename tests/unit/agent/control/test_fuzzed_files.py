"""Probe files out of shape: taken whole, or one error with the file and the line."""

import re

from fuzzed import always_the_same, fuzzed
from hypothesis import given

from remora.agent.control import read_probe_file
from remora.cli.toml import format_probes
from remora.errors import RemoraError
from remora.protocol import parse_probe


@given(table=fuzzed())
@always_the_same
def test_a_file_is_read_as_its_probe_is_or_refused_with_a_line(tmp_path, table) -> None:
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
        assert re.match(rf"{re.escape(str(path))}(:\d+)?: ", refusal), refusal
    else:
        assert made == [expected], refusal
