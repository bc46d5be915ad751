"""The options of `remora probe add` that stand for keys of a probe."""

from __future__ import annotations

PROBE_OPTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "scope": (
        ("app", "NAME", "only instances of this app"),
        ("env", "ENV", "only this environment"),
        ("version", "SPEC", "only these versions of the app, such as '>=4.2'"),
        ("host", "GLOB", "only these hosts"),
        ("share", "SHARE", "only a part of the instances, such as 10%%"),
        ("instance", "GLOB", "only these instances (ids, see ps)"),
    ),
    "when it fires": (
        ("phase", "PHASE", "pre (default), post or fail"),
        ("when", "EXPR", "condition, such as 'amount > 1000'"),
    ),
    "what it does": (
        ("log", "TEMPLATE", "message, such as 'charged {amount}'"),
        ("logger", "NAME", "logger of the app that gets the message of --log as well"),
        ("level", "LEVEL", "its level there: debug, info (default), warning, error"),
        ("propagate", "NAME", "argument of headers that gets the trace, with --span"),
        ("keep", "EXPR", "report only if this holds at the end of the request"),
        ("sum", "EXPR", "sum of an expression, with --count"),
        ("min", "EXPR", "smallest value of an expression, with --count"),
        ("max", "EXPR", "largest value of an expression, with --count"),
        ("average", "EXPR", "average of an expression, with --count"),
        ("histogram", "EXPR", "distribution of an expression, with --count"),
        ("top", "N", "only the N rows that count most, with --count"),
        ("every", "DURATION", "time between two reports of --count (10s)"),
    ),
    "what it changes": (
        ("return", "EXPR", "what the call returns instead, such as 'False'"),
        ("raise", "TEXT", "what it raises instead, such as 'ValueError: no {amount}'"),
        ("mode", "MODE", "act (default), or watch: only report what it would do"),
    ),
    "limits": (
        ("rate", "RATE", "most firings, such as 10/s"),
        ("time", "SHARE", "most of the process's time, such as 1%%"),
        ("hits", "N", "firings after which it stops"),
        ("expires", "DURATION", "life time (1h)"),
    ),
    "what it may meet": (
        ("requires", "SPEC", "distribution and versions, such as 'pymysql>=1.1'"),
        ("expect", "TEXT", "text of the line, for line targets"),
    ),
}
"""Options that are given once, by their headings: name, placeholder, meaning."""

REPEATED_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("by", "EXPR", "a row for each value or stack, with --count; repeatable"),
    (
        "snapshot",
        "EXPRS",
        "values to capture, with commas; also stack, locals, arguments",
    ),
    ("frames", "GLOB", "frames of the stack with locals, such as 'shop.*'; repeatable"),
    ("set", "NAME=EXPR", "note a value in the state of the request; repeatable"),
    ("attribute", "NAME=EXPR", "attribute of a span; repeatable"),
    ("argument", "NAME=EXPR", "another value for an argument; repeatable"),
)
"""Options that may be repeated."""
