"""The options of `remora probe add` that stand for keys of a probe."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Takes(Enum):
    """How often an option may be given, and with how much behind it."""

    ONE = "a value, once"
    SEVERAL = "a value, each time"
    PERHAPS = "a value or none"
    NOTHING = "no value"


class ProbeOption(NamedTuple):
    """One option: `--name METAVAR`, and what it means."""

    name: str
    metavar: str
    text: str
    takes: Takes = Takes.ONE


PROBE_OPTIONS: dict[str, tuple[ProbeOption, ...]] = {
    "scope": (
        ProbeOption("app", "NAME", "only instances of this app"),
        ProbeOption("env", "ENV", "only this environment"),
        ProbeOption(
            "version", "SPEC", "only these versions of the app, such as '>=4.2'"
        ),
        ProbeOption("host", "GLOB", "only these hosts"),
        ProbeOption("share", "SHARE", "only a part of the instances, such as 10%%"),
        ProbeOption("instance", "GLOB", "only these instances (ids, see ps)"),
    ),
    "when it fires": (
        ProbeOption("phase", "PHASE", "pre (default), post or fail"),
        ProbeOption("when", "EXPR", "condition, such as 'amount > 1000'"),
    ),
    "what it records": (
        ProbeOption("log", "TEMPLATE", "message, such as 'charged {amount}'"),
        ProbeOption(
            "logger", "NAME", "logger of the app that gets the message of --log as well"
        ),
        ProbeOption(
            "level", "LEVEL", "its level there: debug, info (default), warning, error"
        ),
        ProbeOption(
            "snapshot",
            "EXPRS",
            "values to capture, with commas; also stack, locals, arguments",
            Takes.SEVERAL,
        ),
        ProbeOption(
            "frames",
            "GLOB",
            "frames of the stack with locals, such as 'shop.*'; repeatable",
            Takes.SEVERAL,
        ),
    ),
    "what it counts, in the process": (
        ProbeOption("count", "", "count calls; those below imply it", Takes.NOTHING),
        ProbeOption(
            "by", "EXPR", "a row for each value, or stack; repeatable", Takes.SEVERAL
        ),
        ProbeOption("sum", "EXPR", "sum of an expression"),
        ProbeOption("min", "EXPR", "smallest value of an expression"),
        ProbeOption("max", "EXPR", "largest value of an expression"),
        ProbeOption("average", "EXPR", "average of an expression"),
        ProbeOption("histogram", "EXPR", "distribution of an expression"),
        ProbeOption("top", "N", "only the N rows that count most"),
        ProbeOption("every", "DURATION", "time between two reports (10s)"),
    ),
    "traces and requests": (
        ProbeOption(
            "span",
            "NAME",
            "record each call as a span of its trace; NAME is a template",
            Takes.PERHAPS,
        ),
        ProbeOption(
            "attribute", "NAME=EXPR", "attribute of a span; repeatable", Takes.SEVERAL
        ),
        ProbeOption("propagate", "NAME", "argument of headers that gets the trace"),
        ProbeOption(
            "set",
            "NAME=EXPR",
            "note a value in the state of the request; repeatable",
            Takes.SEVERAL,
        ),
        ProbeOption("keep", "EXPR", "report only if this holds at the request's end"),
    ),
    "what it changes": (
        ProbeOption("return", "EXPR", "what the call returns instead, such as 'False'"),
        ProbeOption(
            "raise", "TEXT", "what it raises instead, such as 'ValueError: no {amount}'"
        ),
        ProbeOption(
            "argument",
            "NAME=EXPR",
            "another value for an argument; repeatable",
            Takes.SEVERAL,
        ),
        ProbeOption(
            "mode", "MODE", "act (default), or watch: only report what it would do"
        ),
    ),
    "limits": (
        ProbeOption("rate", "RATE", "most firings, such as 10/s"),
        ProbeOption("time", "SHARE", "most of the process's time, such as 1%%"),
        ProbeOption("hits", "N", "firings after which it stops"),
        ProbeOption("expires", "DURATION", "life time (1h)"),
    ),
    "what it may meet": (
        ProbeOption(
            "requires", "SPEC", "distribution and versions, such as 'pymysql>=1.1'"
        ),
        ProbeOption("expect", "TEXT", "text of the line, for line targets"),
    ),
}
"""By the headings of the help."""
