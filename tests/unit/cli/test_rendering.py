"""Records, values and tables as a person sees them."""

from __future__ import annotations

import importlib.util
import io
import json
import time
from pathlib import Path

import pytest

from remora.cli.aggregates import ROWS_SHOWN, RunningAggregate, aggregate_table
from remora.cli.escape import escape
from remora.cli.histogram import draw_histogram, read_buckets
from remora.cli.instances import show_instances
from remora.cli.output import PlainOutput, Span, Table, open_output
from remora.cli.points import show_points
from remora.cli.probes import show_probes, show_source
from remora.cli.records import format_age, format_date, format_time, show_record
from remora.cli.statuses import InstanceStatus, read_statuses, show_status
from remora.cli.tokens import show_tokens
from remora.cli.values import format_value, value_lines

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
TIME = 1_700_000_000_123_000_000
HEAD = {"time": TIME, "probe": "charges", "site": "shop.billing:charge"}


def compare_golden(name: str, actual: str) -> None:
    """Compare with a golden file; on failure the actual text lies beside it."""
    expected = GOLDEN / f"{name}.txt"
    beside = GOLDEN / f"{name}.actual.txt"
    if not expected.exists() or expected.read_text("utf-8") != actual:
        beside.write_text(actual, "utf-8")
        pytest.fail(f"{expected} differs: compare it with {beside}")
    beside.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def paper():
    """A plain output and what was printed on it."""
    stream = io.StringIO()
    return PlainOutput(stream), stream.getvalue


VALUES = json.loads(r"""
[null, true, 1, 1.5, "it's", [], [1, [2, "x"]], {}, {"a": 1, "b c": null},
 {"$": "int", "text": "123456789012345678901"},
 {"$": "int", "text": "12", "digits": 5000},
 {"$": "float", "text": "nan"},
 {"$": "text", "text": "start", "length": 9000},
 {"$": "text", "escaped": "a\\ud800b", "length": 3},
 {"$": "bytes", "base64": "AAH/", "length": 3},
 {"$": "bytes", "base64": "AAH/", "length": 300},
 {"$": "bytes", "base64": "!!", "length": 3},
 {"$": "tuple", "items": [1], "length": 1},
 {"$": "tuple", "items": [1, 2], "length": 2},
 {"$": "set", "items": [], "length": 0},
 {"$": "frozenset", "items": [1], "length": 1},
 {"$": "deque", "items": [1], "length": 50},
 {"$": "list", "items": [1, 2], "length": 100},
 {"$": "dict", "entries": [[1, "one"], [{"$": "tuple", "items": [], "length": 0}, 2]],
  "length": 4},
 {"$": "object", "type": "shop.models.Account", "length": 2,
  "fields": {"name": "bob", "plan": "free"}},
 {"$": "object", "type": "shop.models.Account", "cut": "depth"},
 {"$": "enum", "type": "shop.models.Plan", "name": "FREE"},
 {"$": "type", "name": "shop.models.Plan"},
 {"$": "function", "name": "shop.billing:charge"},
 {"$": "exception", "type": "builtins.ValueError", "message": "no", "fields": {}},
 {"$": "missing", "reason": "absent"}, {"$": "missing", "reason": "property"},
 {"$": "redacted", "reason": "card"}, {"$": "what is this"}, {"$": 5}]
""")


def test_every_form_of_value_reads_like_python():
    lines = [f"{json.dumps(value)}\n    {format_value(value)}\n" for value in VALUES]
    compare_golden("values", "".join(lines))


def test_a_value_that_never_ends_is_cut():
    value: list = []
    for _ in range(100):
        value = [value]
    assert format_value(value) == "[" * 13 + "…" + "]" * 13
    assert len(list(value_lines("x", value))) < 20


def test_a_snapshot_is_a_small_tree(paper):
    output, printed = paper
    account = {
        "$": "object",
        "type": "shop.models.Account",
        "length": 9,
        "fields": {
            "name": "Robert Tables",
            "plan": {"$": "enum", "type": "shop.models.Plan", "name": "FREE"},
            "password": {"$": "redacted", "reason": "name"},
            "orders": [{"id": 1, "lines": ["x" * 60]}, {"id": 2, "lines": []}],
        },
    }
    snapshot = HEAD | {
        "kind": "snapshot",
        "phase": "post",
        "duration_ms": 12.3456,
        "values": {"amount": 1200, "account": account, "result": None},
        "stack": [{"function": "charge", "file": "/srv/shop/billing.py", "line": 12}],
        "request": {"method": "POST", "path": "/checkout"},
        "user": {"id": "alice", "role": "admin"},
    }
    show_record(output, snapshot, "shop 4711")
    show_record(output, snapshot | {"message": "charged 1200"}, "shop 4711")
    compare_golden("snapshot", printed())


def test_logs_and_records_of_a_kind_that_is_not_known_yet(paper):
    output, printed = paper
    show_record(output, HEAD | {"kind": "log", "message": "a\nb \x1b[1m"}, "shop 4711")
    show_record(output, HEAD | {"kind": "omen", "sink": "sql"}, "shop 4711")
    compare_golden("logs", printed())


AGGREGATE = HEAD | {
    "kind": "aggregate",
    "start": TIME - 10_000_000_000,
    "end": TIME,
    "by": ["account.plan", "amount > 10"],
    "rows": [
        {
            "key": ["pro", True],
            "count": 3,
            "sum": 30.123456789,
            "min": 1,
            "max": {"$": "int", "text": "9" * 20},
            "histogram": {"buckets": {"0": 1, "4": 2}, "unit": "ms"},
        },
        {
            "key": [{"$": "missing", "reason": "absent"}, None],
            "count": 1200,
            "sum": 7,
            "histogram": {"buckets": {"-8": 5, "zero": 1, "n:2": 9}},
        },
    ],
}


