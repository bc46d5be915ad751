"""The reference app of web.py: what an ordinary page does, and less than that.

`BENCH_AGENT=aikido` starts that agent as its documentation says; the others are started
around the app.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from pathlib import Path

if os.environ.get("BENCH_AGENT") == "aikido":
    import aikido_zen

    aikido_zen.protect()

import flask

FOLDER = Path(tempfile.mkdtemp(prefix="web-bench-"))
TEXT = FOLDER / "terms.txt"
TEXT.write_text("terms and conditions\n" * 100)
ITEMS = 200

app = flask.Flask("web_app")
PAGE = app.jinja_env.from_string(
    "<h1>{{ title }}</h1>{% for id, name, price in rows %}"
    "<p>{{ id }}: {{ name }}, {{ price }}</p>{% endfor %}<pre>{{ terms }}</pre>"
)


def connect() -> sqlite3.Connection:
    return sqlite3.connect(FOLDER / "shop.sqlite3", isolation_level=None)


with connect() as made:
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("PRAGMA synchronous = OFF")
    made.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
    made.execute("CREATE TABLE visit (name TEXT, page TEXT)")
    made.executemany(
        "INSERT INTO item VALUES (?, ?, ?)",
        [(number, f"item {number}", number * 1.5) for number in range(ITEMS)],
    )
database = connect()


def work(name: str, number: int) -> tuple[list[tuple[object, ...]], str]:
    """Five bound queries, one of which writes; a file; a JSON round trip."""
    rows = database.execute(
        "SELECT id, name, price FROM item WHERE id BETWEEN ? AND ?",
        (number, number + 9),
    ).fetchall()
    database.execute("SELECT count(*) FROM item WHERE name = ?", (name,)).fetchone()
    database.execute("SELECT max(price) FROM item WHERE id < ?", (number,)).fetchone()
    database.execute("SELECT name FROM item WHERE id = ?", (number,)).fetchone()
    database.execute("INSERT INTO visit VALUES (?, ?)", (name, "page"))
    terms = TEXT.read_text()
    json.loads(json.dumps({"rows": rows, "name": name}))
    return rows, terms


@app.get("/plain")
def plain() -> str:
    return "plain"


@app.get("/light")
def light() -> flask.Response:
    number = int(flask.request.args["number"])
    row = database.execute("SELECT name FROM item WHERE id = ?", (number,)).fetchone()
    return flask.jsonify(name=row[0])


@app.get("/page")
def page() -> str:
    name, number = flask.request.args["name"], int(flask.request.args["number"])
    rows, terms = work(name, number)
    return PAGE.render(title=name, rows=rows, terms=terms)


@app.post("/api")
def api() -> flask.Response:
    given = flask.request.get_json()
    rows, terms = work(given["name"], given["number"])
    return flask.jsonify(rows=rows, terms=len(terms))
