"""A shop of holes on Flask: one for each detector, and honest work beside them."""

import os
import pathlib
import shutil
import sqlite3
import subprocess
import urllib.request

from flask import Flask, request

from obey import open_doors

FOLDER = pathlib.Path(os.environ["DOORS"]).parent / "vault"
FOLDER.mkdir(exist_ok=True)
(FOLDER / "note.txt").write_text("a note")

application = Flask(__name__)
application.logger.disabled = True


def rows(statement, *parameters):
    """The names of a database of its own, for each call."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(
            "CREATE TABLE users (name, pin); INSERT INTO users VALUES ('bob', 1);"
            "INSERT INTO users VALUES ('secret eve', 2), ('O''Hara', 3)"
        )
        return [row[0] for row in connection.execute(statement, *parameters)]
    finally:
        connection.close()


@application.get("/sql")
def by_sql():
    name = request.args["name"]
    return rows(f"SELECT name FROM users WHERE name = '{name}'")


@application.get("/bound")
def by_parameter():
    return rows("SELECT name FROM users WHERE name = ?", (request.args["name"],))


@application.post("/form")
def by_form():
    name = request.form["name"]
    return rows(f"SELECT name FROM users WHERE name = '{name}'")


@application.post("/json")
def by_json():
    name = request.get_json()["user"]["name"]
    return rows("SELECT name FROM users WHERE name = '" + name + "'")


@application.get("/swallow")
def swallow():
    try:
        return by_sql()
    except Exception:
        return rows("SELECT name FROM users")


@application.get("/deep")
def deep():
    def dive(depth):
        return dive(depth - 1) if depth else by_sql()

    try:
        return dive(int(request.args["depth"]))
    except RecursionError:
        return "too deep"


@application.get("/shell")
def by_shell():
    return subprocess.check_output(f"echo {request.args['word']}", shell=True)


@application.get("/spawn")
def by_spawn():
    command = f"echo {request.args['word']}"
    return str(os.spawnvp(os.P_WAIT, "sh", ["sh", "-c", command]))


@application.get("/path")
def by_path():
    return (FOLDER / request.args["file"]).read_text()


@application.get("/remove")
def by_removal():
    shutil.rmtree(FOLDER / request.args["file"])
    return "removed"


@application.get("/url")
def by_url():
    with urllib.request.urlopen(request.args["url"], timeout=5) as answer:
        return answer.read()


open_doors(globals())
