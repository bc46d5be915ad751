"""Input that an app changes before its sink: what it makes of it is judged as well.

A row is what a client sends for a text, and what the app makes of that again.
"""

import base64
import codecs
import gzip
import html
import json
import sqlite3
import subprocess
import unicodedata
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

import pytest


def quoted(text):
    return urllib.parse.quote(text, safe="")


def in_base64(text):
    return base64.b64encode(text.encode()).decode()


def from_base64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4)).decode()


def wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def numbered(text):
    return "".join(f"&#{ord(c)};" for c in text)


def as_json(text):
    return json.dumps({"a": text})


def from_json(text):
    return json.loads(text)["a"]


def token(text):
    parts = (as_json(text), '{"alg": "none"}', "signature")
    return ".".join(
        base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts
    )


CHANGES = {
    "nothing": (str, str),
    "url": (quoted, urllib.parse.unquote),
    "url twice": (
        lambda text: quoted(quoted(text)),
        lambda text: urllib.parse.unquote(urllib.parse.unquote(text)),
    ),
    "url three times": (
        lambda text: quoted(quoted(quoted(text))),
        lambda text: urllib.parse.unquote(
            urllib.parse.unquote(urllib.parse.unquote(text))
        ),
    ),
    "url with plus": (urllib.parse.quote_plus, urllib.parse.unquote_plus),
    "base64": (in_base64, from_base64),
    "base64 without its end": (lambda text: in_base64(text).rstrip("="), from_base64),
    "base64 for urls": (
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64decode(text).decode(),
    ),
    "base64 in lines": (
        lambda text: base64.encodebytes((text + " " * 60).encode()).decode(),
        lambda text: base64.b64decode(text).decode().strip(),
    ),
    "base64 twice": (
        lambda text: in_base64(in_base64(text)),
        lambda text: from_base64(from_base64(text)),
    ),
    "base64 of url": (
        lambda text: in_base64(quoted(text)),
        lambda text: urllib.parse.unquote(from_base64(text)),
    ),
    "url of base64": (
        lambda text: quoted(in_base64(text)),
        lambda text: from_base64(urllib.parse.unquote(text)),
    ),
    "base64 of JSON": (
        lambda text: in_base64(as_json(text)),
        lambda text: from_json(from_base64(text)),
    ),
    "a token": (token, lambda text: from_json(from_base64(text.split(".")[0]))),
    "html": (html.escape, html.unescape),
    "html by numbers": (numbered, html.unescape),
    "html twice": (
        lambda text: html.escape(numbered(text)),
        lambda text: html.unescape(html.unescape(text)),
    ),
    "html of url": (
        lambda text: quoted(numbered(text)),
        lambda text: html.unescape(urllib.parse.unquote(text)),
    ),
    "NFKC": (wide, lambda text: unicodedata.normalize("NFKC", text)),
    "NFKD": (wide, lambda text: unicodedata.normalize("NFKD", text)),
    "url of NFKC": (
        lambda text: quoted(wide(text)),
        lambda text: unicodedata.normalize("NFKC", urllib.parse.unquote(text)),
    ),
    "ASCII alone": (
        "é".join,
        lambda text: text.encode("ascii", "ignore").decode(),
    ),
    "lower": (str.upper, str.lower),
    "upper": (str.lower, str.upper),
    "case folded": (str.upper, str.casefold),
    "case swapped": (str.swapcase, str.swapcase),
    "stripped": (lambda text: f"  {text}\n", str.strip),
    "quotes stripped": (lambda text: f'"{text}"', lambda text: text.strip('"')),
    "spaces": (
        lambda text: text.replace(" ", "   "),
        lambda text: " ".join(text.split()),
    ),
    "tags removed": (
        lambda text: f"{text[:2]}<b>{text[2:]}",
        lambda text: text.replace("<b>", ""),
    ),
    "slashes removed": (
        lambda text: text.replace("'", "\\'"),
        lambda text: text.replace("\\'", "'"),
    ),
    "JSON": (as_json, from_json),
    "JSON of escapes": (
        lambda text: '{"a": "' + "".join(f"\\u{ord(c):04x}" for c in text) + '"}',
        from_json,
    ),
    "JSON key": (
        lambda text: json.dumps({text: 1}),
        lambda text: next(iter(json.loads(text))),
    ),
    "XML": (
        lambda text: f"<a>{html.escape(text)}</a>",
        lambda text: ET.fromstring(text).text,
    ),
    "query": (
        lambda text: urllib.parse.urlencode({"b": 1, "a": text}),
        lambda text: urllib.parse.parse_qs(text)["a"][0],
    ),
    "query of a URL": (
        lambda text: "http://public.example/?" + urllib.parse.urlencode({"a": text}),
        lambda text: urllib.parse.parse_qs(text.partition("?")[2])["a"][0],
    ),
    "field of a list": (lambda text: f"7|{text}", lambda text: text.partition("|")[2]),
    "first of a list": (lambda text: f"{text},b", lambda text: text.split(",")[0]),
    "line": (lambda text: f"a\n{text}", lambda text: text.splitlines()[1]),
    "up to a null byte": (
        lambda text: f"{text}\0.png",
        lambda text: text.partition("\0")[0],
    ),
}
PATHS = {
    "backslashes": (
        lambda text: text.replace("/", "\\"),
        lambda text: text.replace("\\", "/"),
    ),
    "climbs removed": (
        lambda text: text.replace("../", "....//"),
        lambda text: text.replace("../", ""),
    ),
    "suffix removed": (lambda text: f"{text}.png", lambda text: text[:-4]),
}
MISSED = {
    "reversed": (lambda text: text[::-1], lambda text: text[::-1]),
    "hexadecimal": (
        lambda text: text.encode().hex(),
        lambda text: bytes.fromhex(text).decode(),
    ),
    "base32": (
        lambda text: base64.b32encode(text.encode()).decode(),
        lambda text: base64.b32decode(text).decode(),
    ),
    "ROT13": (
        lambda text: codecs.encode(text, "rot13"),
        lambda text: codecs.decode(text, "rot13"),
    ),
    "compressed": (
        lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
        lambda text: gzip.decompress(base64.b64decode(text)).decode(),
    ),
    "UTF-16 in base64": (
        lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
        lambda text: base64.b64decode(text).decode("utf-16-le"),
    ),
    "letters cut off": (lambda text: f"xyz{text}", lambda text: text[3:]),
}