def test_an_aggregate_is_a_table_with_the_most_frequent_first(paper):
    output, printed = paper
    show_record(output, AGGREGATE, "shop 4711")
    plain = HEAD | {"kind": "aggregate", "by": [], "rows": [{"key": [], "count": 5}]}
    show_record(output, plain, "shop 4711")
    compare_golden("aggregate", printed())


def test_aggregates_add_up_over_time_and_instances(paper):
    output, printed = paper
    running = RunningAggregate("charges")
    running.add(AGGREGATE)
    running.add(AGGREGATE)
    output.table(running.table)
    compare_golden("aggregate_running", printed())


def test_rows_beyond_a_screen_are_counted():
    rows = [{"key": [n], "count": n} for n in range(ROWS_SHOWN + 7)]
    table = aggregate_table({"by": ["n"], "rows": rows})
    assert len(table.rows) == ROWS_SHOWN + 1
    assert table.rows[-1][0].text == "… 7 rows more"


@pytest.mark.parametrize(
    ("buckets", "drawn"),
    [
        ({"0": 1}, "1 █ 1.19"),
        ({"0": 8, "1": 4, "3": 1}, "1 █▄ ▁ 2"),
        ({"zero": 1, "0": 1}, "0 ██ 1.19"),
        ({"n:4": 1, "4": 2}, "-2.38 ▄█ 2.38"),
        ({"0": 1, "999999999": 1}, "1 █              █ ∞"),
        ({"0": 1, "n:99999": 1}, "-∞ ██ 1.19"),
        ({"x": 1, "n:": 2, "1": "y", "2": -1, "3": 0}, ""),
        ({}, ""),
    ],
)
def test_histograms_are_bars_between_their_bounds(buckets, drawn):
    assert draw_histogram({"buckets": buckets}) == drawn


def test_a_histogram_that_is_none_is_empty():
    assert read_buckets({"buckets": [1]}) == []
    assert draw_histogram({}) == ""


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\x1b[31m", r"a\x1b[31m"),
        ("\r\n\t\x00\x7f\x9b", r"\r\n\t\x00\x7f\x9b"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\u2028\ufeff\u200b", r"\u2028\ufeff\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("grüße 漢字 🎉 [red]", "grüße 漢字 🎉 [red]"),
    ],
)
def test_control_characters_are_written_out(raw, shown):
    assert escape(raw) == shown


def test_times_that_no_calendar_has_are_shown_all_the_same():
    assert format_time(2**80).startswith("00:00:00")
    assert format_date(-(2**80)).startswith("1970")
    assert format_date(0) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200000, "2d")],
)
def test_ages_are_told_in_their_largest_unit(seconds, text):
    assert format_age(seconds) == text


def test_the_tables_of_the_commands(paper):
    output, printed = paper
    show_instances(
        output,
        [
            {
                "app": "shop",
                "env": "prod",
                "version": "4.2",
                "host": "web-1",
                "pid": 4711,
                "python": "3.12.1",
                "state": "connected",
                "probes": 12,
                "cost": {"cpu_share": 0.0123},
                "started": TIME - 3_600_000_000_000,
                "id": "3fa2b1c0" + "0" * 24,
            },
            {"app": "old", "pid": 9, "state": "unserved", "note": "python 2.7"},
        ],
        TIME,
    )
    probe = {
        "probe": {
            "id": "charges",
            "target": ["shop.**:*", "!shop.tests.**:*"],
            "scope": {"app": "shop", "share": "10%"},
            "log": "charged {amount}",
            "limit": {"hits": 3},
        },
        "instances": {"installed": 2, "failed": 1, "waiting": 0},
        "firings": 3,
        "records": 4,
        "created": TIME,
        "created_by": "alice",
        "expires_at": TIME,
    }
    show_probes(output, [probe, {"probe": {"id": "b", "target": "a:b"}}])
    show_probes(output, [])
    show_source(output, probe)
    site = {"site": "a:b", "mechanism": "codeswap", "why": "ok", "file": "f.py"}
    status = {"state": "partly", "reason": "1 of 3", "sites": [site], "site_count": 3}
    status |= {"firings": 9, "dropped": 2, "last_error": "boom"}
    show_status(output, InstanceStatus("shop 4711", status))
    show_points(output, {"points": []}, "a.**:*")
    show_tokens(output, [{"id": "t", "kind": "agent", "created": TIME}])
    compare_golden("tables", printed())


def test_statuses_name_their_instance_by_object_or_by_id():
    class Names:
        def name(self, instance_id):
            return f"looked up {instance_id}"

    entries = [
        {"instance": {"app": "shop", "pid": 1}, "status": {"state": "installed"}},
        {"instance": "abc", "status": {"state": "failed"}},
    ]
    read = read_statuses({"statuses": entries}, Names())
    assert [entry.instance for entry in read] == ["looked up abc", "shop 1"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_colours_and_no_markup_is_read():
    stream = Terminal()
    output = open_output(stream, {"TERM": "xterm"})
    output.line(Span("[bold]x[/bold]", "red"), " :smile: ", Span("y", "green"))
    output.table(Table(("state",), [(Span("[red]a\x1b[5m"),)]))
    assert "[bold]x[/bold]" in stream.getvalue()
    assert ":smile:" in stream.getvalue()
    assert "[red]a\\x1b[5m" in stream.getvalue()


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(environ, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    open_output(stream, environ).line(Span("x", "red"))
    assert "\x1b[31m" not in stream.getvalue()


def test_without_rich_a_terminal_gets_plain_text(monkeypatch):
    import sys

    assert importlib.util.find_spec("rich")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(open_output(Terminal(), {}), PlainOutput)
