"""What is taken for input: every source, in every disguise, and nothing raised."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.agent.request import (
    RequestContext,
    from_environ,
    from_scope,
    from_values,
    inputs_of,
)
from remora.agent.request.body import BODY_LIMIT, Body
from remora.agent.request.sieve import Sieve
from remora.agent.request.sources import Collected
from remora.agent.request.sources.bodies import add_body, add_message
from remora.agent.request.sources.multipart import DEPTH_LIMIT
from remora.detection.inputs import INPUTS_LIMIT

ATTACK = "x' OR 1=1 --"


def context_of(body: bytes = b"", kind: str = "", **environ: object) -> RequestContext:
    context = RequestContext()
    from_environ(context, {"PATH_INFO": "/", "CONTENT_TYPE": kind, **environ})
    context.body = Body()
    context.body.saw(body)
    return context


def found(body: bytes, kind: str, is_cut: bool = False) -> Collected:
    collected = Collected()
    add_body(collected, body, kind, is_cut=is_cut)
    return collected


def where(context: RequestContext, text: str = ATTACK) -> tuple[str, str] | None:
    each = inputs_of(context).named(text)
    return None if each is None else (each.source, each.parameter)


def multipart(*parts: str, boundary: str = "b") -> bytes:
    joined = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f"{joined}--{boundary}--\r\n".encode()


FIELD = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
QUOTED = "x%27+OR+1%3D1+--"

BODIES = {
    "form": (f"name={QUOTED}".encode(), FORM, "form", "name"),
    "form key": (f"{QUOTED}=1".encode(), FORM, "form", ATTACK),
    "form said to be text": (f"name={QUOTED}".encode(), "text/plain", "form", "name"),
    "form in latin-1": (
        f"a=%E9&name={QUOTED}".encode(),
        FORM + "; charset=latin-1",
        "form",
        "name",
    ),
    "json": (
        json.dumps({"a": [{"b": ATTACK}]}).encode(),
        "application/json",
        "json",
        "a[].b",
    ),
    "json key": (json.dumps({ATTACK: 1}).encode(), "application/json", "json", ATTACK),
    "json twice the key": (
        f'{{"a": "{ATTACK}", "a": "fine"}}'.encode(),
        "application/json",
        "json",
        "a",
    ),
    "json said to be a form": (json.dumps([ATTACK]).encode(), FORM, "json", "[]"),
    "json in utf-16": (json.dumps([ATTACK]).encode("utf-16"), "", "json", "[]"),
    "json with a mark": (
        b"\xef\xbb\xbf" + json.dumps([ATTACK]).encode(),
        "application/json",
        "json",
        "[]",
    ),
    "json lines": (
        b'{"a": 1}\n{"a": "%s"}' % ATTACK.encode(),
        "application/json",
        "json",
        "",
    ),
    "broken json": (b'{"a": "%s", ' % ATTACK.encode(), "application/json", "json", ""),
    "xml text": (
        f"<a><b>{ATTACK}</b></a>".encode(),
        "application/xml",
        "xml",
        "b",
    ),
    "xml attribute": (f'<a b="{ATTACK}"/>'.encode(), "text/xml", "xml", "a@b"),
    "xml cdata": (f"<a><![CDATA[{ATTACK}]]></a>".encode(), "", "xml", "a"),
    "xml entity": (
        f'<!DOCTYPE a [<!ENTITY e "{ATTACK}">]><a>&e;</a>'.encode(),
        "text/xml",
        "xml",
        "entity",
    ),
    "xml with more behind": (
        f"<a><b>{ATTACK}</b>tail</a>".encode(),
        "text/xml",
        "xml",
        "b",
    ),
    "broken xml": (f"<a <b>{ATTACK}</b>".encode(), "text/xml", "xml", ""),
    "multipart": (multipart(FIELD.format("n", ATTACK)), MULTIPART, "multipart", "n"),
    "multipart name": (
        multipart(FIELD.format(ATTACK, "v")),
        MULTIPART,
        "multipart",
        ATTACK,
    ),
    "multipart without the end": (
        multipart(FIELD.format("n", ATTACK))[:-7],
        MULTIPART,
        "multipart",
        "n",
    ),
    "multipart with single line ends": (
        multipart(FIELD.format("n", ATTACK)).replace(b"\r", b""),
        MULTIPART,
        "multipart",
        "n",
    ),
    "multipart in base64": (
        multipart(
            "Content-Transfer-Encoding: base64\r\n"
            + FIELD.format("n", base64.b64encode(ATTACK.encode()).decode())
        ),
        MULTIPART,
        "multipart",
        "n",
    ),
    "multipart quoted boundary": (
        multipart(FIELD.format("n", ATTACK), boundary="b b"),
        'multipart/form-data; boundary="b b"',
        "multipart",
        "n",
    ),
    "multipart in multipart": (
        multipart(
            'Content-Disposition: form-data; name="o"\r\n'
            "Content-Type: multipart/mixed; boundary=c\r\n\r\n"
            + multipart(FIELD.format("n", ATTACK), boundary="c").decode()
        ),
        MULTIPART,
        "multipart",
        "n",
    ),
    "file name": (
        multipart(f'Content-Disposition: form-data; name="f"; filename="{ATTACK}"\r\n'),
        MULTIPART,
        "file name",
        "",
    ),
    "encoded file name": (
        multipart(
            "Content-Disposition: form-data; name=f; "
            "filename*=UTF-8''x%27%20OR%201%3D1%20--\r\n\r\nv"
        ),
        MULTIPART,
        "file name",
        "",
    ),
    "file name in pieces": (
        multipart(
            "Content-Disposition: form-data; name=f; "
            'filename*0="x\' OR"; filename*1=" 1=1 --"\r\n\r\nv'
        ),
        MULTIPART,
        "file name",
        "",
    ),
    "text": (ATTACK.encode(), "text/plain", "body", ""),
    "text of no type": (ATTACK.encode(), "", "body", ""),
    "multipart that is none": (ATTACK.encode(), MULTIPART, "body", ""),
    "text in another charset": (
        ATTACK.encode("cp037"),
        "text/plain; charset=cp037",
        "body",
        "",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_gives_its_inputs(name) -> None:
    body, kind, source, parameter = BODIES[name]
    assert where(context_of(body, kind)) == (source, parameter)


def test_a_boundary_within_a_value_hides_nothing_of_it() -> None:
    text = "a --b" + ATTACK
    body = multipart(FIELD.format("n", text), FIELD.format("m", "later'"))
    context = context_of(body, MULTIPART)
    assert where(context, text) == ("multipart", "n")
    assert where(context, "later'") == ("multipart", "m")


def test_query_path_headers_and_cookies_give_inputs() -> None:
    context = context_of(
        QUERY_STRING="a=%31%27&a;b=c%2Bd",
        PATH_INFO="/files/../x'y",
        HTTP_X_NOTE="note'",
        HTTP_COOKIE='plain=one\'; quoted="tw\\047o"',
        HTTP_AUTHORIZATION="Basic " + base64.b64encode(b"us'er:pa'ss").decode(),
    )
    assert where(context, "1'") == ("query", "a")
    assert where(context, "c+d")[0] == "query"
    assert where(context, "../x'y")[0] == "path"
    assert where(context, "note'") == ("header", "x-note")
    assert where(context, "one'") == ("cookie", "plain")
    assert where(context, "tw'o") == ("cookie", "quoted")
    assert where(context, "us'er") == where(context, "pa'ss")


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


JWT = f"{encoded({'alg': 'none'})}.{encoded({'sub': ATTACK})}.c2ln"
HOLDERS = {
    "json": json.dumps({"name": ATTACK}),
    "json in json": json.dumps({"a": json.dumps({"name": ATTACK})}),
    "escaped json": json.dumps([ATTACK]).replace("'", "\\u0027"),
    "json in base64": encoded({"name": ATTACK}),
    "list in base64": encoded([ATTACK]),
    "token": JWT,
    "commas": f"1,{ATTACK},2",
    "blanks behind commas": f"1, {ATTACK}, 2",
    "semicolons": f"1;{ATTACK}",
    "bars": f"a|{ATTACK}",
    "lines": f"a\n{ATTACK}",
    "json in a list": "1|" + json.dumps({"name": ATTACK}),
    "url": f"/next?to={quote(ATTACK)}#x",
}
"""Values that an app reads on in."""


@pytest.mark.parametrize("name", HOLDERS)
def test_what_a_value_holds_is_input_of_its_source(name) -> None:
    value = HOLDERS[name]
    context = context_of(QUERY_STRING=f"filter={quote(value)}")
    assert where(context)[0] == "query"
    cookie = context_of(HTTP_COOKIE=f"a=1; filter={value}")
    if not set(";\n") & set(value) and "url" not in name:
        assert where(cookie)[0] == "cookie"
    body = json.dumps({"filter": value}).encode()
    assert where(context_of(body, "application/json"))[0] == "json"


def test_the_token_of_an_account_is_read() -> None:
    assert where(context_of(HTTP_AUTHORIZATION=f"Bearer {JWT}"))[0] == "header"


def test_texts_that_look_like_documents_do_no_harm() -> None:
    for odd in ("{" * 5000, "eyJ" * 5000, "[" * 60_000, '{"a":' * 900, "?=" * 3000):
        inputs_of(context_of(QUERY_STRING="t=" + quote(odd))).named("x")


def test_a_question_mark_in_a_path_hides_nothing_behind_it() -> None:
    """A client writes it as %3F; what the app is given is the decoded path."""
    context = context_of(PATH_INFO=f"/find/a?{ATTACK}")
    assert where(context, f"a?{ATTACK}") == ("path", "")


def test_an_asgi_scope_gives_the_same() -> None:
    context = RequestContext()
    scope = {
        "type": "http",
        "path": "/é'",
        "query_string": b"a=%31%27",
        "headers": [(b"cookie", b"c=one'"), (b"x-a", b"1"), (b"x-a", b"two'")],
        "path_params": {"name": "param'"},
    }
    from_scope(context, scope)
    assert where(context, "1'") == ("query", "a")
    assert where(context, "one'") == ("cookie", "c")
    assert where(context, "two'") == ("header", "x-a")
    assert where(context, "param'") == ("path", "name")


def test_loose_values_of_a_server_give_inputs() -> None:
    context = RequestContext()
    from_values(
        context,
        {"query": b"a=1%27", "headers": [("X", "h'")], "parameters": {"id": "p'"}},
    )
    assert {where(context, text)[0] for text in ("1'", "h'", "p'")} == {
        *("query", "header", "path"),
    }


def test_what_names_the_app_itself_is_no_input_unless_it_is_odd() -> None:
    context = context_of(
        HTTP_HOST="127.0.0.1:8000", HTTP_ORIGIN="http://shop.internal", PATH_INFO="/tmp"
    )
    assert where(context, "127.0.0.1:8000") is None
    assert where(context, "http://shop.internal") is None
    assert where(context, "/tmp") is None
    assert where(context_of(HTTP_HOST="x'y"), "x'y") == ("header", "host")


def test_inputs_are_made_again_when_more_of_the_body_was_read() -> None:
    context = context_of(b"a=1&", FORM)
    first = inputs_of(context)
    assert inputs_of(context) is first
    context.body.saw(f"b={QUOTED}".encode())
    assert first.named(ATTACK) is None
    assert where(context) == ("form", "b")


def test_inputs_are_made_again_when_path_parameters_become_known() -> None:
    context = context_of(b"", FORM)
    assert where(context, "p'") is None
    from_values(context, {"parameters": {"name": "p'"}})
    assert where(context, "p'") == ("path", "name")


def test_a_message_of_a_websocket_is_input_as_json_and_as_text() -> None:
    context = context_of()
    context.body.saw_message(json.dumps({"a": ATTACK}))
    context.body.saw_message("plain'")
    assert where(context) == ("message", "a")
    assert where(context, "plain'") == ("message", "")


def test_what_is_beyond_a_limit_is_told() -> None:
    many = "&".join(f"a{n}={n}" for n in range(INPUTS_LIMIT))
    assert "more than" in inputs_of(context_of(QUERY_STRING=many)).cut
    deep = "text"
    for level in range(DEPTH_LIMIT + 1):
        inner = multipart(deep, boundary=f"b{level}").decode()
        deep = f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n{inner}"
    assert "nested" in found(multipart(deep), MULTIPART).cut
    long = context_of(b'{"a": "' + b"x" * BODY_LIMIT, "application/json")
    assert "longer" in inputs_of(long).cut


def test_a_large_picture_takes_no_check_away() -> None:
    body = b"\x89PNG\r\n\x1a\n\0\0\0" + bytes(BODY_LIMIT)
    assert inputs_of(context_of(body, "application/octet-stream")).cut is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'["' + b"1" * 100_000 + b'"]',
        b"[" + b"9" * 10_000 + b"]",
        b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>"
        + b"".join(b"<!ENTITY a%d '&a;&a;&a;&a;&a;&a;&a;&a;'>" % n for n in range(9))
        + b"]><a b='&a8;'/>",
        b"<a>" * 50_000,
        b"\\" * 100_000,
        b'"' * 100_000,
        b'{"' + b'\\"' * 100_000 + b"\\",
        b"<a" + b"<![CDATA[" * 25_000,
    ],
    ids=[
        *(
            "lists",
            "objects",
            "text",
            "number",
            "laughs",
            "elements",
            "escapes",
            "ends",
        ),
        *("open string", "open section"),
    ],
)
def test_bombs_are_read_without_an_exception(body) -> None:
    found(body, "application/json")
    found(body, "application/xml")
    found(body, MULTIPART)


FILE = 'Content-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n{}'


@pytest.mark.parametrize("size", [1, 7, 100, 10_000_000])
def test_a_large_upload_keeps_its_fields_and_not_its_files(size) -> None:
    files = "-- no end\r\n" + "x" * (2 * BODY_LIMIT if size > 100 else 200)
    content = multipart(
        FIELD.format("n", "x' OR"), FILE.format(files), FIELD.format("m", "later'")
    )
    body = Body(Sieve("b"))
    for start in range(0, len(content), size):
        body.saw(content[start : start + size])
    context = context_of(b"", MULTIPART)
    context.body = body
    assert where(context, "x' OR") == ("multipart", "n")
    assert where(context, "a.bin") == ("file name", "")
    assert inputs_of(context).cut is None
    assert len(body.content()) < BODY_LIMIT


TWICE = "Content-Disposition: form-data; name=n\r\n"


@pytest.mark.parametrize(
    "part",
    [
        'Content-Disposition: form-data; name="x; filename=y"\r\n\r\n{}',
        'Content-Disposition: form-data; name="x\\"; filename=\\"y"\r\n\r\n{}',
        "X: filename=y\r\nContent-Disposition: form-data; name=n\r\n\r\n{}",
        TWICE + "Content-Disposition: form-data; filename=n\r\n\r\n{}",
        TWICE[:-2] + "\n\nContent-Disposition: form-data; filename=n\r\n\r\n{}",
        TWICE + "\r\na --b\r\nContent-Disposition: form-data; filename=n\r\n\r\n{}",
    ],
)
def test_what_only_looks_like_a_file_is_kept(part) -> None:
    content = multipart(part.replace("{}", ATTACK))
    assert ATTACK.encode() in Sieve("b").sift(content)


def test_the_end_of_a_body_that_does_not_end_is_input() -> None:
    body = Body(Sieve("b"))
    body.saw(multipart(FIELD.format("n", ATTACK))[: -len("\r\n--b--\r\n")])
    context = context_of(b"", MULTIPART)
    context.body = body
    assert where(context) == ("multipart", "n")


@given(st.binary(max_size=200), st.integers(1, 20))
def test_a_body_without_files_passes_the_sieve_as_it_is(value, size) -> None:
    content = b"--b\r\n" + FIELD.format("n", "").encode() + value + b"\r\n--b--\r\n"
    sieve = Sieve("b")
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    kept = b"".join(map(sieve.sift, pieces)) + sieve.rest
    assert kept.removeprefix(b"\r\n") == content or b"--b" in value


KINDS = st.sampled_from(
    (FORM, MULTIPART, "application/json", "text/xml", "text/plain; charset=utf-7", "")
)
WORDS = """--b name=" filename*= '' { [ " \\ <a> <!DOCTYPE &x; % %zz = & 1e -
boundary=b charset=punycode Content-Disposition:form-data; Content-Type:multipart/mixed;
"""
PIECES = st.lists(
    st.sampled_from(
        [*WORDS.encode().split(), b"\r\n", b"\n\n", b"\xff", b"\xff\xfe", b"\0"]
    )
    | st.binary(max_size=20),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(PIECES, KINDS | st.text(max_size=60), st.booleans())
def test_garbage_never_raises(pieces, kind, is_cut) -> None:
    body = b"".join(pieces)
    collected = found(body, kind, is_cut)
    add_message(collected, body)
    context = context_of(
        body,
        kind,
        QUERY_STRING=body.decode("latin-1"),
        PATH_INFO=body.decode("latin-1"),
        HTTP_COOKIE=body.decode("latin-1"),
        HTTP_AUTHORIZATION="Basic " + body.decode("latin-1"),
    )
    inputs_of(context)
    assert context.client is None


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip), KINDS)
def test_the_text_of_any_field_is_an_input(text, kind) -> None:
    context = context_of(json.dumps({"a b": text}).encode(), kind)
    assert where(context, text) is not None


def test_the_bytes_of_all_bodies_are_bounded_and_given_back() -> None:
    before = Body.total
    body = Body()
    body.saw(b"x" * (BODY_LIMIT + 1))
    body.saw(b"y")
    assert len(body.content()) == BODY_LIMIT
    assert body.is_cut
    assert Body.total == before + BODY_LIMIT
    body.saw("no bytes")
    messages = Body()
    for _ in range(1000):
        messages.saw_message("x" * 1000)
    assert len(messages.messages) < 1000
    del body, messages
    assert Body.total == before
