"""The same packs on drivers that are awaited: aiosqlite and asyncpg."""

import asyncio
import urllib.parse

import pytest

import remora
from remora.agent.request import RequestContext, serve_request

ATTACK = "x' OR '1'='1"
TABLE = "CREATE TEMPORARY TABLE remora_u (id integer, name varchar(40))"
FIND = f"SELECT name FROM remora_u WHERE name = '{ATTACK}'"


class Sqlite:
    """What both are asked for, as aiosqlite does it."""

    def __init__(self, module, options):
        self.module, self.options = module, options

    async def open(self):
        self.connection = await self.module.connect(**self.options)
        self.execute = self.connection.execute

    def reads(self):
        connection = self.connection

        async def one():
            cursor = await connection.execute("SELECT name FROM remora_u")
            return (await cursor.fetchone())[0]

        async def many():
            cursor = await connection.execute("SELECT name FROM remora_u")
            return (await cursor.fetchmany(5))[0][0]

        async def every():
            rows = await connection.execute_fetchall("SELECT name FROM remora_u")
            return next(iter(rows))[0]

        async def iterate():
            async with connection.execute("SELECT name FROM remora_u") as cursor:
                ((name,),) = [row async for row in cursor]
                return name

        return one, many, every, iterate

    async def insert(self, value):
        await self.execute("INSERT INTO remora_u VALUES (1, ?)", (value,))


class PostgreSQL(Sqlite):
    """The same by asyncpg."""

    def reads(self):
        connection, query = self.connection, "SELECT name FROM remora_u"

        async def one():
            return (await connection.fetchrow(query))["name"]

        async def every():
            return (await connection.fetch(query))[0]["name"]

        async def value():
            return await connection.fetchval(query)

        async def prepared():
            return (await (await connection.prepare(query)).fetch())[0]["name"]

        async def iterate():
            async with connection.transaction():
                ((name,),) = [row async for row in connection.cursor(query)]
                return name

        async def pointed():
            async with connection.transaction():
                return (await (await connection.cursor(query)).fetch(1))[0]["name"]

        return one, every, value, prepared, iterate, pointed

    async def insert(self, value):
        await self.execute("INSERT INTO remora_u VALUES (1, $1)", value)


@pytest.fixture(params=["aiosqlite", "asyncpg"])
def driver(request, import_driver):
    module = import_driver(request.param)
    if request.param == "aiosqlite":
        return Sqlite(module, {"database": ":memory:"})
    return PostgreSQL(module, request.getfixturevalue("postgresql"))


def serve(value):
    request = RequestContext()
    request.source = {"QUERY_STRING": "name=" + urllib.parse.quote(value)}
    serve_request(request)
    return request


def run(driver, body):
    async def main():
        await driver.open()
        try:
            await driver.execute(TABLE)
            return await body()
        finally:
            serve_request(None)
            await driver.connection.close()

    return asyncio.run(main())


def test_attacks_are_stopped_and_the_connection_goes_on(driver, guarded):
    async def body():
        serve(ATTACK)
        await driver.insert(ATTACK)
        with pytest.raises(remora.Blocked):
            await driver.execute(FIND)
        serve("bob")
        assert await driver.reads()[0]() == ATTACK

    run(driver, body)


def test_what_was_stored_and_is_read_again_is_input(driver, guarded):
    async def body():
        serve(ATTACK)
        await driver.insert(ATTACK)
        for read in driver.reads():
            request = serve("bob")
            assert await read() == ATTACK
            assert request.stored == {ATTACK: "unknown"}, read.__name__
            with pytest.raises(remora.Blocked):
                await driver.execute(FIND)
        nobody = serve("bob")
        assert await driver.execute("SELECT 1")
        assert not nobody.stored

    run(driver, body)
