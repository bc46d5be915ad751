"""Waking those who wait."""

import asyncio

from remora.server.operations import Hub


def test_wake_before_the_wait_is_not_lost():
    async def body():
        hub = Hub()
        with hub.connected("a", takes_queries=True) as connection:
            hub.wake(["a", "unknown"])
            assert await connection.wait(0)
            assert not await connection.wait(0.01)

    asyncio.run(body())


def test_newer_connection_ends_the_older_and_outlives_it():
    hub = Hub()
    with hub.connected("a", takes_queries=True) as newer:
        pass
    with hub.connected("a", takes_queries=True) as older:
        with hub.connected("a", takes_queries=False) as newer:
            assert older.replaced
            assert hub.connection("a") is newer
        assert hub.connection("a") is None
    assert hub.connection_count == 0


def test_watchers_wake_for_what_they_watch_alone():
    async def woken(probe, instance):
        hub = Hub()
        with hub.watching(probe, instance) as watcher:
            hub.records_arrived("i", {"p", "q"})
            return await watcher.wait(0.01)

    async def body():
        assert await woken("", "")
        assert await woken("p", "i")
        assert not await woken("other", "")
        assert not await woken("", "other")

    asyncio.run(body())


def test_closing_wakes_everybody():
    async def body():
        hub = Hub()
        with (
            hub.connected("a", takes_queries=True) as connection,
            hub.watching("", "") as watcher,
        ):
            hub.close()
            assert hub.closing
            assert await connection.wait(0)
            assert await watcher.wait(0)

    asyncio.run(body())


def test_a_wait_ends_when_it_is_woken_and_long_before_its_time():
    async def body():
        hub = Hub()
        with hub.connected("a", takes_queries=True) as connection:
            waiting = asyncio.create_task(connection.wait(600))
            await asyncio.sleep(0)
            hub.wake(["a"])
            hub.wake(["a"])
            assert await asyncio.wait_for(waiting, 30)
            assert not await connection.wait(0.01)

    asyncio.run(body())


def test_a_wait_that_is_cancelled_leaves_a_waiter_that_can_be_woken():
    async def body():
        hub = Hub()
        with hub.connected("a", takes_queries=True) as connection:
            waiting = asyncio.create_task(connection.wait(600))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            hub.wake(["a"])
            assert await connection.wait(600)

    asyncio.run(body())