@pytest.fixture
def sinks(tmp_path, guard):
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE u (id integer, name text)")
    (tmp_path / "base").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "base" / "honest").write_text("open")
    guard("sql", "shell", "path", "url")

    def by_path(text):
        with open(f"{tmp_path}/base/{text}") as file:
            return file.read()

    yield {
        "string": lambda text: database.execute(
            f"SELECT id FROM u WHERE name = '{text}'"
        ),
        "number": lambda text: database.execute(f"SELECT id FROM u WHERE id = {text}"),
        "shell": lambda text: subprocess.run(
            f"true {text}", shell=True, check=False, timeout=20
        ),
        "path": by_path,
        "url": lambda text: urllib.request.urlopen(f"http://{text}/", timeout=20),
    }
    database.close()


ATTACKS = {
    "string": "x' OR '1'='1",
    "number": "1 OR 1=1",
    "shell": "a; true b",
    "path": "../secret",
    "url": "127.0.0.1:1",
}
HONEST = {"string": "bob", "number": "12", "shell": "file-1.txt", "path": "honest"}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_attack_is_found_at_every_sink(change, sinks, is_stopped):
    encode, decode = change

    def passes(name, attack):
        sent = encode(attack)
        assert decode(sent).lower() == attack.lower(), "the app gets it back"
        return not is_stopped(lambda text: sinks[name](decode(text)), sent)

    assert [name for name, attack in ATTACKS.items() if passes(name, attack)] == []


@pytest.mark.parametrize("change", PATHS.values(), ids=PATHS)
def test_a_path_that_the_app_cleans_badly_is_found(change, sinks, is_stopped):
    encode, decode = change
    sent = encode(ATTACKS["path"])
    assert decode(sent) == ATTACKS["path"]
    assert is_stopped(lambda text: sinks["path"](decode(text)), sent)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_honest_text_is_passed_by_every_sink(change, sinks, is_stopped):
    encode, decode = change

    def stops(name, honest):
        return is_stopped(lambda text: sinks[name](decode(text)), encode(honest))

    assert [name for name, honest in HONEST.items() if stops(name, honest)] == []


@pytest.mark.parametrize("change", MISSED.values(), ids=MISSED)
def test_what_is_listed_as_missed_is_missed(change, sinks, is_stopped):
    encode, decode = change
    sent = encode(ATTACKS["number"])
    assert decode(sent) == ATTACKS["number"]
    assert not is_stopped(lambda text: sinks["number"](decode(text)), sent), "move it"


def test_parts_that_only_together_are_an_attack_are_found(sinks, is_stopped):
    def joined(text):
        return sinks["string"](text + second)

    for first, second in (("x'", " OR 1=1 --"), ("x' O", "R 1=1 --"), ("x", "' OR 1")):
        assert is_stopped(joined, first, y=second), (first, second)
