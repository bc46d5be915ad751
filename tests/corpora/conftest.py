"""Real interpreters: what a text really does there is the oracle of the corpora."""

import os
import sqlite3

import psycopg
import pymysql
import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
TABLE = "CREATE TEMPORARY TABLE remora_u (id integer, name varchar(40), pin integer)"
ROWS = "INSERT INTO remora_u VALUES (1, 'bob', 7), (2, 'eve', 8), (3, 'O''Hara', 9)"


def _missing(name, error):
    sentence = f"{name} is not there on loopback: {error}"
    if IN_CI:
        pytest.fail(sentence)
    pytest.skip(sentence)


class Database:
    """One connection; `run` gives the rows, or the error's class, and undoes all."""

    def __init__(self, dialect, connection, mark):
        self.dialect, self.connection, self.mark = dialect, connection, mark
        cursor = connection.cursor()
        cursor.execute(TABLE)
        cursor.execute(ROWS)
        connection.commit()

    def run(self, statement, parameters=None):
        cursor = self.connection.cursor()
        try:
            if parameters is None:
                cursor.execute(statement)
            else:
                cursor.execute(statement, parameters)
            return [tuple(row) for row in cursor.fetchall()]
        except Exception as error:
            return type(error).__name__
        finally:
            cursor.close()
            self.connection.rollback()


def open_sqlite():
    return Database("sqlite", sqlite3.connect(":memory:"), "?")


def open_postgresql():
    try:
        connection = psycopg.connect(
            host="127.0.0.1",
            user=os.environ.get("PGUSER", "postgres"),
            dbname=os.environ.get("PGDATABASE", "postgres"),
            connect_timeout=3,
        )
    except psycopg.OperationalError as error:
        _missing("PostgreSQL", error)
    return Database("postgresql", connection, "%s")


def open_mariadb():
    try:
        connection = pymysql.connect(
            host="127.0.0.1", user="root", database="test", connect_timeout=3
        )
    except pymysql.err.OperationalError as error:
        _missing("MariaDB", error)
    return Database("mysql", connection, "%s")


def open_mariadb_by_c():
    """By the driver in C, which has no wheels: tested where somebody has built it."""
    driver = pytest.importorskip(
        "MySQLdb",
        reason="mysqlclient is not installed: it is built against libmariadb-dev",
    )
    try:
        connection = driver.connect(
            host="127.0.0.1", user="root", database="test", connect_timeout=3
        )
    except driver.OperationalError as error:
        _missing("MariaDB", error)
    return Database("mysql", connection, "%s")


OPENED = {
    "sqlite": open_sqlite,
    "postgresql": open_postgresql,
    "mysql": open_mariadb,
    "mysqlclient": open_mariadb_by_c,
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def database(request):
    opened = OPENED[request.param]()
    yield opened
    opened.connection.close()
