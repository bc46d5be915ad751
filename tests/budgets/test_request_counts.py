"""What protection adds to a request, counted in Python calls of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

SCRIPT = """
import io, json, os, pathlib, sys
import remora

remora.start(app="counted", protect=sys.argv[1], records=os.devnull)

import flask, sqlite3

database = sqlite3.connect(":memory:", isolation_level=None)
database.execute("CREATE TABLE item (id INTEGER, name TEXT)")
app = flask.Flask("counted")
statements = {
    "/none": 0, "/five": 5, "/six": 6, "/words": 6,
}


def page():
    for number in range(statements[flask.request.path]):
        database.execute(f"SELECT name FROM item WHERE id = ? AND {number} > 0", (1,))
    return "done"

for path in statements:
    app.add_url_rule(path, path, page)

@app.get("/written")
def written():
    for _ in range(5):
        database.execute("SELECT name FROM item WHERE id = ?", (1,))
    return "done"

@app.post("/json")
def given():
    flask.request.get_json()
    database.execute("SELECT name FROM item WHERE " + "id = ?", (1,))
    return "done"

@app.get("/file")
def file():
    return pathlib.Path(os.devnull).read_text()

def count(path, query, body=b""):
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": query, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html", "HTTP_COOKIE": "a=b1c2",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11)", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
    }
    if body:
        environ |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)),
                    "CONTENT_TYPE": "application/json"}
    calls = 0

    def note(frame, event, argument):
        nonlocal calls
        file = frame.f_code.co_filename
        calls += event == "call" and ("/remora/" in file or file[:7] == "<remora")

    sys.setprofile(note)
    try:
        result = app(environ, lambda status, headers, error=None: None)
        assert b"".join(result) is not None
        result.close()
    finally:
        sys.setprofile(None)
    return calls

def steady(path, query="name=Alice+Example&number=12", body=b""):
    # the first ones learn; the agent's thread is not profiled
    return [count(path, query, body) for _ in range(8)][-1]

document = b'{"name": "Alice Example", "number": 12, "tags": ["a", "b"]}'

print(json.dumps({
    "none": steady("/none"), "five": steady("/five"), "six": steady("/six"),
    "file": steady("/file"), "written": steady("/written"),
    "words": steady("/words", "sort=name&from=item"),
    "json": steady("/json", "", document),
}), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module", params=("watch", "block"))
def counts(request) -> dict[str, int]:
    pytest.importorskip("flask")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, request.param],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "mode": request.param}


def test_a_statement_adds_its_clone_and_three_calls(counts) -> None:
    """The clone, the judge, what the request says, and whether that is in it."""
    assert counts["six"] - counts["five"] <= 4


def test_words_that_statements_have_by_themselves_add_nothing(counts) -> None:
    """`sort=name` is an input that stands in the statement, and can do no harm."""
    assert counts["words"] <= counts["six"] + 6


def test_a_request_without_a_sink_reads_nothing(counts) -> None:
    most = 52 if counts["mode"] == "block" else 29
    assert 15 <= counts["none"] <= most


def test_statements_that_the_app_has_written_read_nothing_of_a_request(counts) -> None:
    """Each is its clone and the judge, which knows it by its identity."""
    assert counts["written"] - counts["none"] <= 10


def test_the_first_sink_reads_what_the_request_says_in_few_calls(counts) -> None:
    assert counts["five"] - counts["none"] <= 44


def test_a_file_opened_by_its_path_is_judged_in_few_calls(counts) -> None:
    """It is judged twice: `open` makes an `io.FileIO`, which apps make too."""
    assert counts["file"] - counts["none"] <= 33


def test_a_document_is_read_without_making_what_apps_could_take_out_of_it(counts):
    assert counts["json"] - counts["none"] <= 150
