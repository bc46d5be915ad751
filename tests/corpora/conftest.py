"""Real interpreters: what a text really does there is the oracle of the corpora."""

import importlib
import importlib.util
import os
import sqlite3
import urllib.parse

import psycopg
import pymysql
import pytest

import remora
from remora.agent.control.protection import read_packs, read_stored
from remora.agent.request import RequestContext, protection, serve_request

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
TABLE = "CREATE TEMPORARY TABLE remora_u (id integer, name varchar(40), pin integer)"
ROWS = "INSERT INTO remora_u VALUES (1, 'bob', 7), (2, 'eve', 8), (3, 'O''Hara', 9)"


POSTGRESQL = {
    "host": "127.0.0.1",
    "user": os.environ.get("PGUSER", "postgres"),
    "dbname": os.environ.get("PGDATABASE", "postgres"),
    "connect_timeout": 3,
}


def needs(driver, remedy="requirements/test.txt has it"):
    """A skip that is seen where a driver is not installed, in CI a failure."""
    if importlib.util.find_spec(driver) is None:
        _missing(driver, remedy)


def _missing(name, error):
    sentence = f"{name} is not there: {error}"
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
        connection = psycopg.connect(**POSTGRESQL)
    except psycopg.OperationalError as error:
        _missing("PostgreSQL", error)
    return Database("postgresql", connection, "%s")


def open_postgresql_by_psycopg2():
    needs("psycopg2")
    import psycopg2

    try:
        connection = psycopg2.connect(**POSTGRESQL)
    except psycopg2.OperationalError as error:
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
    """By the driver in C, which has no wheels: tested where it can be built."""
    needs("MySQLdb", "mysqlclient is built where there is libmariadb-dev")
    driver = importlib.import_module("MySQLdb")
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
    "psycopg2": open_postgresql_by_psycopg2,
    "mysql": open_mariadb,
    "mysqlclient": open_mariadb_by_c,
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def database(request):
    opened = OPENED[request.param]()
    yield opened
    opened.connection.close()


@pytest.fixture
def guard(probes):
    """Puts the packs of some detectors into this process until the test ends."""
    probes.store.subscribe(probes.module_loaded)

    def begin(*detectors, allowed=(), others=()):
        modes = dict.fromkeys(detectors, "block")
        probes.add([*read_packs(modes, allowed, {}), *others])

    return begin


@pytest.fixture
def guarded(guard):
    """The pack of SQL, and what knows stored input again."""
    protection.keeps_stored = True
    guard("sql", others=read_stored({}))
    yield
    protection.keeps_stored = False


@pytest.fixture
def serving():
    """Begins a request with one value in its query, and those of further names."""

    def begin(value, **more):
        request = RequestContext()
        query = urllib.parse.urlencode({"x": value, **more})
        request.source = {"QUERY_STRING": query}
        serve_request(request)
        return request

    yield begin
    serve_request(None)


@pytest.fixture
def is_stopped(serving):
    """Whether a call with a value of the request is refused; what it raises is lost.

    The value is made anew: the app's own constants are no input.
    """

    def call(function, value, **more):
        request = serving(value, **more)
        was_blocked = False
        try:
            function("".join(list(value)))
        except Exception as error:
            was_blocked = _is_by_block(error)
        serve_request(None)
        assert bool(request.condemned) == was_blocked
        return was_blocked

    return call


def _is_by_block(error):
    """Libraries wrap what they get."""
    while error is not None:
        if isinstance(error, remora.Blocked):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(map(_is_by_block, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


@pytest.fixture
def import_driver():
    """A driver, or a skip."""

    def get(name):
        needs(name)
        return importlib.import_module(name)

    return get


@pytest.fixture
def postgresql():
    """How asyncpg is to connect, where there is a server."""
    open_postgresql().connection.close()
    return {
        "host": POSTGRESQL["host"],
        "user": POSTGRESQL["user"],
        "database": POSTGRESQL["dbname"],
    }


@pytest.fixture
def postgresql_options():
    return POSTGRESQL


@pytest.fixture
def open_database():
    """Skips, visibly, where a database or its driver is missing."""
    return lambda name: OPENED[name]().connection.close()
