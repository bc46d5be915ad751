"""The pack of SQL sinks behind every door to a driver: shortcuts, ORMs, async, COPY."""

import asyncio
import io
import os
import sqlite3

import django
import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from django.conf import settings
from psycopg import sql
from sqlalchemy.ext.asyncio import create_async_engine

ATTACK, HONEST = "x' OR '1'='1", "bob"
USER = os.environ.get("PGUSER", "postgres")
NAME = os.environ.get("PGDATABASE", "postgres")
POSTGRESQL = {"host": "127.0.0.1", "user": USER, "dbname": NAME, "connect_timeout": 3}


def where(text):
    return f"SELECT 1 AS one WHERE 'a' = '{text}'"


def copy_of(text):
    return f"COPY ({where(text)}) TO STDOUT"


def by_sqlite(call):
    def run(text):
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute("CREATE TABLE u (id integer, name text)")
            return call(connection, text)
        finally:
            connection.close()

    return run


def by_psycopg(call):
    def run(text):
        with psycopg.connect(**POSTGRESQL) as connection:
            return call(connection, text)

    return run


def by_psycopg_async(call):
    def run(text):
        async def main():
            async with await psycopg.AsyncConnection.connect(**POSTGRESQL) as made:
                await call(made, text)

        asyncio.run(main())

    return run


def server_side(connection, text):
    with connection.cursor("n") as cursor:
        cursor.execute(where(text))


def copied(connection, text):
    with connection.cursor().copy(copy_of(text)) as copy:
        list(copy.rows())


async def copied_async(connection, text):
    async with connection.cursor().copy(copy_of(text)) as copy:
        async for _ in copy.rows():
            pass


async def streamed(connection, text):
    async for _ in connection.cursor().stream(where(text)):
        pass


def by_psycopg2(call):
    def run(text):
        driver = pytest.importorskip("psycopg2")
        connection = driver.connect(**POSTGRESQL)
        try:
            return call(driver, connection, text)
        finally:
            connection.close()

    return run


def values_of(driver, connection, text):
    __import__("psycopg2.extras")
    statement = f"SELECT * FROM (VALUES %s) AS t (a) WHERE 'a' = '{text}'"
    driver.extras.execute_values(connection.cursor(), statement, [(1,)])


def composed(driver, connection, text):
    __import__("psycopg2.sql")
    part = driver.sql.SQL("'" + text + "'")
    whole = driver.sql.SQL("SELECT 1 WHERE 'a' = {}").format(part)
    connection.cursor().execute(whole)


def by_asyncpg(call):
    def run(text):
        driver = pytest.importorskip("asyncpg")

        async def main():
            connection = await driver.connect(
                host="127.0.0.1", user=USER, database=NAME, timeout=20
            )
            try:
                await call(connection, text)
            finally:
                await connection.close()

        asyncio.run(main())

    return run


async def by_cursor(connection, text):
    async with connection.transaction():
        async for _ in connection.cursor(where(text)):
            pass


async def nothing(data):
    del data


def by_aiosqlite(call):
    def run(text):
        driver = pytest.importorskip("aiosqlite")

        async def main():
            async with driver.connect(":memory:") as connection:
                await call(connection, text)

        asyncio.run(main())

    return run


async def within(connection, text):
    async with connection.execute(where(text)) as cursor:
        await cursor.fetchall()


def by_pymysql(call):
    def run(text):
        connection = pymysql.connect(
            host="127.0.0.1", user="root", database="test", connect_timeout=3
        )
        try:
            return call(connection, text)
        finally:
            connection.close()

    return run


def by_engine(url, call):
    def run(text):
        engine = sa.create_engine(url)
        try:
            with engine.connect() as connection:
                return call(connection, text)
        finally:
            engine.dispose()

    return run


def by_async_engine(url):
    def run(text):
        async def main():
            engine = create_async_engine(url)
            try:
                async with engine.connect() as connection:
                    await connection.execute(sa.text(where(text)))
            finally:
                await engine.dispose()

        pytest.importorskip("aiosqlite")
        asyncio.run(main())

    return run


def by_django(call):
    def run(text):
        if not settings.configured:
            settings.configure(
                DATABASES={
                    "default": {
                        "ENGINE": "django.db.backends.sqlite3",
                        "NAME": ":memory:",
                    }
                },
                INSTALLED_APPS=["django.contrib.contenttypes"],
            )
            django.setup()
        from django.contrib.contenttypes.models import ContentType
        from django.db import connection

        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "CREATE TABLE IF NOT EXISTS django_content_type"
                    " (id integer PRIMARY KEY, app_label text, model text)"
                )
            return call(connection, ContentType.objects, text)
        finally:
            connection.close()

    return run


def raw_of_django(connection, objects, text):
    return list(objects.raw(f"SELECT id FROM django_content_type WHERE model='{text}'"))


def cursor_of_django(connection, objects, text):
    with connection.cursor() as cursor:
        cursor.execute(where(text))


def expression_of_django(connection, objects, text):
    from django.db.models.expressions import RawSQL

    return list(objects.annotate(found=RawSQL(f"(model = '{text}')", ())))


