"""What is said at once of an argument must be what reading the request would say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.agent.actions.verdict import WORDS_IN
from remora.agent.request import (
    RequestContext,
    from_environ,
    from_values,
    inputs_of,
    sources,
)
from remora.agent.request.edge.bodies import watched_body
from remora.detection import Input, Inputs, path, shell, sql, url
from remora.detection.inputs import Needles

JUDGES = {"sql": sql.judge, "path": path.judge, "shell": shell.judge, "url": url.judge}

PIECES = st.sampled_from(
    ["a", "b1", "id", "'", '"', " ", "/", "..", "../", "=", ";", "&", "%27", "%2e", "+",
     "--", "OR 1=1", "é", "İ", "ß", "Σ", "K", "&lt;", "JyBPUiAxPTE=", "http://", "-x",
     "10", "|", "<b>", "{", '":"', "%25", "  ", "\n", "?", "YTsgaWQ=", "\\u0027",
     "\\", "$(id)", "|", "\x00", ",", "file:", "%c3%a9", "%00", "."]
)  # fmt: skip
TEXT = st.lists(PIECES, max_size=5).map("".join)
CASES = st.sampled_from([str, str.lower, str.upper, str.strip])
AROUND = st.sampled_from(
    ["{}", "SELECT a FROM b WHERE id = {}", "SELECT '{}'", "/srv/{}", "ls {}",
     "http://a.b/{}", "{}://a", "x{}", " {} ", "ORDER BY {} desc"]
)  # fmt: skip


def context_of(query, path_info, cookie, agent, parameters):
    context = RequestContext()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path_info, "QUERY_STRING": query}
    environ |= {"HTTP_COOKIE": cookie, "HTTP_USER_AGENT": agent, "HTTP_X_OWN": agent}
    from_environ(context, environ)
    from_values(context, {"parameters": parameters})
    return context


@settings(max_examples=400, deadline=None)
@given(
    fields=st.lists(st.tuples(TEXT, TEXT), max_size=3),
    segments=st.lists(TEXT, max_size=3),
    cookie=TEXT,
    agent=TEXT,
    parameter=TEXT,
    around=AROUND,
    change=CASES,
    data=st.data(),
)
def test_what_is_called_absent_at_once_is_no_attack_when_read(
    fields, segments, cookie, agent, parameter, around, change, data
):
    query = "&".join(f"{name}={value}" for name, value in fields)
    path_info = "/" + "/".join(segments)
    context = context_of(query, path_info, f"c={cookie}", agent, {"p": parameter})
    given_inputs = inputs_of(context)
    known = [each.text for each in given_inputs]
    text = data.draw(st.sampled_from([*known, parameter, cookie, "nothing"]))
    argument = around.format(change(text))
    fresh = context_of(query, path_info, f"c={cookie}", agent, {"p": parameter})
    for name, judge in JUDGES.items():
        if inputs_of(fresh).are_absent_from(argument, WORDS_IN.get(name)):
            assert judge(argument, Inputs(given_inputs)) is None, (name, argument)


PLAIN = st.lists(
    st.sampled_from(
        ["a", "id", "'", " ", "/", ", ", ",", ";", "|", "--", "OR 1", "Kim"]
    ),
    max_size=4,
).map("".join)
VALUES = st.recursive(
    PLAIN | TEXT | st.sampled_from([0, -12, 1.5e9, 10**400, None, True, "0x7f000001"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3)
    ),
    max_leaves=5,
)
DOCUMENTS = st.one_of(
    VALUES.map(json.dumps),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    st.lists(st.tuples(PLAIN, PLAIN), max_size=3).map(
        lambda pairs: "{" + ",".join(f'"{n}":"{v}", "{n}": 1' for n, v in pairs) + "}"
    ),
    VALUES.map(lambda value: "[" * 60 + json.dumps(value) + "]" * 60),
    st.lists(VALUES.map(json.dumps), max_size=3).map("\n".join),
    st.tuples(VALUES, st.integers(1, 9)).map(lambda two: json.dumps(two[0])[: -two[1]]),
)
KINDS = st.sampled_from(
    ["application/json", "application/json; charset=utf-16", "a/b; charset=latin-1",
     "application/json; charset=utf-7", "application/x-www-form-urlencoded", ""]
)  # fmt: skip


def context_with(content: bytes, kind: str, cut: int) -> RequestContext:
    """The body comes in two pieces, as one that is chunked may."""
    context = context_of("", "/api", "c=a1", "agent", None)
    context.source["CONTENT_TYPE"] = kind
    context.body = watched_body(context)
    for piece in (content[:cut], content[cut:]):
        context.body.saw(piece)
    return context


@settings(max_examples=600, deadline=None)
@given(
    document=DOCUMENTS,
    charset=st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-32-le"]),
    kind=KINDS,
    cut=st.integers(0, 20),
    around=AROUND,
    change=CASES,
    data=st.data(),
)
def test_what_is_called_absent_of_a_document_is_no_attack_when_read(
    document, charset, kind, cut, around, change, data
):
    content = document.encode(charset, "surrogatepass")
    read = Inputs(inputs_of(context_with(content, kind, cut)))
    text = data.draw(st.sampled_from([each.text for each in read]))
    argument = around.format(change(text))
    fresh = inputs_of(context_with(content, kind, cut))
    for name, judge in JUDGES.items():
        if fresh.are_absent_from(argument, WORDS_IN.get(name)):
            assert judge(argument, read) is None, (name, argument)


@pytest.mark.parametrize(
    ("query", "argument", "detector"),
    [
        ("x=1;rm", "cat 1;rm", "shell"),
        ("x=a&x=b", "cat a b", "shell"),
        ("x=%2527", "SELECT '%27'", "sql"),
        ("x=;", "a ; b", "shell"),
        ("x=SS'", "SELECT ss'", "sql"),
        ("x=id", "SELECT a FROM b WHERE id = ID", "sql"),
        ("x=w", "w", "shell"),
        ("x=../a", "/srv/../a", "path"),
        ("x=1&file:|=aYTsgaWQ=", ",aYTsgaWQ", "sql"),
        ("x=1&file:|=aYTsgaWQ=", "aYTsgaWQ", "shell"),
    ],
)
def test_what_may_be_there_is_not_called_absent(query, argument, detector):
    inputs = inputs_of(context_of(query, "/", "", "", None))
    assert not inputs.are_absent_from(argument, WORDS_IN.get(detector))


def test_headers_that_clients_repeat_are_read_once_and_forgotten_at_the_end():
    agent = "Mozilla/5.0 (X11) of a test"
    known = sources.gather._known
    inputs_of(context_of("", "/", "secret=value", agent, None))
    assert ("user-agent", agent) in known
    assert not any("secret" in text or name == "cookie" for name, text in known)
    sources.forget()
    assert not known


def test_a_header_is_an_input_the_second_time_too():
    agent = "x' OR 1=1 --"
    for _ in range(3):
        inputs = inputs_of(context_of("", "/", "", agent, None))
        assert not inputs.are_absent_from(f"SELECT '{agent}'", WORDS_IN["sql"])
        assert sql.judge(f"SELECT '{agent}'", inputs) is not None


def test_inputs_that_could_not_be_read_once_are_read_again():
    """At the end of the stack reading fails, and the request is no emptier for it."""
    tries = []

    def read():
        tries.append(1)
        if len(tries) == 1:
            raise RecursionError
        yield Input("' OR 1=1", "query", "x")

    inputs = Inputs.behind(Needles([], ["' or 1=1"]), read)
    with pytest.raises(RecursionError):
        len(inputs)
    assert [each.text for each in inputs] == ["' OR 1=1"]
