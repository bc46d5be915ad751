"""A guestbook that trusts what is in its own database, and should not."""

import os
import sqlite3

from flask import Flask, request

import remora

application = Flask(__name__)
application.logger.disabled = True
FILE = f"{os.environ['DOORS']}/guests.sqlite"


def connect():
    return sqlite3.connect(FILE, timeout=20)


with connect() as first:
    first.executescript(
        "CREATE TABLE IF NOT EXISTS guests (name TEXT, pin TEXT);"
        "CREATE TABLE IF NOT EXISTS users (name TEXT, pin TEXT);"
        "INSERT INTO users VALUES ('eve', 'secret')"
    )


@application.before_request
def name_the_account():
    if "account" in request.args:
        remora.set_user(request.args["account"])


@application.get("/")
def hello():
    return str(os.getpid())


@application.post("/sign")
def sign():
    connection = connect()
    with connection:
        connection.execute("INSERT INTO guests VALUES (?, 'x')", [request.form["name"]])
    connection.close()
    return ""


@application.get("/greet")
def greet():
    """The last guest, by a statement that is made of what the database said."""
    connection = connect()
    try:
        (name,) = connection.execute(
            "SELECT name FROM guests ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        found = connection.execute(f"SELECT pin FROM users WHERE name = '{name}'")
        return [row[0] for row in found]
    finally:
        connection.close()