PG = f"postgresql+psycopg://{USER}@127.0.0.1/{NAME}"
MARIADB = "mysql+pymysql://root@127.0.0.1/test"
DOORS = {
    "sqlite3 connection": by_sqlite(lambda c, text: c.execute(where(text))),
    "sqlite3 cursor": by_sqlite(lambda c, text: c.cursor().execute(where(text))),
    "sqlite3 script": by_sqlite(lambda c, text: c.executescript(where(text))),
    "sqlite3 many": by_sqlite(
        lambda c, text: c.executemany(f"INSERT INTO u VALUES (?, '{text}')", [(1,)])
    ),
    "psycopg connection": by_psycopg(lambda c, text: c.execute(where(text))),
    "psycopg bytes": by_psycopg(lambda c, text: c.execute(where(text).encode())),
    "psycopg many": by_psycopg(
        lambda c, text: c.cursor().executemany(where(text) + " AND %s", [(True,)])
    ),
    "psycopg server side": by_psycopg(server_side),
    "psycopg SQL": by_psycopg(lambda c, text: c.execute(sql.SQL(where(text)))),
    "psycopg composed": by_psycopg(
        lambda c, text: c.execute(
            sql.SQL("SELECT 1 WHERE 'a' = {}").format(sql.SQL("'" + text + "'"))
        )
    ),
    "psycopg stream": by_psycopg(lambda c, text: list(c.cursor().stream(where(text)))),
    "psycopg copy": by_psycopg(copied),
    "psycopg client side": by_psycopg(
        lambda c, text: psycopg.ClientCursor(c).execute(where(text))
    ),
    "psycopg raw": by_psycopg(
        lambda c, text: psycopg.RawCursor(c).execute(where(text))
    ),
    "psycopg async": by_psycopg_async(lambda c, text: c.execute(where(text))),
    "psycopg async stream": by_psycopg_async(streamed),
    "psycopg async copy": by_psycopg_async(copied_async),
    "psycopg2": by_psycopg2(lambda d, c, text: c.cursor().execute(where(text))),
    "psycopg2 bytes": by_psycopg2(
        lambda d, c, text: c.cursor().execute(where(text).encode())
    ),
    "psycopg2 many": by_psycopg2(
        lambda d, c, text: c.cursor().executemany(where(text) + " AND %s", [(True,)])
    ),
    "psycopg2 server side": by_psycopg2(
        lambda d, c, text: c.cursor("n").execute(where(text))
    ),
    "psycopg2 copy": by_psycopg2(
        lambda d, c, text: c.cursor().copy_expert(copy_of(text), io.StringIO())
    ),
    "psycopg2 values": by_psycopg2(values_of),
    "psycopg2 composed": by_psycopg2(composed),
    "asyncpg execute": by_asyncpg(lambda c, text: c.execute(where(text))),
    "asyncpg fetch": by_asyncpg(lambda c, text: c.fetch(where(text))),
    "asyncpg fetchrow": by_asyncpg(lambda c, text: c.fetchrow(where(text))),
    "asyncpg fetchval": by_asyncpg(lambda c, text: c.fetchval(where(text))),
    "asyncpg prepare": by_asyncpg(lambda c, text: c.prepare(where(text))),
    "asyncpg many": by_asyncpg(
        lambda c, text: c.executemany(where(text) + " AND $1", [(True,)])
    ),
    "asyncpg cursor": by_asyncpg(by_cursor),
    "asyncpg copy": by_asyncpg(
        lambda c, text: c.copy_from_query(where(text), output=nothing)
    ),
    "aiosqlite": by_aiosqlite(lambda c, text: c.execute(where(text))),
    "aiosqlite within": by_aiosqlite(within),
    "aiosqlite all": by_aiosqlite(lambda c, text: c.execute_fetchall(where(text))),
    "aiosqlite script": by_aiosqlite(lambda c, text: c.executescript(where(text))),
    "pymysql": by_pymysql(lambda c, text: c.cursor().execute(where(text))),
    "pymysql bytes": by_pymysql(
        lambda c, text: c.cursor().execute(where(text).encode())
    ),
    "pymysql unbuffered": by_pymysql(
        lambda c, text: c.cursor(pymysql.cursors.SSCursor).execute(where(text))
    ),
    "pymysql many": by_pymysql(
        lambda c, text: c.cursor().executemany(where(text) + " AND %s", [(1,)])
    ),
    "sqlalchemy text": by_engine(
        "sqlite://", lambda c, text: c.execute(sa.text(where(text)))
    ),
    "sqlalchemy of a driver": by_engine(
        "sqlite://", lambda c, text: c.exec_driver_sql(where(text))
    ),
    "sqlalchemy column": by_engine(
        "sqlite://",
        lambda c, text: c.execute(sa.select(sa.literal_column(f"'{text}'"))),
    ),
    "sqlalchemy psycopg": by_engine(
        PG, lambda c, text: c.execute(sa.text(where(text)))
    ),
    "sqlalchemy pymysql": by_engine(
        MARIADB, lambda c, text: c.execute(sa.text(where(text)))
    ),
    "sqlalchemy async": by_async_engine("sqlite+aiosqlite://"),
    "sqlalchemy psycopg async": by_async_engine(PG),
    "django cursor": by_django(cursor_of_django),
    "django raw": by_django(raw_of_django),
    "django RawSQL": by_django(expression_of_django),
    "django extra": by_django(
        lambda c, objects, text: list(objects.extra(where=[f"model = '{text}'"]))
    ),
    "django extra select": by_django(
        lambda c, objects, text: list(objects.extra(select={"a": f"'{text}'"}))
    ),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_no_door_lets_an_attack_in(door, guard, is_stopped):
    door(HONEST)  # imports, and shows that it works
    door(ATTACK)
    guard("sql")
    assert is_stopped(door, ATTACK)
    assert not is_stopped(door, HONEST)
    assert not is_stopped(door, "O''Hara -- or 1=1; select")
