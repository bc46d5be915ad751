"""A block is one failed call for a pool: it rolls back and keeps its connection."""

import asyncio

import pytest
import sqlalchemy as sa

import remora

ATTACK = "x' OR '1'='1"
FIND = f"SELECT n FROM remora_p WHERE n = '{ATTACK}'"
URLS = {
    "sqlite": "sqlite://",
    "postgresql": "postgresql+psycopg://{user}@{host}/{dbname}",
    "psycopg2": "postgresql+psycopg2://{user}@{host}/{dbname}",
    "mysql": "mysql+pymysql://root@127.0.0.1/test",
}


@pytest.fixture(params=URLS)
def engine(request, open_database, postgresql_options):
    open_database(request.param)
    url = URLS[request.param].format(**postgresql_options)
    if request.param == "sqlite":
        made = sa.create_engine(url)
    else:
        made = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=5)
    yield made
    made.dispose()


def test_a_pool_of_one_serves_on_after_attacks_and_nothing_of_them_stays(
    engine, guarded, serving
):
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE remora_p (n varchar(40))"))
        first = connection.connection.dbapi_connection
    for _ in range(3):
        serving(ATTACK)
        with pytest.raises(remora.Blocked), engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO remora_p VALUES ('half')"))
            connection.execute(sa.text(FIND))
    serving("bob")
    with engine.connect() as connection:
        assert connection.connection.dbapi_connection is first
        assert connection.execute(sa.text("SELECT n FROM remora_p")).all() == []


def test_a_pool_of_asyncpg_does_the_same(import_driver, postgresql, guarded, serving):
    asyncpg = import_driver("asyncpg")

    async def main():
        pool = await asyncpg.create_pool(**postgresql, min_size=1, max_size=1)
        async with pool.acquire() as connection:
            first = connection.get_server_pid()
        serving(ATTACK)
        for _ in range(3):
            with pytest.raises(remora.Blocked):
                async with (
                    pool.acquire(timeout=5) as connection,
                    connection.transaction(),
                ):
                    await connection.execute(FIND)
        serving("bob")
        async with pool.acquire(timeout=5) as connection:
            assert connection.get_server_pid() == first
            assert await connection.fetchval("SELECT 1") == 1
        await pool.close()

    asyncio.run(main())
