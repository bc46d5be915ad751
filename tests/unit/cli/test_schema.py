"""The schema of probe files says what the reader of probe files says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from remora import packs
from remora.__main__ import main
from remora.cli.schema import SCHEMA
from remora.errors import RemoraError
from remora.protocol import count, override, parse_probe, probe_reading, protect, span

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
}
WORDS = {
    *("$schema", "$defs", "title", "description", "$ref", "type", "enum", "const"),
    *("anyOf", "required", "properties", "additionalProperties", "propertyNames"),
    *("minProperties", "maxProperties", "items", "minItems", "maxItems", "pattern"),
    *("minLength", "maxLength", "minimum", "maximum"),
}
P = {"id": "p", "target": "m:f"}
GOOD = [
    {**P, "log": ""},
    {"target": ["m:*", "!m:f"], "snapshot": True},
    {**P, "log": "{a}", "logger": "shop", "when": "a > 1", "enabled": False},
    {**P, "log": "{a}", "logger": {"name": "shop", "level": "error"}},
    {**P, "snapshot": ["a", "stack"], "frames": ["m.*"], "phase": "fail"},
    {**P, "count": {"by": ["a", "stack"], "sum": "b", "top": 3, "every": "5 s"}},
    {**P, "count": True, "limit": {"rate": "1/s", "time": "1%", "hits": 1}},
    {**P, "set": {"began": "now_ms"}, "scope": {"app": "a", "share": "10%"}},
    {**P, "span": True, "requires": "pymysql>=1.1"},
    {**P, "span": {"name": "a {b}", "attributes": {"a.b": "b"}, "propagate": "h"}},
    {**P, "override": {"arguments": {"name": "'old'"}, "mode": "watch"}},
    {**P, "override": {"raise": "KeyError: {a}"}, "limit": {"expires": "1h"}},
    {**P, "protect": {"detector": "sql", "argument": [0, "sql"], "mode": "block"}},
    {**P, "protect": {"detector": "member", "argument": "tarinfo.name"}},
    {**P, "protect": {"detector": "sql", "argument": 1, "dialect": "mysql"}},
    {
        **P,
        "phase": "post",
        "protect": {"detector": "host", "argument": 0, "allowed": ["*.a", "::1/128"]},
    },
    {**P, "request": {"kind": "custom", "method": "a"}},
    {"target": "m.py:3", "log": "x", "expect": "y", "phase": "line"},
]
BAD = [
    {},
    P,
    {"log": "x"},
    {**P, "log": "x", "loog": "y"},
    {**P, "log": 1},
    {**P, "log": "x", "id": "-"},
    {**P, "log": "x", "target": []},
    {**P, "log": "x", "phase": "late"},
    {**P, "log": "x", "scope": {"apps": "a"}},
    {**P, "log": "x", "scope": {"share": "10"}},
    {**P, "log": "x", "logger": {"level": "info"}},
    {**P, "log": "x", "logger": {"name": "a", "level": "loud"}},
    {**P, "snapshot": []},
    {**P, "snapshot": ["a"] * 51},
    {**P, "snapshot": False},
    {**P, "count": {"top": 101}},
    {**P, "count": {"every": 5}},
    {**P, "set": {}},
    {**P, "set": {"1": "a"}},
    {**P, "span": {"nam": "x"}},
    {**P, "override": {"mode": "block", "return": "1"}},
    {**P, "protect": {"detector": "sql"}},
    {**P, "protect": {"detector": "spell", "argument": 0}},
    {**P, "protect": {"detector": "sql", "argument": []}},
    {**P, "protect": {"detector": "sql", "argument": -1}},
    {**P, "protect": {"detector": "sql", "argument": 0, "mode": "on"}},
    {**P, "protect": {"detector": "url", "argument": 0, "allowed": ["a b"]}},
    {**P, "request": {}},
    {**P, "log": "x", "limit": {"hits": 0}},
    {**P, "log": "x", "limit": {"rate": "10"}},
    {**P, "log": "x", "enabled": "yes"},
    {**P, "log": "x", "requires": ""},
    {**P, "log": "x", "expires_at": -1},
    {**P, "log": "x", "signature": {}},
]


@pytest.fixture(scope="module")
def schema() -> dict:
    return json.loads(SCHEMA.read_text("utf-8"))


def fits(value: object, rule: dict, schema: dict) -> bool:
    """Whether a value fits a rule; of the words of JSON schema, those in use."""
    assert rule.keys() <= WORDS
    if "$ref" in rule:
        return fits(value, schema["$defs"][rule["$ref"].rpartition("/")[2]], schema)
    kind = TYPES.get(rule.get("type", ""), object)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return False
    size = len(value) if isinstance(value, (str, list, dict)) else 0
    low = (rule.get(word, 0) for word in ("minLength", "minItems", "minProperties"))
    high = (rule.get(word, size) for word in ("maxLength", "maxItems", "maxProperties"))
    return (
        ("enum" not in rule or value in rule["enum"])
        and ("const" not in rule or value is rule["const"])
        and ("pattern" not in rule or re.search(rule["pattern"], value) is not None)
        and max(low) <= size <= min(high)
        and ("minimum" not in rule or rule["minimum"] <= value)
        and ("maximum" not in rule or value <= rule["maximum"])
        and all(fits(each, rule["items"], schema) for each in items_of(value, rule))
        and (not isinstance(value, dict) or entries_fit(value, rule, schema))
        and ("anyOf" not in rule or any(fits(value, r, schema) for r in rule["anyOf"]))
    )


def items_of(value: object, rule: dict) -> list:
    return value if isinstance(value, list) and "items" in rule else []


def entries_fit(value: dict, rule: dict, schema: dict) -> bool:
    known, others = rule.get("properties", {}), rule.get("additionalProperties", {})
    names = rule.get("propertyNames", {})
    return set(rule.get("required", ())) <= value.keys() and all(
        fits(key, names, schema)
        and (key in known or others is not False)
        and fits(each, known.get(key, others), schema)
        for key, each in value.items()
    )


@pytest.mark.parametrize("table", GOOD)
def test_what_the_reader_takes_fits_the_schema(table: dict, schema: dict) -> None:
    made = parse_probe(table, default_id="p")
    assert fits({"probe": [table]}, schema, schema)
    assert fits({"probe": [made.to_source()]}, schema, schema)


@pytest.mark.parametrize("table", BAD)
def test_what_the_schema_marks_is_refused_by_the_reader(
    table: dict, schema: dict
) -> None:
    assert not fits({"probe": [table]}, schema, schema)
    with pytest.raises(RemoraError):
        parse_probe(table, default_id="p")


def test_the_schema_has_every_key_and_bound_of_the_reader(schema: dict) -> None:
    keys = schema["$defs"]["probe"]["properties"]
    assert keys.keys() == probe_reading._READERS.keys()
    request = {"kind", "callable", *probe_reading.REQUEST_KEYS}
    assert request == keys["request"]["properties"].keys()
    assert tuple(keys["override"]["properties"]["mode"]["enum"]) == override.MODES
    table = keys["protect"]["properties"]
    assert tuple(table["detector"]["enum"]) == protect.DETECTORS
    assert tuple(table["dialect"]["enum"]) == protect.DIALECTS
    assert tuple(table["mode"]["enum"]) == protect.MODES
    assert table["argument"]["anyOf"][1]["maxItems"] == protect.ARGUMENTS_LIMIT
    assert table["allowed"]["maxItems"] == protect.ALLOWED_LIMIT
    table = keys["count"]["anyOf"][1]["properties"]
    assert table.keys() == {"by", "top", "every", *count.MEASURES}
    assert table["by"]["maxItems"] == count.COUNT_KEYS_LIMIT
    assert table["top"]["maximum"] == count.TOP_LIMIT
    assert keys["snapshot"]["anyOf"][1]["maxItems"] == probe_reading.SNAPSHOT_LIMIT
    assert keys["frames"]["anyOf"][1]["maxItems"] == probe_reading.FRAMES_LIMIT
    assert keys["set"]["maxProperties"] == probe_reading.NOTES_LIMIT
    limit = keys["span"]["anyOf"][1]["properties"]["attributes"]["maxProperties"]
    assert limit == span.ATTRIBUTES_LIMIT


def test_the_packs_in_the_wheel_fit_the_schema(schema: dict) -> None:
    for file in Path(packs.FOLDER).glob("*.toml"):
        assert fits(tomllib.loads(file.read_text("utf-8")), schema, schema), file


def test_the_command_prints_the_schema(capsys, schema: dict) -> None:
    assert main(["probe", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema
